"""TLS with an optional client certificate, in front of a plain server in the same process.

gRPC's Python server either demands a client certificate or never asks for one. A mesh's door must
ask and let callers without one in: they bring a token instead. So TLS ends here, and the bytes go
on to the server over a Unix socket in a private directory. Each connection to it is bound to a name
of its own, which the server reports as the peer, and by which the verified certificate is found.
"""

import asyncio
import logging
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import cast

from rhumb.base.errors import RhumbError
from rhumb.base.tasks import Nursery
from rhumb.base.tls_transport import accept

_log = logging.getLogger(__name__)

HANDSHAKE_TIMEOUT_S = 15.0
_UNIX = "unix:"


class Peer:
    """The far end of one connection: verified leaf certificate (DER, b"" for none) and address."""

    __slots__ = ("address", "certificate")

    def __init__(self, certificate: bytes = b"", address: str = "") -> None:
        self.certificate = certificate
        self.address = address


NOBODY = Peer()


class _End(asyncio.Protocol):
    """One end of a pipe: what arrives here is written there, no faster than there takes it."""

    transport: asyncio.Transport

    def __init__(self, other: "_End | None" = None) -> None:
        self.other = other
        """None: there is nobody yet, and nothing is read."""
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass

    def data_received(self, data: bytes) -> None:
        assert self.other is not None
        self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None:
            self.other.transport.close()
        if not self.lost.done():
            self.lost.set_result(None)


@asynccontextmanager
async def _closing(first: _End) -> AsyncIterator[list[_End]]:
    """Close every end that was added, and wait until it is; at once when cancelled."""
    ends = [first]
    try:
        yield ends
        for end in ends:
            end.transport.close()
        _ = await asyncio.wait({end.lost for end in ends})
    finally:
        for end in ends:
            end.transport.abort()
        _ = await asyncio.wait({end.lost for end in ends})


class TlsFront:
    """Accepts TLS and hands the plain bytes to the server behind it.

    Usage: bind the server to `backend` ("unix:/..."), start it, then `listen`; in a call, ask
    `peer(context.peer())`. `context` is asked for at every handshake, so that certificates and
    roots are replaced without closing anything.
    """

    def __init__(self, context: Callable[[], ssl.SSLContext]) -> None:
        self._context = context
        # 0700 and ours alone: nobody else can speak plain text to the server behind.
        self._directory = tempfile.TemporaryDirectory(prefix="rhumb-")
        self._peers: dict[str, Peer] = {}
        self._numbers = count(1)
        self._nursery = Nursery("tls-front")
        self._accepting: list[asyncio.Task[None]] = []

    @property
    def backend(self) -> str:
        """Return the address the plain server must listen on, as gRPC spells it."""
        return f"{_UNIX}{self._backend_path}"

    @property
    def _backend_path(self) -> Path:
        return Path(self._directory.name) / "server"

    def peer(self, name: str) -> Peer:
        """Return who is behind the peer name that the server reports; NOBODY once it has left."""
        return self._peers.get(name.removeprefix(_UNIX), NOBODY)

    def listen(self, host: str, port: int) -> int:
        """Start accepting and return the port; OSError when the address is taken."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=4096)
        listening.setblocking(False)
        task = self._nursery.start(f"accept {host}", self._accept(listening))
        # Not in the task: one that is cancelled before its first step runs no line of it.
        task.add_done_callback(lambda _: listening.close())
        self._accepting.append(task)
        bound: int = listening.getsockname()[1]
        return bound

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(listening)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                # Out of descriptors, or the caller is gone already: neither ends the server.
                _log.warning("accept failed", extra={"error": error})
                await asyncio.sleep(0.1)
                continue
            caller = f"{address[0]}:{address[1]}"
            _ = self._nursery.start("connection", self._serve(connection, caller))

    async def _serve(self, connection: socket.socket, address: str) -> None:
        caller = _End()
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                secure = await accept(connection, self._context(), caller)
        except (OSError, RhumbError) as error:
            connection.close()
            reason = str(error) or f"not done within {HANDSHAKE_TIMEOUT_S:g} s"
            _log.info("TLS handshake failed", extra={"address": address, "error": reason})
            return
        async with _closing(caller) as ends:
            name = str(Path(self._directory.name) / f"c{next(self._numbers)}")
            self._peers[name] = Peer(secure.certificate, address)
            try:
                server = await self._connect(name, caller)
                ends.append(server)
                caller.other = server
                secure.resume_reading()
                _ = await asyncio.wait(
                    {caller.lost, server.lost}, return_when=asyncio.FIRST_COMPLETED
                )
            except OSError as error:
                _log.error(
                    "no server behind the TLS front", extra={"address": address, "error": error}
                )
            finally:
                del self._peers[name]

    async def _connect(self, name: str, caller: _End) -> _End:
        inner = _bound(name)
        try:
            await asyncio.get_running_loop().sock_connect(inner, str(self._backend_path))
        except BaseException:
            inner.close()
            raise
        end = _End(caller)
        _ = await asyncio.get_running_loop().create_unix_connection(lambda: end, sock=inner)
        return end

    def stop_accepting(self) -> None:
        """Refuse new connections; those that are open go on."""
        for task in self._accepting:
            task.cancel()
        self._accepting.clear()

    async def close(self) -> None:
        """Close every connection and remove the private directory."""
        self.stop_accepting()
        await self._nursery.close()
        self._directory.cleanup()


def _bound(name: str) -> socket.socket:
    inner = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    inner.setblocking(False)
    inner.bind(name)
    Path(name).unlink()  # the connection keeps the name
    return inner
