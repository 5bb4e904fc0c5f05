"""`rhumb ps`: the workloads of a local mesh."""

import json
from pathlib import Path

import click

from rhumb.cli import tables
from rhumb.local import control, state


@click.command(epilog="Example: rhumb ps -o json")
@click.option("-f", "--file", type=click.Path(path_type=Path), help="rhumb.yaml of the mesh.")
@click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True
)
def command(file: Path | None, output: str) -> None:
    """List the workloads of a local mesh, and where it is reached from outside."""
    found = control.call(state.find(file).control, {"do": "status"})
    if output == "json":
        click.echo(json.dumps(found, indent=2))
        return
    tables.workloads(found)
    if any(tables.published(found)):
        click.echo()
    for line in tables.published(found):
        click.echo(line)
