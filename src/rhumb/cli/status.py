"""`rhumb status`: every proxy of a mesh, as the control plane sees it."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import msgspec
from rich.table import Table
from rich.text import Text

from rhumb.cli import sync, tables
from rhumb.cli.printer import Exit, say
from rhumb.cli.sync import Problem, Report, Row

TYPES = ("CDS", "EDS", "LDS", "RDS", "SDS")
_OTHERS = ("VHDS", "ECDS", "NDS", "PCDS")
_MOST_FINDINGS = 20
_STYLES = {"SYNCED": "green", "STALE": "yellow", "NACK": "red", "EXPIRED": "red"}


def show(found: Report, output: str, now: datetime) -> Exit:
    """Print the proxies and what is wrong; FOUND when not all is well."""
    if output == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        _tables(found.proxies, now)
        for line in (*rejections(found.proxies), *_wrong(found.findings)):
            click.echo(line)
    return Exit.OK if found.is_good else Exit.FOUND


def _tables(found: Sequence[Row], now: datetime) -> None:
    """Print one table, or two where one would be too wide."""
    if not found:
        say("no proxy is connected")
        return
    xds = [_xds(row) for row in found]
    who = [_who(row, now) for row in found]
    whole = tables.table("PROXY", "IDENTITY", "CERTIFICATE", *TYPES, "PUSHED", "VERSION")
    for row, more, states in zip(found, who, xds, strict=True):
        whole.add_row(row.name, *more, *states)
    if tables.fits(whole):
        tables.show(whole)
        return
    tables.show(_table(("PROXY", *TYPES, "PUSHED", "VERSION"), found, xds))
    click.echo()
    tables.show(_table(("PROXY", "IDENTITY", "CERTIFICATE"), found, who))


def _table(
    columns: Sequence[str], found: Sequence[Row], cells: Sequence[Sequence[Text | str]]
) -> Table:
    made = tables.table(*columns)
    for row, more in zip(found, cells, strict=True):
        made.add_row(row.name, *more)
    return made


def _xds(row: Row) -> list[Text | str]:
    states = [_painted(_state(row, kind)) for kind in TYPES]
    return [*states, _ago(row.last_push_seconds), row.version or "-"]


def _who(row: Row, now: datetime) -> list[Text | str]:
    return [_identity(row.identity), _painted(_certificate(row, now))]


def _painted(text: str) -> Text:
    return Text(text, style=_STYLES.get(text, ""))


def _state(row: Row, kind: str) -> str:
    found = row.types.get(kind)
    return found.state if found and row.connected else "-"


def _identity(identity: str) -> str:
    parts = identity.split("/")
    return f"{parts[4]}/{parts[6]}" if len(parts) == 7 else identity or "-"


def _certificate(row: Row, now: datetime) -> str:
    if not row.certificate_expires:
        return "-"
    left = datetime.fromisoformat(row.certificate_expires) - now
    if left <= timedelta():
        return "EXPIRED"
    age = now - datetime.fromisoformat(row.certificate_issued or row.certificate_expires)
    return f"{_span(max(age, timedelta()))} old, {_span(left)} left"


def _ago(seconds: float | None) -> str:
    return "never" if seconds is None else f"{_span(timedelta(seconds=seconds))} ago"


def _span(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def rejections(found: Iterable[Row]) -> Iterable[str]:
    """Yield which proxies are not connected, and what others rejected, in Envoy's words."""
    for row in found:
        if not row.connected:
            yield ""
            yield f"{row.name}: its Envoy is not connected; see `rhumb ps` and `rhumb logs`"
        for name in (*TYPES, *_OTHERS):
            kind = row.types.get(name)
            if kind is None or kind.state != sync.NACK:
                continue
            yield ""
            yield click.style(f"{row.name} rejected {name}: ", fg="red") + kind.error
            yield from (f"  resource  {each}" for each in kind.refused)
            yield from (f"  object    {each}" for each in kind.objects)


def _wrong(found: Sequence[Problem]) -> Iterable[str]:
    """Yield what is wrong with the configuration, errors first; advice is left out."""
    found = [problem for problem in found if problem.level != "info"]
    if not found:
        return
    yield ""
    yield click.style("CONFIGURATION", bold=True)
    for problem in found[:_MOST_FINDINGS]:
        text = problem.text()
        yield click.style(text, fg="red") if problem.rejects else text
    if len(found) > _MOST_FINDINGS:
        yield f"and {len(found) - _MOST_FINDINGS} more: see `rhumb status -o json`"


@click.command(epilog="Example: rhumb status -o json")
@click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True
)
@click.option("-f", "--file", type=click.Path(path_type=Path), help="rhumb.yaml of a local mesh.")
@click.option(
    "--control-plane",
    metavar="HOST:PORT",
    help=f"Monitoring address; by default the local mesh's, else {sync.DEFAULT_ADDRESS}.",
)
def command(output: str, file: Path | None, control_plane: str | None) -> None:
    """Show every proxy: identity, certificate, state of each xDS type.

    \b
    SYNCED  has accepted all that it should have
    STALE   something is on its way, or not answered yet
    NACK    rejected something; it goes on with what it had
    -       does not ask for this type (a sidecar's own certificate, for one,
            comes from files, so SDS is what gateways' secrets come by)

    Below stands what proxies rejected and why, and what is wrong with the
    configuration: errors keep an object out of force, warnings do not.

    Exit codes: 0 all is in step, 1 a proxy is STALE, NACK or not connected, or
    an object was rejected, 2 the control plane does not answer.
    """
    fetch = sync.fetch_from(control_plane) if control_plane else sync.fetch_local(file)
    if fetch is None:
        fetch = sync.fetch_from(sync.DEFAULT_ADDRESS)
    raise SystemExit(show(sync.report(fetch), output, datetime.now(UTC)))
