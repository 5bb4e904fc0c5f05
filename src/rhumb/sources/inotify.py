"""Changes of directories as Linux tells them (inotify(7)): without looking again and again."""

import ctypes
import os
import select
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock
from types import TracebackType

_MODIFY, _ATTRIB, _CLOSE_WRITE = 0x2, 0x4, 0x8
_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF, _IS_DIRECTORY = 0x400, 0x800, 0x40000000
_WANTED = (
    *(_MODIFY, _ATTRIB, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE),
    *(_DELETE_SELF, _MOVE_SELF),
)
_HEAD = struct.Struct("iIII")
_READ_BYTES = 1 << 16

Seen = set[tuple[int, str]]
"""(mask, path)."""


class Inotify:
    """Watches directories, with everything below them or not. Answers as watchfiles' RustNotify does."""

    def __init__(self, paths: Sequence[str], *, recursive: bool) -> None:
        """Begin to watch. Raises OSError when the system has no more watches."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._recursive = recursive
        self._fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._paths: dict[int, str] = {}
        self._reader, self._writer = os.pipe()
        self._turn = Lock()
        self._is_watching = self._is_over = False
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._poll.register(self._reader, select.POLLIN)
        for path in paths:
            self._add(path)

    def __enter__(self) -> "Inotify":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._turn:
            self._is_over = True
            if self._is_watching:
                os.write(self._writer, b"x")  # who waits in another thread returns, and closes
            else:
                self._close()

    def watch(self, longest_ms: int, step_ms: int, timeout_ms: int, _stop: Event) -> Seen | str:
        """Wait for changes; return them once they rest for a step, or have gone on for the longest time.

        "timeout" when there are none, "stop" when the block is left.
        """
        with self._turn:
            if self._is_over:
                return "stop"
            self._is_watching = True
        try:
            return self._changes(longest_ms, step_ms, timeout_ms)
        finally:
            self._rest()

    def _rest(self) -> None:
        with self._turn:
            self._is_watching = False
            if self._is_over:
                self._close()

    def _changes(self, longest_ms: int, step_ms: int, timeout_ms: int) -> Seen | str:
        seen: Seen = set()
        while not seen:  # drafts alone are nothing yet
            ready = self._poll.poll(timeout_ms)
            if not ready:
                return "timeout"
            for _ in range(longest_ms // step_ms):
                if any(fd == self._reader for fd, _ in ready):
                    return "stop"
                seen.update(self._read())
                ready = self._poll.poll(step_ms)
                if not ready:
                    break
        return seen

    def _close(self) -> None:
        for fd in (self._fd, self._reader, self._writer):
            os.close(fd)

    def _add(self, path: str) -> None:
        mask = 0
        for each in _WANTED:
            mask |= each
        number = self._libc.inotify_add_watch(self._fd, os.fsencode(path), mask)
        if number < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), path)
        fresh = number not in self._paths  # a link may lead to a directory that is known
        self._paths[number] = path
        if self._recursive and fresh:
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.is_dir() and not entry.name.startswith("."):
                        self._add(entry.path)

    def _read(self) -> Iterator[tuple[int, str]]:
        data = os.read(self._fd, _READ_BYTES)
        at = 0
        while at < len(data):
            number, mask, _, length = _HEAD.unpack_from(data, at)
            name = os.fsdecode(data[at + _HEAD.size :][:length].rstrip(b"\0"))
            at += _HEAD.size + length
            path = str(Path(self._paths.get(number, ""), name)) if name else ""
            if mask & _IS_DIRECTORY and mask & (_CREATE | _MOVED_TO) and self._recursive:
                self._enter(path)
            # Drafts of editors are no news; `..data` of a mounted ConfigMap is.
            if not name.startswith(".") or name.startswith(".."):
                yield mask, path

    def _enter(self, path: str) -> None:
        if not Path(path).name.startswith("."):
            # Gone again, or no more watches: then the sweeps find what is in it.
            with suppress(OSError):
                self._add(path)


def is_available() -> bool:
    """Tell whether this system has inotify."""
    return sys.platform == "linux" and hasattr(ctypes.CDLL(None), "inotify_init1")
