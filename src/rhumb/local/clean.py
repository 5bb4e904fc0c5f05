"""What the host process becomes when its mesh has ended: python -m rhumb.local.clean STATE-DIRECTORY CODE."""

import shutil
import sys
from pathlib import Path

from rhumb.local import processes


def main(directory: Path, code: int) -> int:
    """Remove what the mesh left; return the exit code that stands for the supervisor's."""
    processes.end(str(directory))  # those that left their parents; in namespaces the kernel has
    if code == 0:  # ended in order: nothing is left to look at
        shutil.rmtree(directory, ignore_errors=True)
    else:
        (directory / "host.pid").unlink(missing_ok=True)
        (directory / "control.sock").unlink(missing_ok=True)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
