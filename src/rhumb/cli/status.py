"""`rhumb status`: every proxy of a mesh, as the control plane sees it."""

import http.client
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import msgspec

from rhumb.base.errors import RhumbError
from rhumb.cli.printer import Exit

PAGE = "/debug/syncz"
FINDINGS = "/debug/findings"
DEFAULT_ADDRESS = "127.0.0.1:15014"
TYPES = ("CDS", "EDS", "LDS", "RDS")
_OTHERS = ("SDS", "ECDS", "NDS", "PCDS")
_MOST_FINDINGS = 20
_COLOURS = {"SYNCED": "green", "STALE": "yellow", "NACK": "red"}

Fetch = Callable[[str], bytes]
"""Path of a monitoring page to its body; raises RhumbError when the control plane does not answer."""


class Kind(msgspec.Struct, kw_only=True):
    """One xDS type of one stream."""

    state: str
    resources: int = 0
    error: str = ""
    refused: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()


class Stream(msgspec.Struct, kw_only=True):
    """One stream of the page."""

    proxy: str
    name: str
    role: str
    identity: str = ""
    certificate_issued: str = ""
    certificate_expires: str = ""
    address: str = ""
    version: str = ""
    connected_seconds: float = 0.0
    last_push_seconds: float | None = None
    pushes: int = 0
    types: dict[str, Kind] = {}


class Row(msgspec.Struct, kw_only=True):
    """One proxy: what its Envoy and its agent are connected with."""

    name: str
    role: str
    connected: bool
    """Envoy's own stream is there."""
    agent: bool
    """The agent's stream is there."""
    identity: str
    certificate_issued: str
    certificate_expires: str
    version: str
    pushes: int
    last_push_seconds: float | None
    types: dict[str, Kind]


class Problem(msgspec.Struct, kw_only=True):
    """What is wrong with the configuration in force."""

    level: str
    file: str = ""
    line: int = 0
    object: str = ""
    field: str = ""
    message: str
    fix: str = ""

    def text(self) -> str:
        """Return it on one line."""
        where = f"{self.file}:{self.line}: " if self.file else ""
        what = "".join(f"{part}: " for part in (self.object, self.field) if part)
        fix = f" ({self.fix})" if self.fix else ""
        return f"{where}{self.level}: {what}{self.message}{fix}"


def problems(page: bytes) -> list[Problem]:
    """Read the page of findings; advice is left out."""
    found = msgspec.json.decode(page, type=list[Problem])
    return [problem for problem in found if problem.level in ("error", "warning")]


def rows(page: bytes) -> list[Row]:
    """Read the page: one row for each proxy, its streams joined.

    Raises RhumbError when it is not the page.
    """
    try:
        streams = msgspec.json.decode(page, type=list[Stream])
    except msgspec.MsgspecError as error:
        raise RhumbError(
            f"the answer is not the status of a control plane: {error}",
            hint="--control-plane takes the address of its monitoring port (15014)",
        ) from None
    named: dict[str, list[Stream]] = {}
    for stream in streams:
        named.setdefault(stream.name, []).append(stream)
    return [_row(name, found) for name, found in sorted(named.items())]


def _row(name: str, streams: Sequence[Stream]) -> Row:
    agents = [s for s in streams if s.role == "agent"]
    # After a reconnection the old stream may still be there; the younger one counts.
    envoys = sorted((s for s in streams if s.role != "agent"), key=lambda s: s.connected_seconds)
    main = envoys[0] if envoys else agents[0]
    types = {name: kind for s in (*agents[:1], *envoys[:1]) for name, kind in s.types.items()}
    return Row(
        name=name,
        role=main.role,
        connected=bool(envoys),
        agent=bool(agents),
        identity=main.identity,
        certificate_issued=main.certificate_issued,
        certificate_expires=main.certificate_expires,
        version=main.version,
        pushes=main.pushes,
        last_push_seconds=main.last_push_seconds,
        types=types,
    )


def fetch_from(address: str) -> Fetch:
    """Return what asks the monitoring port at HOST:PORT."""

    def fetch(path: str) -> bytes:
        connection = http.client.HTTPConnection(address, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise RhumbError(
                f"no control plane answers at {address}: {error}",
                hint="start one with `rhumb serve` or `rhumb up`, or name it with --control-plane",
            ) from None
        finally:
            connection.close()
        if answer.status != 200:
            raise RhumbError(f"{address}{path} answers {answer.status}: {body[:200].decode()}")
        return body

    return fetch


def show(found: Sequence[Row], output: str, now: datetime, wrong: Sequence[Problem] = ()) -> Exit:
    """Print the proxies, and (in the table) what is wrong; FOUND when a proxy has rejected something."""
    rejected = [row for row in found if any(k.state == "NACK" for k in row.types.values())]
    if output == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    elif not found:
        click.echo("no proxy is connected", err=True)
    else:
        _table(found, now)
        for line in _rejections(rejected):
            click.echo(line)
    if output != "json":
        for line in _wrong(wrong):
            click.echo(line)
    return Exit.FOUND if rejected else Exit.OK


def _table(found: Sequence[Row], now: datetime) -> None:
    lines: list[tuple[str, ...]] = [
        ("PROXY", "IDENTITY", "CERTIFICATE", *TYPES, "PUSHED", "VERSION")
    ]
    lines += [
        (
            row.name,
            _identity(row.identity),
            _certificate(row, now),
            *(_state(row, kind) for kind in TYPES),
            _ago(row.last_push_seconds),
            row.version or "-",
        )
        for row in found
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for number, line in enumerate(lines):
        cells = [
            _paint(cell, width, head=number == 0) for cell, width in zip(line, widths, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())


def _paint(cell: str, width: int, *, head: bool) -> str:
    padded = cell.ljust(width)
    if head:
        return click.style(padded, bold=True)
    colour = _COLOURS.get(cell)
    return click.style(padded, fg=colour) if colour else padded


def _state(row: Row, kind: str) -> str:
    if not row.connected:
        return "-"
    found = row.types.get(kind)
    return found.state if found else "NOT SENT"


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


def _rejections(found: Iterable[Row]) -> Iterable[str]:
    for row in found:
        for name in (*TYPES, *_OTHERS):
            kind = row.types.get(name)
            if kind is None or kind.state != "NACK":
                continue
            yield ""
            yield click.style(f"{row.name} rejected {name}: ", fg="red") + kind.error
            yield from (f"  resource  {each}" for each in kind.refused)
            yield from (f"  object    {each}" for each in kind.objects)


def _wrong(found: Sequence[Problem]) -> Iterable[str]:
    """Yield what is wrong with the configuration, errors first."""
    if not found:
        return
    yield ""
    for problem in sorted(found, key=lambda p: p.level)[:_MOST_FINDINGS]:
        text = problem.text()
        yield click.style(text, fg="red") if problem.level == "error" else text
    if len(found) > _MOST_FINDINGS:
        yield f"and {len(found) - _MOST_FINDINGS} more: see {FINDINGS} of the control plane"


def _local(file: Path | None) -> Fetch | None:
    """Return what asks the control plane of the local mesh; None when none runs and none was named."""
    from rhumb.local import control, state  # noqa: PLC0415 - only when a mesh is looked for

    if file is None and not state.running():
        return None
    mesh = state.find(file)

    def fetch(path: str) -> bytes:
        answer = control.call(mesh.control, {"do": "get", "path": path})
        if answer["status"] != 200:
            raise RhumbError(f"the control plane answers {answer['status']}: {answer['body']}")
        return str(answer["body"]).encode()

    return fetch


@click.command(
    epilog="Exit code 1 when a proxy has rejected configuration. Example: rhumb status -o json"
)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table")
@click.option("-f", "--file", type=click.Path(path_type=Path), help="rhumb.yaml of a local mesh.")
@click.option(
    "--control-plane",
    metavar="HOST:PORT",
    help=f"Monitoring address; by default the local mesh's, else {DEFAULT_ADDRESS}.",
)
def command(output: str, file: Path | None, control_plane: str | None) -> None:
    """Show every proxy: identity, certificate, xDS state.

    \b
    SYNCED    has accepted all that it should have
    STALE     something is on its way, or not answered yet
    NACK      rejected something; it goes on with what it had
    NOT SENT  has not asked for this type

    Below the table stands what proxies rejected and why, and what is wrong
    with the configuration: errors, conflicts, patches that were left out.
    """
    fetch = fetch_from(control_plane) if control_plane else _local(file)
    if fetch is None:
        fetch = fetch_from(DEFAULT_ADDRESS)
    wrong = problems(fetch(FINDINGS)) if output == "table" else []
    raise SystemExit(show(rows(fetch(PAGE)), output, datetime.now(UTC), wrong))
