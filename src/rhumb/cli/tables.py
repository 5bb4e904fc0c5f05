"""Tables for people: as wide as the terminal, 80 columns and plain when piped."""

from collections.abc import Iterator, Mapping

import click
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

Json = Mapping[str, object]
_WIDEST = 10_000
_HTTPS = (443, 8443)


def console() -> Console:
    """Return the terminal, as wide as it is and 80 columns when it is none."""
    return Console(highlight=False, soft_wrap=False)


def table(first: str, *columns: str) -> Table:
    """Return an empty table without frames; where it is too wide, the first column gives way first."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    made.add_column(first, overflow="fold")
    for column in columns:
        made.add_column(column, overflow="fold", min_width=len(column))
    return made


def fits(made: Table) -> bool:
    """Tell whether a table can be shown without breaking its cells."""
    out = console()
    anything = out.options.update(max_width=_WIDEST)
    return Measurement.get(out, anything, made).maximum <= out.width


def show(made: Table) -> None:
    """Print a table, without spaces at the ends of lines."""
    out = console()
    with out.capture() as captured:
        out.print(made)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def workloads(status: Json) -> None:
    """Print the workloads of a mesh, and what keeps some of them from being ready."""
    made = table("WORKLOAD", "ADDRESS", "APPLICATION", "PROXY", "READY")
    notes = []
    for row in _rows(status):
        name = f"{row['name']}.{row['namespace']}"
        made.add_row(
            name,
            _address(row),
            str(row["application"] or "-"),
            str(row.get("proxy", "starting")),
            "yes" if row["ready"] else "no",
        )
        if not row["ready"] and row.get("why"):
            notes.append(f"{name}: {row['why']}")
        if row.get("without_traffic"):
            notes.append(f"{name} gets no traffic: {row['without_traffic']}")
        if str(row["application"]).startswith("crashed"):
            notes.append(f"{name}: its program ends by itself; see `rhumb logs {row['service']}`")
    show(made)
    if notes:
        click.echo()
    for note in notes:
        click.echo(note)


def published(status: Json) -> Iterator[str]:
    """Yield a line for each address of the host that leads into the mesh."""
    for row in _rows(status):
        for _, url in _urls(row):
            yield f"{click.style('→', fg='green')} {row['name']}: {url}"


def addresses(status: Json) -> Iterator[tuple[int, str]]:
    """Yield the ports of gateways that are published, and where: 80, http://127.0.0.1:8080."""
    for row in _rows(status):
        yield from _urls(row)


def _urls(row: Json) -> Iterator[tuple[int, str]]:
    places = [(int(str(one["port"])), one) for one in _dictionaries(row["publish"])]
    for port, publish in sorted(places, key=lambda place: place[0]):
        address = str(publish["address"])
        host = f"[{address}]" if ":" in address else address
        scheme = "https" if port in _HTTPS else "http"
        yield port, f"{scheme}://{host}:{publish['host_port']}"


def _address(row: Json) -> str:
    """Return where a workload is reached; with the port where it shares the address."""
    ports = row.get("ports")
    found = list(ports.values()) if isinstance(ports, dict) else []
    return f"{row['address']}:{found[0]}" if found else str(row["address"])


def _rows(status: Json) -> list[Json]:
    return _dictionaries(status.get("workloads"))


def _dictionaries(value: object) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
