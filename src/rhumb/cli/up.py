"""`rhumb up`: start a local mesh, or bring it up to date."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click

from rhumb.base.errors import RhumbError
from rhumb.cli import status, sync, tables
from rhumb.cli.printer import say
from rhumb.local import state, up
from rhumb.local.loopback import LOST
from rhumb.local.state import State
from rhumb.model.proxy import Interception

FILE = click.option(
    "-f",
    "--file",
    default="rhumb.yaml",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Description of the mesh.",
)


CAPTURE = click.option(
    "--capture",
    type=click.Choice(["auto", "redirect", "none"]),
    default="auto",
    show_default=True,
    help="How traffic gets into the mesh.",
)
_DEEDS = ("started", "restarted", "stopped")
_MODES = {"auto": None, "redirect": Interception.REDIRECT, "none": Interception.NONE}


def start(file: Path, found: State, capture: str, *, with_parent: bool = False) -> tables.Json:
    """Start a mesh as --capture says, and tell of what it lacks; or bring up to date one that runs."""
    try:
        started = up.up(
            file,
            found,
            capture=_MODES[capture],
            with_parent=with_parent,
            notice=lambda text: say(f"{click.style('notice', fg='yellow')}: {text}"),
        )
    except RhumbError:
        with suppress(RhumbError):  # it may not have come that far
            _tell_problems(found)
        raise
    if found.capture is Interception.NONE and "changes" not in started:
        for line in LOST:
            say(line)
    return started


@click.command(epilog="Example: rhumb up -f samples/bookinfo/rhumb.yaml")
@FILE
@CAPTURE
def command(file: Path, capture: str) -> None:
    """Start a local mesh from rhumb.yaml, or bring it up to date.

    Running it again is harmless: only what changed restarts.

    \b
    --capture says how traffic gets into the mesh:
      redirect  each workload in namespaces of its own; its traffic is redirected
      none      no namespaces: programs call through $HTTP_PROXY
      auto      redirect where the machine allows it, else none, with a notice
    """
    mesh = state.of(file)
    words = "starting the mesh of {} ..." if mesh.pid is None else "the mesh of {} runs already ..."
    say(words.format(file))
    found = start(file, mesh, capture)
    for line in _changes(found.get("changes")):
        say(line)
    tables.workloads(found)
    for line in tables.published(found):
        say(line)
    _tell_problems(mesh)


def _changes(found: object) -> Iterator[str]:
    """Yield what was done to a mesh that ran already."""
    if not isinstance(found, dict):
        return
    done = [f"{word}: {', '.join(found[word])}" for word in _DEEDS if found.get(word)]
    yield from done or ["no workload has changed"]


def _tell_problems(mesh: State) -> None:
    """Say at once what `rhumb status` would: a mesh with mistakes in its files runs, but for these."""
    found = sync.report(sync.fetch_mesh(mesh))
    for problem in found.findings:
        if problem.level != "info":
            say(problem.text())
    refusing = [row for row in found.proxies if row.rejects]
    for line in status.rejections(refusing[:1]):
        say(line)
    if len(refusing) > 1:
        say(f"and {len(refusing) - 1} more proxies rejected something: see `rhumb status`")
