"""One address for several control planes, as a load balancer gives it to them."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Sequence

from rhumb.base.tasks import Nursery


class Address:
    """Each connection goes to the next control plane that takes it."""

    def __init__(self, ports: Callable[[], Sequence[int]]) -> None:
        """Take what tells the ports of the control planes; who listens at none of them is down."""
        self.port = 0
        self._ports = ports
        self._turns = itertools.count()
        self._nursery = Nursery("address")

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Take connections at `port` while the block runs."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            await self._nursery.close()

    async def drop(self) -> None:
        """End all connections: those that come again go on to the next."""
        await self._nursery.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ports, first = self._ports(), next(self._turns)
        for number in range(len(ports)):
            with contextlib.suppress(OSError):
                port = ports[(first + number) % len(ports)]
                inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
                self._nursery.start("there", _pump(reader, inner_writer))
                self._nursery.start("back", _pump(inner_reader, writer))
                return
        writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
    finally:
        writer.close()
