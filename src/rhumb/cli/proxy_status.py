"""`rhumb proxy-status`: is every proxy in step with the control plane, or one of them in detail?"""

from pathlib import Path
from urllib.parse import quote

import click
import msgspec

from rhumb.base.errors import RhumbError
from rhumb.cli import columns, sync
from rhumb.cli.printer import Exit
from rhumb.cli.proxies import compare, dump
from rhumb.cli.proxies.where import Chosen, Proxy
from rhumb.cli.sync import Fetch, Row

HEAD = ("NAME", "CLUSTER", "CDS", "LDS", "EDS", "RDS", "ECDS", "ISTIOD", "VERSION")
_TYPES = HEAD[2:7]
_DUMP = "/debug/config_dump?proxyID="


@click.command(
    epilog="Exit code 1 when a proxy is out of step. Example: rhumb proxy-status reviews-v1"
)
@click.argument("workload", required=False)
@click.option("-f", "--file", metavar="DUMP", help="Compare this dump of the workload's Envoy.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["short", "json", "yaml"]),
    default="short",
    show_default=True,
)
@click.option("--proxy-admin", metavar="HOST:PORT", help="The Envoy's admin interface.")
@click.option("--control-plane", metavar="HOST:PORT", help="Monitoring address (port 15014).")
@click.option("--mesh", type=click.Path(path_type=Path), help="rhumb.yaml of a local mesh.")
def command(
    workload: str | None,
    file: str | None,
    output: str,
    proxy_admin: str | None,
    control_plane: str | None,
    mesh: Path | None,
) -> None:
    """Show whether the proxies have what the control plane means them to have.

    Without WORKLOAD: one line for each proxy, with istioctl's columns. ISTIOD is
    the control plane that was asked. With WORKLOAD (NAME or NAME.NAMESPACE): what
    its Envoy has against what it should have, as a difference.

    `rhumb status` tells more of each proxy: identity, certificate, errors.
    """
    fetch = sync.fetch_from(control_plane) if control_plane else sync.fetch_local(mesh)
    asked = control_plane or ("local mesh" if fetch else sync.DEFAULT_ADDRESS)
    fetch = fetch or sync.fetch_from(sync.DEFAULT_ADDRESS)
    if workload is None:
        if file or proxy_admin:
            raise click.UsageError("name the workload, too")
        raise SystemExit(_all(sync.rows(fetch(sync.PAGE)), output, asked))
    by_name = None if file or proxy_admin else workload
    proxy = Proxy(Chosen(workload=by_name, file=file, proxy_admin=proxy_admin, mesh=mesh))
    raise SystemExit(_one(proxy, fetch, workload, output))


def _all(found: list[Row], output: str, asked: str) -> Exit:
    rows = [
        (
            row.name,
            row.cluster or "-",
            *(row.types[kind].state if kind in row.types else "NOT SENT" for kind in _TYPES),
            asked,
            row.version or "-",
        )
        for row in found
        if row.connected
    ]
    if output == "short":
        columns.show(HEAD, rows)
    else:
        columns.document(msgspec.to_builtins([row for row in found if row.connected]), output)
    return Exit.OK if all(row.in_step for row in found if row.connected) else Exit.FOUND


def _one(proxy: Proxy, fetch: Fetch, workload: str, output: str) -> Exit:
    has = proxy.dump()
    parts = str(has.node.get("id", "")).split("~")
    name = parts[2] if len(parts) == 4 else workload
    if "." in workload and workload != name:
        raise RhumbError(f"the dump is that of {name}, not of {workload}")
    page = fetch(f"{_DUMP}{quote(name)}")
    found = compare.differences(has, dump.parse(page, "the control plane's answer"))
    if output != "short":
        columns.document(dict(found), output)
    else:
        for section, lines in found.items():
            click.echo(f"{section.capitalize()} {'do not match' if lines else 'match'}")
            for line in lines:
                click.echo(line)
    return Exit.FOUND if any(found.values()) else Exit.OK
