"""The thin process outside: makes the namespaces, holds them while the mesh lives, cleans up after it.

Usage: python -m rhumb.local.host STATE-DIRECTORY [--with-parent]. It imports next to nothing: it stays for
as long as the mesh does. `--with-parent` ends with the process that started it. Where the mesh is
to capture nothing, there are no namespaces to make.

While it waits, it makes sockets of the host's network for those inside, who can make none themselves.
"""

import errno
import os
import signal
import socket
import struct
import sys
import time
from types import FrameType

from rhumb.local import linux

_NAMESPACES = linux.CLONE_NEWUSER | linux.CLONE_NEWNET | linux.CLONE_NEWNS | linux.CLONE_NEWPID
_CLONE_ATTEMPTS, _CLONE_PAUSE_S = 20, 0.05
UNFIT = "unfit"
"""File of the state directory that says why there are no namespaces."""

REQUEST = struct.Struct("!iI")
"""A number of KINDS (in answers: of an error, 0 for none), and a number to tell the answer by."""
KINDS = {
    1: (socket.AF_INET, socket.SOCK_STREAM),
    2: (socket.AF_INET, socket.SOCK_DGRAM),
    3: (socket.AF_INET6, socket.SOCK_STREAM),
    4: (socket.AF_INET6, socket.SOCK_DGRAM),
}


def main(arguments: list[str]) -> None:
    """Run until the supervisor has ended; the process becomes the one that cleans up."""
    directory = arguments[0]
    if "--with-parent" in arguments:
        linux.die_with_parent()
    linux.write(f"{directory}/host.pid", f"{os.getpid()}\n")
    captures = linux.read(f"{directory}/capture").strip() != "NONE"
    ours, theirs = socket.socketpair()
    child = _start(directory, theirs) if captures else _start_here(directory)
    theirs.close()

    def forward(number: int, _frame: FrameType | None) -> None:
        os.kill(child, number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, forward)
    serve(ours)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    _become("rhumb.local.clean", directory, str(code))


def _start(directory: str, asking: socket.socket) -> int:
    uid, gid = os.geteuid(), os.getegid()
    try:
        child = _clone()
    except OSError as error:
        linux.write(f"{directory}/{UNFIT}", str(error))
        sys.exit(f"rhumb: {error}")
    if child:
        return child
    try:
        linux.map_user(0, uid, 0, gid)
        linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
        _own_proc()
        linux.die_with_parent()
        asking.set_inheritable(True)
        handle = str(asking.fileno())
        _become("rhumb.local.in_namespaces", directory, str(uid), str(gid), handle)
    except OSError as error:
        sys.stderr.write(f"rhumb: {error}\n")
    finally:
        os._exit(126)


def _clone() -> int:
    """Make the namespaces; where there are too many, wait: the kernel removes those of the past late."""
    for _ in range(_CLONE_ATTEMPTS):
        try:
            return linux.clone(_NAMESPACES)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            time.sleep(_CLONE_PAUSE_S)
    return linux.clone(_NAMESPACES)


def _start_here(directory: str) -> int:
    child = os.fork()
    if child:
        return child
    try:
        linux.die_with_parent()
        _become("rhumb.local.on_loopback", directory)
    except OSError as error:
        sys.stderr.write(f"rhumb: {error}\n")
    finally:
        os._exit(126)


def _become(module: str, *arguments: str) -> None:
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])


def serve(asked: socket.socket) -> None:
    """Answer each request with a new socket, until nobody is left to ask."""
    while request := asked.recv(REQUEST.size):
        kind, number = REQUEST.unpack(request)
        try:
            with socket.socket(*KINDS[kind]) as made:
                socket.send_fds(asked, [REQUEST.pack(0, number)], [made.fileno()])
        except OSError as error:
            asked.sendall(REQUEST.pack(error.errno or 0, number))


def _own_proc() -> None:
    flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
    try:
        linux.mount("proc", "/proc", "proc", flags)
    except OSError:
        # Some containers hide parts of /proc and then forbid a new one; only `ps` inside the mesh
        # shows the outside's processes then.
        return


if __name__ == "__main__":
    main(sys.argv[1:])
