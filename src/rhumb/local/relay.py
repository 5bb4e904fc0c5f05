"""Connections that are accepted here, carried on to where they belong, byte for byte."""

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import cast

from rhumb.base.tasks import Nursery

_log = logging.getLogger(__name__)

_PATIENCE_S = 10.0
_AGAIN_S = 0.05


class _End(asyncio.Protocol):
    """One end of a pipe: what arrives here is written there, no faster than there takes it."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None
        self._early = b""
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self.other is not None:
            self.other.hand_over()

    def hand_over(self) -> None:
        """Pass on what came before the other end was there: some servers speak first."""
        assert self.other is not None
        early, self._early = self._early, b""
        if early:
            self.data_received(early)
        if self._ended:
            self.eof_received()

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)
        else:
            self._early += data

    def eof_received(self) -> bool:
        self._ended = True
        other = self.other
        if other is None or other.transport is None:
            return True
        if other.ended:
            other.transport.close()  # after what is still to be written
            return False
        if other.transport.can_write_eof():
            other.transport.write_eof()
        return True

    @property
    def ended(self) -> bool:
        """Return whether nothing more arrives here."""
        return self._ended

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        other = self.other
        if other is not None and other.transport is not None and not other.transport.is_closing():
            other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


Connect = Callable[[socket.socket], Awaitable[socket.socket]]
"""Takes an accepted connection and returns where it goes on. Raises OSError."""


def to(host: str, port: int, *, patience: float = _PATIENCE_S) -> Connect:
    """Lead every connection to one address; one that does not answer may be about to come back."""

    async def connect(_accepted: socket.socket) -> socket.socket:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        while True:
            made = socket.socket()
            made.setblocking(False)
            try:
                await loop.sock_connect(made, (host, port))
            except BaseException as error:
                made.close()
                if not isinstance(error, OSError) or loop.time() > deadline:
                    raise
                await asyncio.sleep(_AGAIN_S)
            else:
                return made

    return connect


class Relay:
    """Carries the connections of one listening socket on."""

    def __init__(self, listening: socket.socket, connect: Connect) -> None:
        self._listening = listening
        self._connect = connect
        self._nursery = Nursery("relay")

    def start(self) -> None:
        """Accept from now on."""
        self._listening.setblocking(False)
        # Not a task that awaits: a connection that comes as it is cancelled would be lost.
        asyncio.get_running_loop().add_reader(self._listening, self._accept)

    def stop(self) -> None:
        """Accept no more; what is carried by now goes on, and the socket stays open."""
        asyncio.get_running_loop().remove_reader(self._listening)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # who came has left, or another time
            accepted, _ = self._listening.accept()
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._nursery.start("connection", self._carry(accepted))

    async def _carry(self, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        near, far = _End(), _End()
        try:
            made = await self._connect(accepted)
        except BaseException as error:
            # A reset, not an end: nothing was answered.
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            accepted.close()
            if not isinstance(error, OSError):
                raise
            _log.warning("a connection leads nowhere: %s", error)
            return
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        near.other, far.other = far, near
        try:
            await loop.create_connection(lambda: far, sock=made)
            await loop.connect_accepted_socket(lambda: near, accepted)
        except OSError:
            if far.transport is not None:
                far.transport.close()
            accepted.close()
