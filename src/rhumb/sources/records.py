"""What is kept of workloads that speak for themselves: a directory, which several control planes may share."""

import contextlib
import fcntl
import logging
import os
import secrets
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import TextIO
from urllib.parse import quote

import msgspec

from rhumb.base.files import write_atomic
from rhumb.model.kinds.table import NETWORKING
from rhumb.model.resource import Key
from rhumb.sources.scan import Stamp, scan, stamp_of

_log = logging.getLogger(__name__)

_LOCK_ATTEMPTS, _LOCK_PAUSE_S = 50, 0.005


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of one workload."""

    namespace: str
    name: str
    healthy: bool | None = None
    """None: its agent has said nothing yet."""
    reason: str = ""
    group: str = ""
    """WorkloadGroup of a machine that registered itself; empty for entries written by hand."""
    address: str = ""
    network: str = ""
    locality: str = ""
    labels: dict[str, str] = {}
    at: tuple[str, ...] = ()
    """The control planes that it has streams to."""
    left: datetime | None = None
    """When the last of its streams ended; None while it is connected."""

    @property
    def key(self) -> Key:
        """Return the WorkloadEntry that this is about."""
        return Key(NETWORKING, "WorkloadEntry", self.namespace, self.name)


Change = Callable[[Record], Record]


class Records:
    """The records in a directory, one file each, as they were read or written last.

    Each is changed under a lock from what it is on the disk by then: another control plane may have
    written it. `news` tells what others did.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.me = secrets.token_hex(8)
        """What this control plane is called in `Record.at`."""
        self._by_key: dict[Key, Record] = {}
        self._seen: dict[str, tuple[Stamp, Key | None]] = {}
        """File to its stamp and what is in it; None when that is not readable."""
        self._unkept: dict[Key, tuple[Change, ...]] = {}
        """What is not on the disk as it is known here, and the changes that are missing there."""
        self._waited_in_vain = False
        """For the lock."""
        self._untold: dict[Key, None] = {}
        """What was read, for whatever reason, and is not told yet."""
        self._presence: weakref.finalize[[int], Records] | None = None
        """Ends what shows to others that this control plane runs."""

    @property
    def by_key(self) -> Mapping[Key, Record]:
        """Return what is known."""
        return MappingProxyType(self._by_key)

    def news(self, paths: Iterable[str] | None = None) -> list[tuple[Key, Record | None]]:
        """Read what changed on the disk, of these files or of all; return what others wrote since the last call.

        None stands for a record that is gone.
        """
        if paths is None:
            paths = sorted(scan((self.directory,)).keys() | self._seen)
        failed = []
        for path in paths:
            try:
                self._read(path)
            except OSError as error:
                failed.append(error)
        if failed:
            extra = {"failures": len(failed), "error": failed[0]}
            _log.error("workload records not readable, what is known holds", extra=extra)
        told, self._untold = self._untold, {}
        return [(key, self._by_key.get(key)) for key in told]

    def look(self, key: Key) -> Record | None:
        """Return a record as it is on the disk now."""
        with contextlib.suppress(OSError):  # what is known holds
            self._read(self._path(key))
        return self._by_key.get(key)

    def change(self, key: Key, change: Change) -> Record:
        """Change a record, or begin one, and return it; a change that makes no difference writes nothing.

        A disk that does not take it is reported; the change holds in memory, for `keep` to write it.
        """
        missing = self._unkept.get(key, ())
        try:
            return self._write(key, (*missing, change))
        except OSError as error:
            if key not in self._unkept:
                extra = {"file": self._path(key), "error": error}
                _log.error("workload record not kept yet", extra=extra)
            self._unkept[key] = (*missing, change)
            record = self._by_key[key] = change(self._known(key))
            return record

    def keep(self) -> None:
        """Write what the disk did not take, or has lost although the workload is connected here."""
        for key, missing in tuple(self._unkept.items()):
            with contextlib.suppress(OSError):  # reported already
                self._write(key, missing)

    def _write(self, key: Key, changes: Iterable[Change]) -> Record:
        path = self._path(key)
        with self._locked():
            self._read(path)
            before, record = self._by_key.get(key), self._known(key)
            for change in changes:
                record = change(record)
            if self.me in record.at:
                self._announce()
            if record != before or key in self._unkept:
                write_atomic(Path(path), msgspec.json.encode(record), mode=0o600)
                self._note(path, record)
        return record

    def _known(self, key: Key) -> Record:
        return self._by_key.get(key) or Record(namespace=key.namespace, name=key.name)

    def remove(self, key: Key, is_over: Callable[[Record], bool]) -> bool:
        """Remove a record if it is still over by what is on the disk; return whether it is gone."""
        path = self._path(key)
        try:
            with self._locked():
                self._read(path)
                current = self._by_key.get(key)
                if current is not None and not is_over(current):
                    return False
                Path(path).unlink(missing_ok=True)
        except OSError as error:
            _log.error("workload record not removed", extra={"file": path, "error": error})
            return False
        self._seen.pop(path, None)
        self._by_key.pop(key, None)
        self._unkept.pop(key, None)
        return True

    def running(self) -> frozenset[str]:
        """Return the control planes that are there; what is left of those that ended is removed.

        Raises OSError when that cannot be told.
        """
        with self._locked():
            planes = self._planes.iterdir() if self._planes.is_dir() else ()
            others = [path for path in planes if path.name != self.me]
            return frozenset({self.me, *(path.name for path in others if not _ended(path))})

    def close(self) -> None:
        """Let the others see that this control plane has ended."""
        if self._presence is not None:
            self._presence()
            self._presence = None
            (self._planes / self.me).unlink(missing_ok=True)

    @property
    def _planes(self) -> Path:
        return self.directory / ".planes"

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.directory / ".lock").open("w") as lock:
            # What one that hangs holds must not stop the others: each waits once.
            attempts = 0 if self._waited_in_vain else _LOCK_ATTEMPTS
            self._waited_in_vain = True
            _lock(lock, attempts)
            self._waited_in_vain = False
            yield

    def _announce(self) -> None:
        """Show that this control plane runs: by a file whose lock goes with the process, however it ends."""
        path = self._planes / self.me
        if self._presence is not None:
            if path.exists():
                return
            self._presence()  # its directory was removed
        self._planes.mkdir(exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        self._presence = weakref.finalize(self, os.close, handle)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _read(self, path: str) -> None:
        """Take a file as it is. Raises OSError when that cannot be told: it is not taken for gone."""
        seen = self._seen.get(path)
        try:
            stamp = Stamp.of(Path(path).stat())
            if seen is not None and stamp == seen[0]:
                return
            text = Path(path).read_bytes()
        except FileNotFoundError:
            self._lose(path)
            return
        try:
            record = msgspec.json.decode(text, type=Record)
        except msgspec.MsgspecError as error:
            _log.error("workload record not readable", extra={"file": path, "error": error})
            self._seen[path] = stamp, seen[1] if seen else None
            return
        self._seen[path] = stamp, record.key
        self._by_key[record.key] = record
        self._untold[record.key] = None

    def _lose(self, path: str) -> None:
        _, key = self._seen.pop(path, (None, None))
        record = self._by_key.get(key) if key is not None else None
        if record is None:
            return
        if self.me in record.at:
            # No control plane removes it then: its directory was removed, or replaced by an older one.
            self._unkept.setdefault(record.key, ())
        else:
            del self._by_key[record.key]
            self._unkept.pop(record.key, None)
            self._untold[record.key] = None

    def _note(self, path: str, record: Record) -> None:
        stamp = stamp_of(path)
        if stamp is not None:
            self._seen[path] = stamp, record.key
        self._by_key[record.key] = record
        self._unkept.pop(record.key, None)

    def _path(self, key: Key) -> str:
        # Quoted, as a workload may call itself anything, also `/../x`.
        return str(self.directory / f"{quote(f'{key.namespace}.{key.name}', safe='')}.json")


def _lock(file: TextIO, attempts: int) -> None:
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if not attempts:
                why = "another control plane does not let go of it"
                raise BlockingIOError(error.errno, why, file.name) from None
        else:
            return
        attempts -= 1
        time.sleep(_LOCK_PAUSE_S)


def _ended(path: Path) -> bool:
    """Tell whether the control plane of a file has ended; its file goes with it."""
    try:
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except BlockingIOError:
        return False
    except FileNotFoundError:
        pass
    return True
