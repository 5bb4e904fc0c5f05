"""Child processes: started inside a namespace, their end and their output seen by the event loop."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from rhumb.agent import netns

Lines = Callable[[str], None]
"""Takes one line of output, without its end."""

_LONGEST_LINE = 256 * 1024


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What to run. `stdout` and `stderr` are file descriptors; None inherits."""

    argv: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str] | None = None
    """All of its variables; None inherits."""
    stdout: int | None = None
    stderr: int | None = None


Launch = Callable[[Command], subprocess.Popen[bytes]]
"""Starts a process at once (no await). The local mesh brings its own, which adds namespaces."""


def launcher(enter: netns.Enter) -> Launch:
    """Return a plain launcher into one network namespace."""

    def launch(command: Command) -> subprocess.Popen[bytes]:
        with enter():
            return subprocess.Popen(  # noqa: S603 - argv is ours or the operator's
                command.argv,
                cwd=command.directory,
                env=None if command.environment is None else dict(command.environment),
                stdin=subprocess.DEVNULL,
                stdout=command.stdout,
                stderr=command.stderr,
                # Ctrl-C in a terminal must reach us alone: we end our children in order.
                start_new_session=True,
            )

    return launch


async def wait_exit(process: subprocess.Popen[bytes]) -> int:
    """Wait until the process has ended and return its code, negative for a signal."""
    handle = _handle(process.pid)
    if handle is None:
        return await asyncio.to_thread(process.wait)
    await _readable(handle)
    return process.wait()


def _handle(pid: int) -> int | None:
    """Return a descriptor that tells of the end; None where there is none to be had, for whatever reason."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # gone already, too many open files, a sandbox
        return None


async def _readable(handle: int) -> None:
    loop = asyncio.get_running_loop()
    seen = asyncio.Event()
    loop.add_reader(handle, seen.set)
    try:
        await seen.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


def cause(code: int) -> str:
    """Say how a process ended, by the code of `wait_exit`: exit code 3, SIGKILL."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def send(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal a process, if it is still there."""
    if process.poll() is None:
        process.send_signal(number)


class LineReader(asyncio.Protocol):
    """The reading end of a pipe, cut into lines."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._rest = b""
        self.closed = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        """Pass on every complete line; an endless one is cut."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            self._lines(line.decode(errors="replace"))
        if len(self._rest) > _LONGEST_LINE:
            self._lines(self._rest.decode(errors="replace"))
            self._rest = b""

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on what came without a line end."""
        if self._rest:
            self._lines(self._rest.decode(errors="replace"))
            self._rest = b""
        self.closed.set()


async def read_lines(lines: Lines) -> tuple[int, LineReader]:
    """Make a pipe whose lines are passed on; return its writing end, which the caller closes."""
    reading, writing = os.pipe()
    loop = asyncio.get_running_loop()
    _, reader = await loop.connect_read_pipe(
        lambda: LineReader(lines), os.fdopen(reading, "rb", buffering=0)
    )
    return writing, reader
