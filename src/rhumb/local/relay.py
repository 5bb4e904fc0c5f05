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

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a stream transport, by contract

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        if self.other is not None and self.other.transport is not None:
            if self.other.transport.can_write_eof():
                self.other.transport.write_eof()
            return True
        return False

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
