"""Published ports: connections that the host accepted, carried to a gateway inside the mesh."""

import asyncio
import logging
import socket

from rhumb.base.tasks import Nursery

_log = logging.getLogger(__name__)


class _End(asyncio.Protocol):
    """One end of a pipe: what arrives here is written there, no faster than there takes it."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None
        self._early = b""
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a stream transport, by contract
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


class Relay:
    """Carries the connections of one listening socket to one address."""

    def __init__(self, listening: socket.socket, host: str, port: int) -> None:
        self._listening = listening
        self._target = (host, port)
        self._nursery = Nursery(f"relay/{port}")

    async def run(self) -> None:
        """Accept until cancelled."""
        loop = asyncio.get_running_loop()
        self._listening.setblocking(False)
        try:
            while True:
                accepted, _ = await loop.sock_accept(self._listening)
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._nursery.start("connection", self._carry(accepted))
        finally:
            self._listening.close()
            await self._nursery.close()

    async def _carry(self, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, far = await loop.create_connection(_End, *self._target)
        except OSError as error:
            _log.warning("published port: the gateway does not answer: %s", error)
            accepted.close()
            return
        near = _End()
        near.other, far.other = far, near
        try:
            await loop.connect_accepted_socket(lambda: near, accepted)
        except OSError:
            if far.transport is not None:
                far.transport.close()
