"""The CA on disk: authorities and rotation, private to their owner, changed under a lock, always whole."""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from rhumb.base.errors import RhumbError
from rhumb.base.files import write_atomic
from rhumb.ca.authority import Authority, load_directory
from rhumb.ca.rotation import Rotation

_STATE = "rotation.json"
_PRIVATE = 0o600


class Store:
    """The state directory: `rotation.json`, one directory in `cacerts` layout for each authority.

    The control plane and `rhumb ca` may use it at once: who changes it holds `locked()`.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def tokens(self) -> Path:
        """Return where join tokens are kept."""
        return self._directory / "tokens"

    @property
    def serving(self) -> Path:
        """Return where the control plane's own key and certificate are kept."""
        return self._directory / "serving"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out; RhumbError when the directory cannot be used."""
        with ExitStack() as stack:
            try:
                self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
                lock = stack.enter_context((self._directory / "lock").open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX)
            except OSError as error:
                raise RhumbError(
                    f"cannot use the CA's state directory {self._directory}: {error.strerror}",
                    hint="the user that runs the control plane must own it, "
                    "and its file system must have locks",
                ) from error
            yield

    def read(self) -> Rotation | None:
        """Return the state in force; None before the first.

        Raises RhumbError when the file is damaged.
        """
        path = self._directory / _STATE
        try:
            return msgspec.json.decode(path.read_bytes(), type=Rotation)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise RhumbError(
                f"cannot read {path}: {error}", hint="restore it from a backup"
            ) from error

    def stamp(self) -> tuple[int, int]:
        """Return what changes whenever the state does; cheap enough to ask every few seconds."""
        try:
            found = (self._directory / _STATE).stat()
        except FileNotFoundError:
            return (0, 0)
        return (found.st_ino, found.st_mtime_ns)

    def write(self, state: Rotation) -> None:
        """Put a state in force; OSError when the disk does not take it."""
        write_atomic(self._directory / _STATE, msgspec.json.encode(state), mode=_PRIVATE)

    def load(self, authority: str) -> Authority:
        """Load an authority by id; RhumbError when it is missing or damaged."""
        return load_directory(self._directory / authority)

    def save(self, authority: Authority) -> None:
        """Keep an authority; harmless when it is kept already. OSError when the disk does not take it."""
        home = self._directory / authority.id
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, text in authority.files().items():
            write_atomic(home / name, text, mode=_PRIVATE)

    def forget(self, authority: str) -> None:
        """Remove an authority that is no longer trusted; its key with it."""
        home = self._directory / authority
        if home.is_dir():
            for path in home.iterdir():
                path.unlink()
            home.rmdir()
