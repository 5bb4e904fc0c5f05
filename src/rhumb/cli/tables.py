"""Tables of the local mesh, for people; plain when piped."""

from collections.abc import Iterator, Mapping

import click
from rich.console import Console
from rich.table import Table

Json = Mapping[str, object]


def console() -> Console:
    """Return the terminal, as wide as it is and 80 columns when it is none."""
    return Console(highlight=False, soft_wrap=False)


def table(*columns: str) -> Table:
    """Return an empty table without frames."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def workloads(status: Json) -> None:
    """Print the workloads of a mesh."""
    made = table("WORKLOAD", "ADDRESS", "APPLICATION", "PROXY", "READY", "PUBLISHED")
    for row in _rows(status):
        made.add_row(
            f"{row['name']}.{row['namespace']}",
            str(row["address"]),
            str(row["application"] or "-"),
            str(row.get("proxy", "starting")),
            "yes" if row["ready"] else str(row.get("why") or "no"),
            ", ".join(_texts(row["publish"])) or "-",
        )
    console().print(made)


def published(status: Json) -> Iterator[str]:
    """Yield a line for each address of the host that leads into the mesh."""
    for row in _rows(status):
        for address in _texts(row["publish"]):
            yield f"{click.style('→', fg='green')} {row['name']}: http://{address}"


def _rows(status: Json) -> list[dict[str, object]]:
    found = status.get("workloads")
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def _texts(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []
