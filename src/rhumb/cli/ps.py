"""`rhumb ps`: the workloads of a local mesh."""

import json
from pathlib import Path

import click

from rhumb.cli import tables
from rhumb.local import control, state


@click.command(epilog="Example: rhumb ps -o json")
@click.option("-f", "--file", type=click.Path(path_type=Path), help="rhumb.yaml of the mesh.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table")
def command(file: Path | None, output: str) -> None:
    """List the workloads of a local mesh."""
    found = control.call(state.find(file).control, {"do": "status"})
    if output == "json":
        click.echo(json.dumps(found, indent=2))
    else:
        tables.workloads(found)
