"""Configuration files as arguments of commands, and what is wrong with them as lines."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from rhumb.base.errors import RhumbError
from rhumb.model.finding import Finding, Level
from rhumb.sources.scan import scan

_COLOURS = {Level.ERROR: "red", Level.WARNING: "yellow", Level.INFO: "cyan"}

STANDARD_INPUT = "-"
PATHS = click.option(
    "-f",
    "--file",
    "paths",
    multiple=True,
    metavar="PATH",
    help="File or directory (with all below it), - for standard input; may be repeated.",
)


def named(paths: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    """Join the paths after `-f` and those without. Raises click.UsageError when there is none."""
    if not paths + more:
        raise click.UsageError("Missing option '-f' / '--file'.")
    return paths + more


def texts(paths: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of each configuration file, once and in order; `-` is standard input.

    Raises RhumbError for a path that is missing, empty or unreadable.
    """
    if STANDARD_INPUT in paths:
        yield STANDARD_INPUT, sys.stdin.buffer.read()
    seen: set[Path] = set()
    for file in sorted(_files(path for path in paths if path != STANDARD_INPUT)):
        place = Path(file).resolve()
        if place not in seen:
            seen.add(place)
            yield file, content(file)


def _files(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        root = Path(path)
        if not root.exists():
            raise RhumbError(f"{path} does not exist", hint="name a file or a directory with -f")
        found = scan([root])
        if not found:
            raise RhumbError(
                f"{path} holds no configuration", hint="files must end in .yaml, .yml or .json"
            )
        yield from found


def content(path: str) -> bytes:
    """Return the content of one file, or of standard input for `-`. Raises RhumbError."""
    if path == STANDARD_INPUT:
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise RhumbError(
            f"cannot read {path}: {error.strerror}", hint="check the name and its permissions"
        ) from error


def line(finding: Finding) -> str:
    """Return a finding on one line, its level in colour."""
    level = click.style(finding.level.value, fg=_COLOURS[finding.level], bold=True)
    return finding.text().replace(f": {finding.level.value}: ", f": {level}: ", 1)
