"""What the terminal gets: standard output is data, standard error is talk."""

import enum
import os
import sys
from collections.abc import Mapping

import click

from rhumb.base.errors import RhumbError


class Exit(enum.IntEnum):
    """What scripts may rely on."""

    OK = 0
    FOUND = 1
    """The tool worked; the mesh or the configuration has a problem."""
    FAILED = 2
    """The tool did not work: wrong usage, or something it needs is missing."""
    INTERRUPTED = 130
    """Ended by Ctrl-C, as a shell has it."""
    NO_READER = 141
    """What was to read the output went away, as a shell has it."""


def color() -> bool | None:
    """Return whether to use colour: False where NO_COLOR says so, else None, which asks the terminal."""
    return False if os.environ.get("NO_COLOR") else None  # noqa: TID251 - the terminal's own wish


def say(text: str) -> None:
    """Print talk (progress, advice) for people."""
    click.echo(text, err=True)


def fail(error: RhumbError) -> Exit:
    """Say what went wrong and, on its own line, what to try."""
    # The command's context, which knew of colours, has ended.
    click.echo(f"{click.style('error', fg='red', bold=True)}: {error}", err=True, color=color())
    if error.hint:
        click.echo(f"{click.style('hint', fg='cyan')}: {error.hint}", err=True, color=color())
    sys.stderr.flush()
    return Exit.FAILED


def exit_code(answer: Mapping[str, object]) -> int:
    """Return the exit code of a program that ran for us, as a shell has it: 128 + N for signal N."""
    code = int(str(answer["code"]))
    return code if code >= 0 else 128 - code
