"""Programs that lost their parent: process 1 of a mesh inherits them, and must collect them."""

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_EVERY_S = 1.0


async def reap() -> None:
    """Collect those that have ended, until cancelled.

    Our own children are waited for elsewhere, at once: what is still there at the next look
    is nobody's.
    """
    before: set[int] = set()
    while True:
        await asyncio.sleep(_EVERY_S)
        found = set(_ended())
        for pid in found & before:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)  # noqa: ASYNC222 - returns at once
        before = found


def _ended() -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            fields = path.read_text().rpartition(")")[2].split()
            if fields[0] == "Z" and int(fields[1]) == os.getpid():
                yield int(path.parent.name)
