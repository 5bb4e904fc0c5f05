"""Which files of a directory tree are configuration, and whether they changed."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

SUFFIXES = (".yaml", ".yml", ".json")


class Stamp(msgspec.Struct, frozen=True):
    """Equal stamps mean an equal file, but for writes within one tick of the file system."""

    inode: int
    mtime_ns: int
    size: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        """Return the stamp of a file with this status."""
        return cls(status.st_ino, status.st_mtime_ns, status.st_size)


def is_config(name: str) -> bool:
    """Tell whether a file of a directory is read; what editors leave beside it (.x.swp, x~, .#x, 4913) is not."""
    return name.endswith(SUFFIXES) and not name.startswith((".", "#"))


def scan(roots: Iterable[Path]) -> dict[str, Stamp]:
    """Return the configuration files below the roots; a root that is a file counts whatever its name.

    Symbolic links are followed, each directory is visited once, hidden directories are left out
    (also the `..data` of mounted ConfigMaps, whose files are linked beside it).
    """
    found: dict[str, Stamp] = {}
    seen: set[tuple[int, int]] = set()
    for root in roots:
        try:
            is_directory = root.is_dir()
        except OSError:  # not to be told now; whether a file in it is gone shows when it is read
            continue
        if is_directory:
            found.update(_walk(str(root), seen))
        else:
            stamp = stamp_of(str(root))
            if stamp is not None:
                found[str(root)] = stamp
    return found


def stamp_of(path: str) -> Stamp | None:
    """Return the stamp of a regular file, None when there is none."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return Stamp.of(status)


def _walk(directory: str, seen: set[tuple[int, int]]) -> Iterator[tuple[str, Stamp]]:
    pending = [directory]
    while pending:
        at = pending.pop()
        try:
            status = Path(at).stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(at) as entries:
                for entry in entries:
                    if entry.is_dir():
                        if not entry.name.startswith("."):
                            pending.append(entry.path)
                    elif is_config(entry.name) and entry.is_file():
                        yield entry.path, Stamp.of(entry.stat())
        except OSError:
            # Gone while we looked, or not ours to read: its files are not there.
            continue
