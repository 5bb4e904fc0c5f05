"""Network namespaces: run a short stretch of synchronous code inside one.

A socket belongs for good to the namespace it was made in, and a process to the one it was started
from, so this is all that one agent needs to serve the workloads of many namespaces.
"""

import ctypes
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

Enter = Callable[[], AbstractContextManager[None]]
"""Enters a namespace for the block; the block must not await."""

_CLONE_NEWNET = 0x40000000


def here() -> AbstractContextManager[None]:
    """Stay in the namespace of the process."""
    return nullcontext()


def inside(path: Path | str) -> Enter:
    """Return the door of a namespace, `/proc/PID/ns/net` or a bind mount of it.

    Raises OSError on entering when the namespace is gone or this process may not (CAP_SYS_ADMIN).
    """

    @contextmanager
    def enter() -> Iterator[None]:
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            there = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                _setns(there)
            finally:
                os.close(there)
            try:
                yield
            finally:
                _setns(home)
        finally:
            os.close(home)

    return enter


def _setns(handle: int) -> None:
    # os.setns is only in Python 3.12 and later.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(handle, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def open_socket(
    enter: Enter, family: socket.AddressFamily, kind: socket.SocketKind, *, mark: int = 0
) -> socket.socket:
    """Make a non-blocking socket inside a namespace.

    Raises OSError: the namespace is gone, or `mark` is set without CAP_NET_ADMIN.
    """
    with enter():
        made = socket.socket(family, kind)
    made.setblocking(False)
    try:
        if mark:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
    except OSError:
        made.close()
        raise
    return made


def listen(enter: Enter, address: str, port: int, *, backlog: int = 64) -> socket.socket:
    """Bind and listen on TCP inside a namespace.

    Raises OSError with the address in its text when the port is taken.
    """
    return _bound(enter, socket.SOCK_STREAM, address, port, backlog)


def bind_udp(enter: Enter, address: str, port: int) -> socket.socket:
    """Bind UDP inside a namespace.

    Raises OSError with the address in its text when the port is taken.
    """
    return _bound(enter, socket.SOCK_DGRAM, address, port, 0)


def _bound(
    enter: Enter, kind: socket.SocketKind, address: str, port: int, backlog: int
) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = open_socket(enter, family, kind)
    try:
        if kind is socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        if backlog:
            made.listen(backlog)
    except OSError as error:
        made.close()
        raise OSError(error.errno, f"{os.strerror(error.errno or 0)}: {address}:{port}") from error
    return made
