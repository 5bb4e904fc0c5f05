"""`rhumb logs`: what workloads, proxies and the control plane say."""

import time
from collections.abc import Iterator
from pathlib import Path

import click

from rhumb.base.errors import RhumbError
from rhumb.cli import completion
from rhumb.local import state
from rhumb.local.state import LOG, State

_POLL_S = 0.2


@click.command(epilog="Example: rhumb logs -f reviews")
@click.argument("service", required=False, shell_complete=completion.services)
@click.option("--file", type=click.Path(path_type=Path), help="rhumb.yaml of the mesh.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.option("--proxy", is_flag=True, help="Access logs of the sidecars instead.")
@click.option("--tail", default=50, show_default=True, help="Lines of each log to begin with.")
def command(service: str | None, file: Path | None, follow: bool, proxy: bool, tail: int) -> None:
    """Show the logs of a local mesh: of one service, or of all."""
    found = state.find(file)
    paths = _paths(found, service, proxy=proxy)
    if not paths:
        raise RhumbError(f'no log of "{service}"', hint="see `rhumb ps` for the names")
    offsets = {}
    for path in paths:
        text = path.read_bytes()
        offsets[path] = len(text)
        for line in text.decode(errors="replace").splitlines()[-tail:]:
            _show(path, line)
    while follow and found.pid is not None:
        time.sleep(_POLL_S)
        for path in _paths(found, service, proxy=proxy):
            for line in _more(path, offsets):
                _show(path, line)


def _paths(found: State, service: str | None, *, proxy: bool) -> list[Path]:
    logs = sorted(found.logs.glob("*.log"))
    if service is None and not proxy:
        logs.append(found.directory / LOG)
    wanted = [p for p in logs if p.stem.endswith(".proxy") == proxy]
    return [p for p in wanted if service is None or p.name.startswith((f"{service}-", service))]


def _more(path: Path, offsets: dict[Path, int]) -> Iterator[str]:
    with path.open("rb") as file:
        file.seek(offsets.get(path, 0))
        data = file.read()
    whole, _, _ = data.rpartition(b"\n")
    if whole:
        offsets[path] = offsets.get(path, 0) + len(whole) + 1
        yield from whole.decode(errors="replace").splitlines()


def _show(path: Path, line: str) -> None:
    click.echo(f"{click.style(path.stem, fg='cyan')}  {line}")
