"""Clients that do not answer: what waits for them goes out when the last of their times is over."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import timedelta
from types import SimpleNamespace

import pytest
from envoy.service.discovery.v3 import discovery_pb2 as discovery

from rhumb.ads import requests
from rhumb.ads.observer import Observer
from rhumb.ads.server import SERVICE, AdsServer
from rhumb.ads.settings import AdsSettings
from rhumb.snapshot.build import World
from rhumb.testing.ads import views_of
from rhumb.testing.clock import FakeClock
from rhumb.testing.fake_envoy import (
    CDS,
    EDS,
    LDS,
    METADATA,
    RDS,
    FakeEnvoy,
    Request,
    sidecar,
)
from rhumb.testing.world import resources, service_entry, world
from rhumb.xds.types import XdsType

PATIENCE_S = 0.05
STEP = timedelta(seconds=0.03)
FEW = 8
"""Clients who are not waited for."""


def mesh(**addresses: str) -> World:
    """Return a mesh of services with one endpoint each."""
    return world(resources(*(service_entry(name, at) for name, at in addresses.items())))


class Line:
    """The server's end of a stream, without gRPC."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[Request] = asyncio.Queue()
        """By the client."""
        self.written: asyncio.Queue[discovery.DeltaDiscoveryResponse] = asyncio.Queue()

    async def incoming(self) -> AsyncIterator[requests.Heard | None]:
        """Yield what the client says, as gRPC does."""
        while True:
            request = await self.said.get()
            yield requests.delta(request.SerializeToString())
            self.said.task_done()

    async def write(self, data: bytes) -> None:
        """Take a response."""
        await self.written.put(discovery.DeltaDiscoveryResponse.FromString(data))

    def peer(self) -> str:
        """Return the client's address."""
        return "ipv4:10.0.0.9:1"

    async def say(self, all_of_it: Iterable[Request]) -> None:
        """Have the server hear what the client says."""
        for request in all_of_it:
            await self.said.put(request)
        await self.said.join()

    async def settle(self, envoy: FakeEnvoy) -> None:
        """Answer until the client has its routes."""
        await self.say(await self.settle_but_one(envoy))

    async def settle_but_one(self, envoy: FakeEnvoy) -> list[Request]:
        """Answer until the client has its routes; return what it says to these."""
        said = envoy.connect()
        while RDS not in {kind for kind, _, _ in envoy.responses}:
            await self.say(said)
            said = envoy.receive(await self.written.get())
        return said

    async def kind(self) -> XdsType:
        """Wait for a response, and leave it unanswered."""
        return XdsType((await self.written.get()).type_url)


def test_what_waits_for_two_answers_goes_when_both_are_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = FakeClock()
    first = views_of(mesh(a="10.0.0.7"))
    server = AdsServer(AdsSettings(ack_timeout_s=PATIENCE_S), clock, first, Observer())

    async def scenario(line: Line) -> None:
        await line.settle(FakeEnvoy(sidecar(), METADATA))
        (stream,) = server.streams
        assert stream.connection.deadlines() == []
        server.publish(mesh(a="10.0.0.8"), clock.monotonic())
        assert await line.kind() is EDS
        clock.advance(STEP)
        # b is where the client is, who needs a listener for it.
        server.publish(mesh(a="10.0.0.8", b="10.0.0.1"), clock.monotonic())
        assert await line.kind() is CDS
        looked = asyncio.Event()
        sleep = stream.sleep

        async def sleep_again() -> None:
            looked.set()
            await sleep()

        monkeypatch.setattr(stream, "sleep", sleep_again)
        clock.advance(STEP)  # endpoints are late, clusters are not
        await looked.wait()
        assert line.written.empty()
        clock.advance(STEP)
        assert await line.kind() is LDS

    asyncio.run(serving(server, scenario))


def test_a_push_is_over_when_nearly_all_have_taken_it() -> None:
    endless = AdsSettings(patience_s=60.0)
    server = AdsServer(endless, FakeClock(), views_of(mesh(a="10.0.0.7")), Observer())

    async def scenario(*lines: Line) -> None:
        clients = [FakeEnvoy(sidecar(), METADATA) for _ in lines]
        for line, client in zip(lines, clients, strict=True):
            await line.settle(client)
        await server.taken()
        server.publish(mesh(a="10.0.0.8"), 0.0)
        over = asyncio.ensure_future(server.taken())
        for line, client in list(zip(lines, clients, strict=True))[FEW:]:
            response = await line.written.get()
            assert not over.done()
            for request in client.receive(response):
                await line.said.put(request)
        await over

    asyncio.run(serving(server, scenario, FEW + 3))


def test_a_push_does_not_wait_for_new_clients() -> None:
    server, _ = watched(mesh(a="10.0.0.7"))

    async def scenario(*lines: Line) -> None:
        for line in lines:
            await line.settle_but_one(FakeEnvoy(sidecar(), METADATA))
        server.publish(mesh(a="10.0.0.8"), 0.0)
        over = asyncio.ensure_future(server.taken())
        await rest()
        assert over.done()

    asyncio.run(serving(server, scenario, FEW + 1))


def test_an_answer_that_is_owed_from_before_ends_a_push_that_was_about_nothing() -> None:
    server, told = watched(mesh(a="10.0.0.7"))

    async def scenario(line: Line) -> None:
        client = FakeEnvoy(sidecar(), METADATA)
        said = await line.settle_but_one(client)
        server.publish(mesh(a="10.0.0.7"), 0.0)
        await rest()
        assert are_behind(server)
        await line.say(said)
        await rest()
        assert not are_behind(server)
        assert told == []

    asyncio.run(serving(server, scenario))


def test_what_is_back_before_it_was_said_to_have_gone_ends_a_push() -> None:
    server, told = watched(mesh(a="10.0.0.7"))

    async def scenario(line: Line) -> None:
        client = FakeEnvoy(sidecar(), METADATA)
        await line.settle(client)
        server.publish(mesh(a="10.0.0.8"), 0.0)
        response = await line.written.get()
        for address in ("10.0.0.9", "10.0.0.8"):
            server.publish(mesh(a=address), 0.0)
            await rest()
        assert are_behind(server)
        await line.say(client.receive(response))
        await rest()
        assert line.written.empty()
        assert not are_behind(server)
        assert len(told) == 1

    asyncio.run(serving(server, scenario))


async def rest() -> None:
    """Let everything happen that waits for nobody."""
    for _ in range(20):
        await asyncio.sleep(0)


def are_behind(server: AdsServer) -> bool:
    """Tell whether all clients have yet to take a change; otherwise none has."""
    (found,) = {stream.behind is not None for stream in server.streams}
    return found


class Converged(Observer):
    """Takes down how long clients took for changes."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def converged(self, seconds: float) -> None:
        """Take that a proxy has accepted all that a change meant for it."""
        self.seconds.append(seconds)


def watched(first: World) -> tuple[AdsServer, list[float]]:
    """Return a server, and what it says of clients that took their changes."""
    observer = Converged()
    return AdsServer(AdsSettings(), FakeClock(), views_of(first), observer), observer.seconds


async def serving(
    server: AdsServer, scenario: Callable[..., Awaitable[None]], count: int = 1
) -> None:
    """Run a scenario with as many streams."""
    lines = [Line() for _ in range(count)]
    details = SimpleNamespace(method=f"/{SERVICE}/DeltaAggregatedResources")
    call = server.handler().service(details).stream_stream
    try:
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            calls = [group.create_task(call(line.incoming(), line)) for line in lines]
            await scenario(*lines)
            for each in calls:
                each.cancel()  # as gRPC does when the client has gone
    finally:
        server.close()
