"""Warn above 400 lines in a source file, fail above 600: a file has one subject."""

import sys
from pathlib import Path

SOFT, HARD = 400, 600


def main() -> int:
    """Return 1 when some file is too long."""
    failed = 0
    for path in sorted(Path("src").rglob("*.py")):
        if path.name.endswith("_pb2.py"):
            continue
        lines = len(path.read_text().splitlines())
        if lines > SOFT:
            print(
                f"{path}: {lines} lines ({'limit' if lines > HARD else 'soft limit'} {HARD if lines > HARD else SOFT})"
            )
        failed |= lines > HARD
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
