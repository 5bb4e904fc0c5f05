"""Processes of this machine, found by their command line or by the mark in their variables."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

MARK = "RHUMB_MESH"
"""Variable that every process of a mesh inherits: the mesh's state directory."""
_PROC = Path("/proc")
_POLL_S = 0.02
_END_S = 5.0


def command_line(pid: int) -> list[str]:
    """Return the arguments of a process; none when there is no such process."""
    if _has_proc():
        try:
            raw = (_PROC / str(pid) / "cmdline").read_bytes()
        except OSError:
            return []
        return [os.fsdecode(part) for part in raw.split(b"\0") if part]
    return _ps("-o", "args=", "-p", str(pid)).split()


def marked(mark: str) -> Iterator[int]:
    """Yield the processes that carry a mark, but for this one; those of other users are not seen."""
    found = _marked_by_proc(mark) if _has_proc() else marked_by_ps(_ps("-AEo", "pid=,args="), mark)
    for pid in found:
        if pid != os.getpid():
            yield pid


def end(mark: str) -> None:
    """Kill all that carry a mark, those that they start meanwhile included."""
    deadline = time.monotonic() + _END_S
    while (found := list(marked(mark))) and time.monotonic() < deadline:
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_POLL_S)


def marked_by_ps(listing: str, mark: str) -> Iterator[int]:
    """Yield the marked processes of a listing of `ps -E` (BSD, macOS): PID, arguments, variables."""
    for line in listing.splitlines():
        pid, _, rest = line.strip().partition(" ")
        if pid.isdigit() and f" {MARK}={mark} " in f"{rest} ":
            yield int(pid)


def _marked_by_proc(mark: str) -> Iterator[int]:
    wanted = f"{MARK}={mark}".encode()
    for path in _PROC.glob("[0-9]*/environ"):
        try:
            if wanted in path.read_bytes().split(b"\0"):
                yield int(path.parent.name)
        except OSError:
            continue  # gone, or not ours


def _has_proc() -> bool:
    return sys.platform == "linux"


def _ps(*options: str) -> str:
    done = subprocess.run(
        ["ps", "-ww", *options],  # noqa: S607 - where it is differs
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout
