"""`rhumb exec`: a command inside a workload of a local mesh."""

import sys
from pathlib import Path

import click

from rhumb.cli import completion
from rhumb.cli.printer import exit_code
from rhumb.local import control, programs, state, terminal


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="Example: rhumb exec productpage -- curl -s http://reviews:9080/reviews/0",
)
@click.option("-f", "--file", type=click.Path(path_type=Path), help="rhumb.yaml of the mesh.")
@click.argument("workload", shell_complete=completion.workloads)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def command(file: Path | None, workload: str, command: tuple[str, ...]) -> None:
    """Run a command inside a workload of a local mesh.

    WORKLOAD is a name of `rhumb ps`, or a service's: then its first workload is
    meant. The command has the workload's network and name resolution, so its
    requests go through the sidecar. From a terminal it gets one of its own.

    The exit code is the command's: 126 when it may not be run, 127 when there
    is none, 128 + N when signal N ended it.
    """
    argv = command[1:] if command[0] == "--" else command  # click keeps it behind an argument
    if not argv:
        raise click.UsageError("Missing argument 'COMMAND...'.")
    socket = state.find(file).control
    kind = programs.own_environment().get("TERM")
    request: control.Json = {
        "do": "exec",
        "workload": workload,
        "argv": list(argv),
        "directory": str(Path.cwd()),
        "environment": {"TERM": kind} if kind else {},
    }
    if terminal.is_terminal():
        with terminal.lent() as lent:
            asked = {**request, "terminal": True}
            answer = control.attach(socket, asked, lent.streams, lent.carry)
    else:
        answer = control.attach(socket, request, (0, 1, 2))
    sys.exit(exit_code(answer))
