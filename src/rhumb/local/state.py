"""Where a local mesh keeps what outlives its commands: one directory, removed by `rhumb down`."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import msgspec

from rhumb.base.errors import RhumbError
from rhumb.local import processes
from rhumb.model.proxy import Interception

CONTROL = "control.sock"
PID = "host.pid"
LOG = "mesh.log"
SOURCE = "source"
CAPTURE = "capture"


class State(msgspec.Struct, frozen=True):
    """One mesh's directory."""

    directory: Path

    @property
    def control(self) -> Path:
        """Return the socket that the supervisor listens on."""
        return self.directory / CONTROL

    @property
    def generated(self) -> Path:
        """Return the directory of objects that describe the mesh's own services and workloads."""
        return self.directory / "generated"

    @property
    def plane(self) -> Path:
        """Return the directory of the control plane: its CA, join tokens, health of workloads."""
        return self.directory / "control-plane"

    @property
    def capture(self) -> Interception:
        """Return what the mesh stands on: REDIRECT in namespaces, NONE on loopback."""
        try:
            return Interception((self.directory / CAPTURE).read_text().strip())
        except (OSError, ValueError):
            return Interception.REDIRECT

    @property
    def logs(self) -> Path:
        """Return the directory of one log for each workload and proxy."""
        return self.directory / "logs"

    def log(self, name: str) -> Path:
        """Return the log file of a workload (`reviews-v1.default`), a proxy (`... .proxy`) or a part."""
        return self.logs / f"{name}.log"

    @property
    def pid(self) -> int | None:
        """Return the host process's id when it runs."""
        try:
            pid = int((self.directory / PID).read_text())
        except (OSError, ValueError):
            return None
        return pid if self.is_host(pid) else None

    def is_host(self, pid: int) -> bool:
        """Tell whether a process is the mesh's host: it may be at work when its file has gone already."""
        return str(self.directory) in processes.command_line(pid)

    def make(self) -> None:
        """Make the directory; nobody else may read it: it holds keys."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)
        self.logs.mkdir(exist_ok=True)
        self.generated.mkdir(exist_ok=True)

    def remove(self) -> None:
        """End what a killed mesh may have left, then remove the directory and all in it."""
        processes.end(str(self.directory))
        shutil.rmtree(self.directory, ignore_errors=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other commands that change this mesh out.

        Raises RhumbError when one is at work, or nothing can be kept here.
        """
        path = self.directory.with_suffix(".lock")
        with _opened(path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RhumbError(
                    "another rhumb command is changing this mesh", hint="wait until it has ended"
                ) from None
            try:
                yield
            finally:
                path.unlink(missing_ok=True)


def _opened(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w")
    except OSError as error:
        raise RhumbError(
            f"cannot keep a mesh's state in {path.parent}: {error.strerror}",
            hint="make it yours, or name another place in the variable XDG_STATE_HOME",
        ) from None


def root() -> Path:
    """Return the directory of all local meshes (XDG_STATE_HOME/rhumb)."""
    base = os.environ.get("XDG_STATE_HOME")  # noqa: TID251 - local/ reads its own environment
    return (Path(base) if base else Path.home() / ".local" / "state") / "rhumb"


def of(file: Path) -> State:
    """Return the state of the mesh that a rhumb.yaml describes: each file is a mesh of its own."""
    path = file.resolve()
    digest = hashlib.blake2b(str(path).encode(), digest_size=4).hexdigest()
    return State(root() / f"{path.parent.name[:24]}-{digest}")


def running() -> list[State]:
    """Return the meshes of this user that run now."""
    found = [State(path.parent) for path in sorted(root().glob(f"*/{PID}"))]
    return [state for state in found if state.pid is not None]


def find(file: Path | None) -> State:
    """Return the mesh a command means: the file's, else the one that runs.

    Raises RhumbError when none or several run. One that has ended may still be asked for, by its file.
    """
    if file is not None:
        named = of(file)
        if not named.directory.exists():
            raise RhumbError(
                f"no mesh of {file} runs",
                hint=f"start it with `rhumb up -f {file}`, or correct the path",
            )
        return named
    here = of(Path("rhumb.yaml"))
    if here.pid is not None:
        return here
    found = running()
    if not found:
        raise RhumbError("no local mesh runs", hint="start one with `rhumb up` or `rhumb demo`")
    if len(found) > 1:
        names = ", ".join((s.directory / SOURCE).read_text().strip() for s in found)
        raise RhumbError(f"several local meshes run: {names}", hint="choose one with -f FILE")
    return found[0]
