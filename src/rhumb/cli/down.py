"""`rhumb down`: end a local mesh."""

from pathlib import Path

import click

from rhumb.cli.printer import say
from rhumb.local import state, up


@click.command(epilog="Example: rhumb down")
@click.option("-f", "--file", type=click.Path(path_type=Path), help="rhumb.yaml of the mesh.")
def command(file: Path | None) -> None:
    """Stop a local mesh and clean up after it."""
    found = state.of(file) if file else state.of(Path("rhumb.yaml"))
    if file is None and found.pid is None and state.running():
        found = state.find(None)
    say("stopped" if up.down(found) else "no mesh ran; nothing is left of it")
