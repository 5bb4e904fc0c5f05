"""The thin process outside: makes the namespaces, holds them while the mesh lives, cleans up after it.

Usage: python -m rhumb.local.host STATE-DIRECTORY [--bare] [--with-parent]. It imports next to nothing: it stays for as
long as the mesh does. `--bare` makes no namespaces, `--with-parent` ends with the process that
started it.
"""

import os
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType

from rhumb.local import linux

_NAMESPACES = linux.CLONE_NEWUSER | linux.CLONE_NEWNET | linux.CLONE_NEWNS | linux.CLONE_NEWPID


def main(arguments: list[str]) -> int:
    """Run until the supervisor has ended; return its exit code."""
    directory = Path(arguments[0])
    bare = "--bare" in arguments
    if "--with-parent" in arguments:
        linux.die_with_parent()
    (directory / "host.pid").write_text(f"{os.getpid()}\n")
    child = _start(directory, bare=bare)

    def forward(number: int, _frame: FrameType | None) -> None:
        os.kill(child, number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, forward)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == 0:  # ended in order: nothing is left to look at
        shutil.rmtree(directory, ignore_errors=True)
    else:
        (directory / "host.pid").unlink(missing_ok=True)
        (directory / "control.sock").unlink(missing_ok=True)
    return code if code >= 0 else 128 - code


def _start(directory: Path, *, bare: bool) -> int:
    uid, gid = os.geteuid(), os.getegid()
    child = os.fork() if bare else linux.clone(_NAMESPACES)
    if child:
        return child
    try:
        if not bare:
            linux.map_user(0, uid, 0, gid)
            linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
            _own_proc()
        if sys.platform == "linux":
            linux.die_with_parent()
        order = ["-m", "rhumb.local.supervisor", str(directory), str(uid), str(gid)]
        if bare:
            order.append("--bare")
        os.execv(sys.executable, [sys.executable, *order])  # noqa: S606 - ourselves
    except OSError as error:
        sys.stderr.write(f"rhumb: {error}\n")
    finally:
        os._exit(126)


def _own_proc() -> None:
    flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
    try:
        linux.mount("proc", "/proc", "proc", flags)
    except OSError:
        # Some containers hide parts of /proc and then forbid a new one; only `ps` inside the mesh
        # shows the outside's processes then.
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
