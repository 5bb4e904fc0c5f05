"""`rhumb exec`: a command inside a workload of a local mesh."""

import sys
from pathlib import Path

import click

from rhumb.cli.printer import exit_code
from rhumb.local import control, programs, state


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="Example: rhumb exec productpage -- curl -s http://reviews:9080/reviews/0",
)
@click.option("-f", "--file", type=click.Path(path_type=Path), help="rhumb.yaml of the mesh.")
@click.argument("workload")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def command(file: Path | None, workload: str, command: tuple[str, ...]) -> None:
    """Run a command inside a workload of a local mesh.

    WORKLOAD is a name of `rhumb ps`, or a service's: then its first workload is meant. The command
    has the workload's network and name resolution, so its requests go through the
    sidecar; the exit code is the command's.
    """
    argv = command[1:] if command[0] == "--" else command  # click keeps it behind an argument
    if not argv:
        raise click.UsageError("Missing argument 'COMMAND...'.")
    terminal = programs.own_environment().get("TERM")
    answer = control.attach(
        state.find(file).control,
        {
            "do": "exec",
            "workload": workload,
            "argv": list(argv),
            "directory": str(Path.cwd()),
            "environment": {"TERM": terminal} if terminal else {},
        },
        (0, 1, 2),
    )
    sys.exit(exit_code(answer))
