"""Files that are always whole: written beside their place and renamed over it."""

import os
import tempfile
from pathlib import Path


def write_atomic(path: Path, data: bytes | str, *, mode: int = 0o644) -> None:
    """Replace a file in one step; on any failure the old content stays and nothing is left behind.

    Raises OSError with the path (no space, no permission).
    """
    raw = data.encode() if isinstance(data, str) else data
    try:
        _replace(path, raw, mode)
    except OSError as error:
        # Of writes that fail the system says no path.
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def _replace(path: Path, raw: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
