"""`rhumb run`: one more workload of a running local mesh, in this terminal."""

import sys
from pathlib import Path

import click

from rhumb.cli import completion
from rhumb.cli.printer import exit_code, say
from rhumb.local import control, programs, state


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="Example: rhumb run --service reviews --version v4 -- python3 reviews.py",
)
@click.option("-f", "--file", type=click.Path(path_type=Path), help="rhumb.yaml of the mesh.")
@click.option(
    "--service",
    required=True,
    help="Service that the workload belongs to.",
    shell_complete=completion.services,
)
@click.option("--version", required=True, help="Its label `version`; must be new.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def command(file: Path | None, service: str, version: str, command: tuple[str, ...]) -> None:
    """Add one workload to a running local mesh, for as long as the command runs.

    The command should listen on $HOST:$PORT. It gets traffic as soon as it
    does; Ctrl-C ends it and takes the workload out of the mesh. The exit code
    is the command's, as with `rhumb exec`.
    """
    found = state.find(file)
    say(f"adding {service}-{version}; Ctrl-C takes it away")
    answer = control.attach(
        found.control,
        {
            "do": "run",
            "service": service,
            "version": version,
            "argv": list(command),
            "directory": str(Path.cwd()),
            "environment": programs.own_environment(),
        },
        (0, 1, 2),
    )
    sys.exit(exit_code(answer))
