"""A local mesh for a scenario: started from a rhumb.yaml, driven by rhumb's own commands, ended whatever happens."""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from rhumb.local.programs import inherited_environment


class LocalMesh:
    """One running mesh with a home of its own."""

    def __init__(self, file: Path, home: Path, variables: Mapping[str, str]) -> None:
        self.file, self.home, self._variables = file, home, variables

    def rhumb(self, *arguments: str) -> str:
        """Run a command of rhumb; return what it prints."""
        own = {"XDG_STATE_HOME": str(self.home / "s"), **self._variables}
        variables = inherited_environment() | own
        variables.pop("PYTHONDONTWRITEBYTECODE", None)  # installed packages are compiled
        done = subprocess.run(
            [sys.executable, "-m", "rhumb", *arguments],
            env=variables,
            cwd=self.file.parent,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=120,
        )
        return done.stdout

    def inside(self, workload: str, *argv: str) -> str:
        """Run a command in a workload's namespace; return what it prints."""
        return self.rhumb("exec", "-f", str(self.file), workload, "--", *argv)

    def status(self) -> dict[str, object]:
        """Return what `rhumb ps` knows."""
        found: dict[str, object] = json.loads(self.rhumb("ps", "-f", str(self.file), "-o", "json"))
        return found

    @property
    def host(self) -> int:
        """Return the number of the process that holds the mesh."""
        (path,) = (self.home / "s" / "rhumb").glob("*/host.pid")
        return int(path.read_text())


@contextmanager
def running(file: Path, variables: Mapping[str, str] = MappingProxyType({})) -> Iterator[LocalMesh]:
    """Run the mesh of a rhumb.yaml, which may name environment variables, while the block runs."""
    with home() as folder:
        mesh = LocalMesh(file, folder, variables)
        try:
            mesh.rhumb("up", "-f", str(file))
            yield mesh
        finally:
            mesh.rhumb("down", "-f", str(file))


@contextmanager
def home() -> Iterator[Path]:
    """Give a short path: a socket's has 107 bytes at most."""
    folder = Path(tempfile.mkdtemp(prefix="rb", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def bookinfo_ports() -> dict[str, str]:
    """Return the variables that give Bookinfo free ports."""
    names = ("BOOKINFO_HTTP_PORT", "BOOKINFO_HTTPS_PORT")
    return {name: str(free_port()) for name in names}


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def pages(url: str, count: int, *, seconds: float = 30.0) -> None:
    """Get a page until it has come so many times. Raises TimeoutError when it does not."""
    deadline = time.monotonic() + seconds
    while count:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                count -= bool(answer.read())
        except OSError:  # the mesh runs before the applications do
            if time.monotonic() > deadline:
                raise TimeoutError(f"{url} does not answer") from None
            time.sleep(0.02)
