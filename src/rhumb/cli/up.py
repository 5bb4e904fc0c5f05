"""`rhumb up`: start a local mesh, or bring it up to date."""

from pathlib import Path

import click

from rhumb.cli import tables
from rhumb.cli.printer import say
from rhumb.local import state, up

FILE = click.option(
    "-f",
    "--file",
    default="rhumb.yaml",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Description of the mesh.",
)


@click.command(epilog="Example: rhumb up -f samples/bookinfo/rhumb.yaml")
@FILE
def command(file: Path) -> None:
    """Start a local mesh from rhumb.yaml, or bring it up to date.

    Running it again is harmless: only what changed restarts.
    """
    say(f"starting the mesh of {file} ...")
    found = up.up(file, state.of(file), progress=lambda _status: None)
    tables.workloads(found)
    for line in tables.published(found):
        say(line)
