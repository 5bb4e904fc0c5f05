"""Names outside the mesh: queries go on to the resolvers of the machine, past our own capture."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from rhumb.agent import netns
from rhumb.agent.settings import SOCKET_MARK

_log = logging.getLogger(__name__)

RESOLV_CONF = Path("/etc/resolv.conf")
PORT = 53
_TRY_S = 2.0
"""One server's time before the next one is asked."""
_MAX_SERVERS = 3
"""As many as the C library reads (resolv.conf(5))."""

Server = tuple[str, int]
OpenSocket = Callable[[socket.AddressFamily, socket.SocketKind], Awaitable[socket.socket]]
"""Makes a socket that does not block."""


def nameservers(text: str) -> tuple[str, ...]:
    """Return the addresses of a resolv.conf; the C library's default when there is none."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            found.append(words[1])
    return tuple(dict.fromkeys(found))[:_MAX_SERVERS] or ("127.0.0.1",)


def local_servers(file: Path = RESOLV_CONF) -> tuple[str, ...]:
    """Return the IPv4 servers of resolv.conf when one of them runs on this machine, else none.

    Such a server asks others on port 53 by itself, which must not be captured.
    """
    try:
        found = nameservers(file.read_text(errors="replace"))
    except OSError:
        return ()
    if not any(address.startswith("127.") for address in found):
        return ()
    return tuple(address for address in found if ":" not in address)


class Upstream:
    """Asks the servers of resolv.conf in their order; the file is read again when it changed."""

    def __init__(
        self,
        *,
        open_socket: OpenSocket | None = None,
        enter: netns.Enter = netns.here,
        mark: int = SOCKET_MARK,
        file: Path = RESOLV_CONF,
        servers: Sequence[Server] = (),
    ) -> None:
        """Take servers instead of a file, or a mark of 0, where nothing is captured.

        `open_socket` makes sockets where these servers are reached from; else they are made by `enter`.
        """
        self._open = open_socket or self._inside
        self._enter = enter
        self._mark = mark
        self._file = file
        self._fixed = tuple(servers)
        self._read_at = -1
        self._servers: tuple[Server, ...] = ()

    async def __call__(self, query: bytes, tcp: bool) -> bytes | None:
        """Return the first answer to a query, over the transport that the client used."""
        ask = self._over_tcp if tcp else self._over_udp
        for server in self._known():
            try:
                async with asyncio.timeout(_TRY_S):
                    return await ask(server, query)
            except (OSError, TimeoutError) as error:
                _log.debug("no answer from %s: %s", server[0], str(error) or "it took too long")
        return None

    def _known(self) -> tuple[Server, ...]:
        if self._fixed:
            return self._fixed
        try:
            changed = self._file.stat().st_mtime_ns
            if changed != self._read_at:
                found = nameservers(self._file.read_text(errors="replace"))
                self._servers = tuple((address, PORT) for address in found)
                self._read_at = changed
        except OSError as error:
            _log.debug("%s cannot be read: %s", self._file, error)
        return self._servers

    async def _socket(self, server: Server, kind: socket.SocketKind) -> socket.socket:
        return await self._open(socket.AF_INET6 if ":" in server[0] else socket.AF_INET, kind)

    async def _inside(self, family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        return netns.open_socket(self._enter, family, kind, mark=self._mark)

    async def _over_udp(self, server: Server, query: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        with await self._socket(server, socket.SOCK_DGRAM) as made:
            # Connected: only that server's answers are heard.
            made.connect(server)
            await loop.sock_sendall(made, query)
            while True:
                answer = await loop.sock_recv(made, 65535)
                if answer[:2] == query[:2]:
                    return answer

    async def _over_tcp(self, server: Server, query: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        with await self._socket(server, socket.SOCK_STREAM) as made:
            await loop.sock_connect(made, server)
            await loop.sock_sendall(made, len(query).to_bytes(2, "big") + query)
            size = int.from_bytes(await _exactly(made, 2), "big")
            return await _exactly(made, size)


async def _exactly(made: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = await asyncio.get_running_loop().sock_recv(made, size - len(found))
        if not part:
            raise ConnectionResetError("the server closed the connection")
        found += part
    return found
