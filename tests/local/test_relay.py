"""Published ports: bytes both ways, in order, and no connection that stays."""

import asyncio
import gc
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from rhumb.local.relay import Relay, to
from rhumb.testing.waiting import until

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def relayed(handler: Handler) -> AsyncIterator[int]:
    """Serve with a handler behind a relay; yield the relay's port."""
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    listening = socket.create_server(("127.0.0.1", 0))
    relay = Relay(listening, to("127.0.0.1", server.sockets[0].getsockname()[1]))
    relay.start()
    try:
        yield listening.getsockname()[1]
    finally:
        relay.stop()
        listening.close()
        server.close()
        await server.wait_closed()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read())
    await writer.drain()
    writer.close()


async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello")
    await writer.drain()
    writer.close()


async def ask(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    if data:
        writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def test_large_bodies_arrive_whole_after_the_senders_end() -> None:
    async def run() -> None:
        data = os.urandom(3_000_000)
        async with relayed(echo) as port:
            assert await ask(port, data) == data

    asyncio.run(run())


def test_a_server_may_speak_first() -> None:
    async def run() -> None:
        async with relayed(greet) as port:
            for _ in range(50):
                assert await ask(port, b"") == b"hello"

    asyncio.run(run())


def test_connections_close_without_the_garbage_collector() -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async def run() -> None:
        async with relayed(echo) as port:
            await ask(port, b"first")
            before = open_files()
            for _ in range(20):
                assert await ask(port, b"x") == b"x"
            await until(lambda: open_files() <= before + 2)

    gc.disable()
    try:
        asyncio.run(run())
    finally:
        gc.enable()


def test_a_target_that_refuses_closes_the_connection() -> None:
    async def run() -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            relay = Relay(listening, to(*nobody.getsockname(), patience=0))
            relay.start()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()
            relay.stop()
            listening.close()

    asyncio.run(run())


def test_a_target_that_is_about_to_come_back_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run() -> None:
        loop, refused = asyncio.get_running_loop(), asyncio.Event()
        connect = loop.sock_connect

        async def watched(made: socket.socket, address: tuple[str, int]) -> None:
            try:
                await connect(made, address)
            except ConnectionRefusedError:
                refused.set()
                raise

        monkeypatch.setattr(loop, "sock_connect", watched)
        listening = socket.create_server(("127.0.0.1", 0))
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            target = found.getsockname()
        relay = Relay(listening, to(*target))
        relay.start()
        asking = asyncio.ensure_future(ask(listening.getsockname()[1], b"early"))
        await refused.wait()
        assert not asking.done()
        server = await asyncio.start_server(echo, *target)
        assert await asking == b"early"
        relay.stop()
        listening.close()
        server.close()

    asyncio.run(run())
