"""TLS over the socket itself: nothing is lost, nothing waits for ever, memory stays small."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import uvloop

from rhumb.base import tls_transport
from rhumb.base.clock import SystemClock
from rhumb.base.tls_transport import TlsTransport, accept
from rhumb.ca.authority import make_root
from rhumb.ca.sign import Names
from rhumb.testing.ca import signed

MANY = 3 << 20
PATIENCE_S = 20.0


@pytest.fixture(autouse=True)
def _endless_goodbyes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_transport, "_GOODBYE_S", 10 * PATIENCE_S)


class Far(asyncio.Protocol):
    """The server's end: keeps what comes, and what it is told."""

    transport: TlsTransport

    def __init__(self) -> None:
        self.data = bytearray()
        self.is_full = asyncio.Event()
        """Writing is paused."""
        self.has_room = asyncio.Event()
        self.lost = asyncio.get_running_loop().create_future()
        self.heard: Callable[[bytes], None] = self.data.extend

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, TlsTransport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.heard(data)

    def pause_writing(self) -> None:
        self.has_room.clear()
        self.is_full.set()

    def resume_writing(self) -> None:
        self.is_full.clear()
        self.has_room.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


class Contexts:
    """Both sides of TLS, with certificates of one root."""

    def __init__(self, folder: Path) -> None:
        now = SystemClock().now()
        root = make_root(organization="x", now=now, life=timedelta(days=1))
        pem = folder / "server.pem"
        pem.write_bytes(b"".join(signed(root, Names(dns_names=("front",), addresses=()))))
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(pem)
        self.client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.client.load_verify_locations(cadata=root.certificate.pem)


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> Contexts:
    return Contexts(tmp_path_factory.mktemp("tls"))


Near = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Scenario = Callable[[Far, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Run = Callable[[Scenario], None]


@asynccontextmanager
async def connection(contexts: Contexts) -> AsyncIterator[tuple[Far, Near]]:
    """Connect both ends; the server's has not begun to read."""
    ours, theirs = socket.socketpair()
    for each in (ours, theirs):
        each.setblocking(False)
    far = Far()
    async with asyncio.TaskGroup() as group:
        group.create_task(accept(ours, contexts.server, far))
        near = group.create_task(
            asyncio.open_connection(sock=theirs, ssl=contexts.client, server_hostname="front")
        )
    try:
        yield far, near.result()
    finally:
        far.transport.abort()
        near.result()[1].transport.abort()
        await far.lost


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest, contexts: Contexts) -> Run:
    """Return what runs a scenario on a connection."""

    async def within(scenario: Scenario) -> None:
        async with asyncio.timeout(PATIENCE_S), connection(contexts) as (far, near):
            await scenario(far, *near)

    def start(scenario: Scenario) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(within(scenario))

    return start


def some(size: int) -> bytes:
    """Return bytes that show when some are missing, or come twice."""
    return b"".join(number.to_bytes(4, "big") for number in range(size // 4))


def test_much_comes_whole_both_ways_at_once(run: Run) -> None:
    async def scenario(
        far: Far, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        far.heard = far.transport.write
        far.transport.resume_reading()

        async def write() -> None:
            writer.write(some(MANY))
            await writer.drain()

        async with asyncio.TaskGroup() as group:
            group.create_task(write())
            back = group.create_task(reader.readexactly(MANY))
        assert back.result() == some(MANY)

    run(scenario)


def test_who_reads_nothing_stops_the_writer_and_what_is_unsent_is_sent_before_the_end(
    run: Run,
) -> None:
    async def scenario(
        far: Far, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        _ = writer
        chunk, sent = some(1 << 16), 0
        while not far.is_full.is_set():
            far.transport.write(chunk)
            sent += 1
            assert sent < 1000
        first = await reader.readexactly(len(chunk) * sent)
        await far.has_room.wait()
        far.transport.write(some(MANY))
        far.transport.close()
        assert far.transport.is_closing()
        far.transport.write(b"too late")
        far.transport.close()
        assert first == chunk * sent
        assert await reader.read(-1) == some(MANY)
        assert await far.lost is None

    run(scenario)


def test_nothing_is_read_while_reading_is_paused_and_nothing_is_missing_then(run: Run) -> None:
    async def scenario(
        far: Far, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        _ = reader
        came = asyncio.Event()

        def heard(data: bytes) -> None:
            far.data.extend(data)
            far.transport.pause_reading()
            came.set()

        far.heard = heard
        writer.write(some(MANY))
        assert not far.data
        far.transport.resume_reading()
        while len(far.data) < MANY:
            await came.wait()
            came.clear()
            before = len(far.data)
            for _ in range(3):
                await asyncio.sleep(0)
            assert len(far.data) == before
            far.transport.resume_reading()
        assert bytes(far.data) == some(MANY)

    run(scenario)


def test_the_far_end_ends(run: Run) -> None:
    async def scenario(
        far: Far, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        _ = reader
        far.transport.resume_reading()
        writer.write(b"last words")
        writer.close()
        assert await far.lost is None
        assert bytes(far.data) == b"last words"
        assert far.transport.is_closing()
        far.transport.write(b"nobody hears")
        far.transport.abort()

    run(scenario)


def test_bytes_that_are_not_tls_end_the_connection(contexts: Contexts) -> None:
    async def scenario() -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with theirs, pytest.raises(ssl.SSLError, match="HTTP_REQUEST"):
            await accept(ours, contexts.server, Far())
        assert ours.fileno() == -1

    asyncio.run(scenario())


def test_who_never_shakes_hands_is_left_when_the_patience_is_over(contexts: Contexts) -> None:
    async def scenario() -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await accept(ours, contexts.server, Far())
            assert theirs.recv(1) == b""

    asyncio.run(scenario())


@pytest.mark.parametrize("unsent", [0, MANY], ids=["has all", "takes nothing"])
def test_who_does_not_answer_the_end_is_left_after_a_time(
    contexts: Contexts, monkeypatch: pytest.MonkeyPatch, unsent: int
) -> None:
    monkeypatch.setattr(tls_transport, "_GOODBYE_S", 0.01)

    async def scenario() -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        far = Far()

        def shake_hands() -> ssl.SSLSocket:
            return contexts.client.wrap_socket(theirs, server_hostname="front")

        async with asyncio.TaskGroup() as group:
            group.create_task(accept(ours, contexts.server, far))
            client = group.create_task(asyncio.to_thread(shake_hands))
        with client.result():
            far.transport.write(bytes(unsent))
            far.transport.close()
            async with asyncio.timeout(PATIENCE_S):
                assert await far.lost is None

    asyncio.run(scenario())
