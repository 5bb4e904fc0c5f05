"""The thin process outside: makes the namespaces, holds them while the mesh lives, cleans up after it.

Usage: python -m rhumb.local.host STATE-DIRECTORY [--with-parent]. It imports next to nothing: it stays for
as long as the mesh does. `--with-parent` ends with the process that started it. Where the mesh is
to capture nothing, there are no namespaces to make.
"""

import os
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType

from rhumb.local import linux, processes

_NAMESPACES = linux.CLONE_NEWUSER | linux.CLONE_NEWNET | linux.CLONE_NEWNS | linux.CLONE_NEWPID


def main(arguments: list[str]) -> int:
    """Run until the supervisor has ended; return its exit code."""
    directory = Path(arguments[0])
    if "--with-parent" in arguments:
        linux.die_with_parent()
    (directory / "host.pid").write_text(f"{os.getpid()}\n")
    captures = (directory / "capture").read_text().strip() != "NONE"
    child = _start(directory) if captures else _start_here(directory)

    def forward(number: int, _frame: FrameType | None) -> None:
        os.kill(child, number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, forward)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    processes.end(str(directory))  # those that left their parents; in namespaces the kernel has
    if code == 0:  # ended in order: nothing is left to look at
        shutil.rmtree(directory, ignore_errors=True)
    else:
        (directory / "host.pid").unlink(missing_ok=True)
        (directory / "control.sock").unlink(missing_ok=True)
    return code if code >= 0 else 128 - code


def _start(directory: Path) -> int:
    uid, gid = os.geteuid(), os.getegid()
    child = linux.clone(_NAMESPACES)
    if child:
        return child
    try:
        linux.map_user(0, uid, 0, gid)
        linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
        _own_proc()
        _become("rhumb.local.in_namespaces", str(directory), str(uid), str(gid))
    except OSError as error:
        sys.stderr.write(f"rhumb: {error}\n")
    finally:
        os._exit(126)


def _start_here(directory: Path) -> int:
    child = os.fork()
    if child:
        return child
    try:
        _become("rhumb.local.on_loopback", str(directory))
    except OSError as error:
        sys.stderr.write(f"rhumb: {error}\n")
    finally:
        os._exit(126)


def _become(module: str, *arguments: str) -> None:
    linux.die_with_parent()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606 - ourselves


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
