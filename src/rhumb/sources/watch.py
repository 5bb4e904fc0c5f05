"""Changes of directories as they happen, on any system."""

import asyncio
import logging
import stat
import threading
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

# The core, although it is not announced: what is (`watch`, `awatch`) begins to watch only when it is asked
# for changes, so that those between our first reading and then would be missed.
from watchfiles._rust_notify import RustNotify

from rhumb.sources.inotify import Inotify, is_available

_log = logging.getLogger(__name__)

_STEP_MS = 2
"""How long changes must rest before they are read."""
_DEBOUNCE_MS = 100
"""How long an unresting stream of changes is collected at most."""
_SWEEP_MS = 5_000
"""A look at everything, for file systems that notify nobody and directories that come back."""


async def changes(
    watched: Sequence[Path], *, recursive: bool
) -> AsyncGenerator[Sequence[str], None]:
    """Yield paths that are told to have changed, for ever; an empty sequence asks to look at everything.

    Directories that are removed are watched again once something is in their place.
    """
    while True:
        identity = _identity(watched)
        present = [str(path) for path, known in zip(watched, identity, strict=True) if known]
        stop = threading.Event()
        with _notifier(present, recursive=recursive) as notify:
            try:
                # What changed between reading and watching is found by looking once more.
                yield ()
                told: list[str] = []
                # What is told of a directory itself names no path: it may be gone, its number in use again.
                while "" not in told and identity == _identity(watched):
                    seen = await asyncio.to_thread(
                        notify.watch, _DEBOUNCE_MS, _STEP_MS, _SWEEP_MS, stop
                    )
                    told = [path for _, path in seen] if isinstance(seen, set) else []
                    yield [path for path in told if path]
            finally:
                stop.set()


def _notifier(paths: Sequence[str], *, recursive: bool) -> RustNotify | Inotify:
    """Return a watcher; where the system refuses one, a watcher of nothing, whose time-outs still sweep."""
    try:
        if is_available():
            return Inotify(paths, recursive=recursive)
        return RustNotify(list(paths), False, False, 0, recursive, True)
    except OSError as error:
        _log.warning(
            "cannot watch for changes, looking every few seconds", extra={"error": str(error)}
        )
        return RustNotify([], False, False, 0, recursive, True)


def _identity(paths: Sequence[Path]) -> list[int]:
    """Return what tells directories from those that took their place later; 0 where there is none."""
    return [_number(path) for path in paths]


def _number(path: Path) -> int:
    try:
        status = path.stat()
    except OSError:  # also one that the system does not give out at the moment
        return 0
    return status.st_ino if stat.S_ISDIR(status.st_mode) else 0
