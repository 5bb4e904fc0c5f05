"""Under stress: churn, clients that misbehave, broken files, kills and returns. Others must not notice."""

import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import grpc
from envoy.config.core.v3.base_pb2 import Node
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse

from benchmarks.controlplane import servers, storm
from benchmarks.controlplane.certificates import Certificates
from benchmarks.controlplane.changes import change, quiet
from benchmarks.controlplane.mesh import Mesh, replace
from benchmarks.controlplane.proxies import (
    CDS,
    METHOD,
    NEWCOMER,
    Call,
    Holding,
    Proxy,
    connected,
    node,
    raw_streams,
)
from benchmarks.controlplane.servers import Server
from benchmarks.report import Report, Row

_FEW = 5
"""Edits whose CPU is measured together."""
_REASONS = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED)


def run(
    *,
    proxies: int = 100,
    churn_s: float = 10.0,
    kills: int = 5,
    moments: int = 200,
    chance: random.Random | None = None,
) -> Report:
    """Return a figure for each kind of stress."""
    chance = chance or random.Random(1)
    rows: list[Row] = []
    with _site(Mesh(services=50)) as (mesh, config, state):
        with servers.control_plane(config, state) as server:
            rows += asyncio.run(_idle(mesh, server, proxies))
        with servers.control_plane(config, state) as server:
            rows += asyncio.run(_secured(mesh, config, server, proxies))
        with servers.control_plane(config, state) as server:
            rows += asyncio.run(_churn(mesh, config, server, proxies, churn_s))
            rows += asyncio.run(_misfits(mesh, config, server, proxies))
        rows += _killed(mesh, config, state, kills, chance)
    with _site(Mesh(services=50)) as (mesh, config, state):
        rows += _broken(mesh, config, state)
    for mesh in (Mesh(services=50), Mesh(services=50, varied=True, policed=True)):
        with _site(mesh) as (_, config, state):
            rows += _storm(mesh, config, state, proxies, moments, chance)
    how = "what a few do, or what goes wrong, beside proxies that behave"
    return Report(scenario="controlplane-stress", how=how, rows=tuple(rows))


@contextmanager
def _site(mesh: Mesh) -> Iterator[tuple[Mesh, Path, Path]]:
    with tempfile.TemporaryDirectory(prefix="rhumb-stress-") as directory:
        config, state = Path(directory, "config"), Path(directory, "state")
        config.mkdir()
        state.mkdir()
        mesh.write(config)
        yield mesh, config, state


async def _idle(mesh: Mesh, server: Server, count: int) -> list[Row]:
    """What a proxy costs that asks for everything, and what it costs when it comes back."""
    nodes = [node(mesh, n) for n in range(count)]
    async with connected(server.target, nodes[:1]):
        pass
    cpu = server.cpu_ms
    async with connected(server.target, nodes) as proxies:
        first = server.cpu_ms - cpu
        await quiet(proxies)
        memory = server.rss_mib
        # As many again of the same kind: what is shared is there already.
        async with connected(server.target, nodes) as more:
            await quiet(more)
            each = (server.rss_mib - memory) * 1024 / count
            sizes = [p.bytes // max(p.responses, 1) for p in more]
            bare = await _bare(count, more[0].responses, sum(sizes) // count)
        held = [proxy.holding for proxy in proxies]
    cpu = server.cpu_ms
    async with connected(server.target, nodes, brings=held) as proxies:
        again = server.cpu_ms - cpu
        sent = sum(p.bytes for p in proxies)
    return [
        Row(what="an idle proxy", value=each, unit="KiB", peer="bare stream", ratio=each / bare),
        Row(what="a proxy connects", value=first / count, unit="ms CPU"),
        Row(
            what="a proxy returns, nothing new",
            value=again / count,
            unit="ms CPU",
            peer="connect",
            ratio=again / max(first, 1.0),
        ),
        Row(what="sent to one that returns", value=sent / count, unit="B"),
    ]


async def _secured(mesh: Mesh, config: Path, server: Server, count: int) -> list[Row]:
    """What proxies cost that come through the TLS door, as agents and their Envoys do."""
    nodes = [node(mesh, n) for n in range(count)]
    certificates = Certificates(server.ca)
    async with connected(server.target, nodes) as proxies:
        plain = await _cpu(mesh, config, server, proxies, "plain")
    async with connected(server.secure, nodes, certificates=certificates) as proxies:
        secured = await _cpu(mesh, config, server, proxies, "secured")
        memory = server.rss_mib
        async with connected(server.secure, nodes, certificates=certificates) as more:
            await quiet(more)
            each = (server.rss_mib - memory) * 1024 / count
    return [
        Row(what="an idle proxy behind TLS", value=each, unit="KiB"),
        Row(what="a route edit behind TLS", value=secured, unit="ms CPU", peer="plain",
            ratio=secured / max(plain, 1.0)),
    ]  # fmt: skip


async def _cpu(
    mesh: Mesh, config: Path, server: Server, proxies: Sequence[Proxy], word: str
) -> float:
    """Return what a route edit takes for all of them together."""
    await _edits(mesh, config, proxies, f"{word}-first", 1)
    before = server.cpu_ms
    await _edits(mesh, config, proxies, word, _FEW)
    return (server.cpu_ms - before) / _FEW


async def _bare(count: int, responses: int, size: int) -> float:
    """Return the KiB that a stream costs a bare server that has sent as much over it."""
    nodes = [Node()] * count
    with servers.floor() as server:
        server.say(" ".join([str(size)] * responses))
        async with raw_streams(server.target, nodes, responses):
            memory = server.rss_mib
            async with raw_streams(server.target, nodes, responses):
                return max((server.rss_mib - memory) * 1024 / count, 1.0)


async def _churn(
    mesh: Mesh, config: Path, server: Server, count: int, seconds: float, rate: int = 50
) -> list[Row]:
    """Endpoints come and go many times a second."""
    async with connected(server.target, [node(mesh, n) for n in range(count)]) as proxies:
        memory, cpu, began = server.rss_mib, server.cpu_ms, time.monotonic()
        number, lags = 0, list[float]()
        while time.monotonic() - began < seconds:
            number += 1
            service = number % mesh.services
            address = f"10.251.{number >> 8 & 255}.{number & 255}"
            path, text = config / f"svc-{service}.yaml", mesh.service(service, address)
            if number % rate == 0:
                lags += await change(path, text, address, proxies)
            else:
                replace(path, text)
            await asyncio.sleep(max(began + number / rate - time.monotonic(), 0))
        took = time.monotonic() - began
        await quiet(proxies)
        grown = server.rss_mib - memory
        used = (server.cpu_ms - cpu) / 1000 / took
    lags.sort()
    return [
        Row(what=f"churn {rate}/s: lag p50", value=lags[len(lags) // 2], unit="ms"),
        Row(what=f"churn {rate}/s: lag max", value=lags[-1], unit="ms"),
        Row(what=f"churn {rate}/s: CPU", value=used, unit="cores"),
        Row(what=f"churn {rate}/s: memory grown", value=grown, unit="MiB", at_most=30),
    ]


async def _misfits(mesh: Mesh, config: Path, server: Server, count: int) -> list[Row]:
    """Clients that do everything wrong beside those that do not."""
    nodes = [node(mesh, n) for n in range(count)]
    async with connected(server.target, nodes) as proxies:
        alone = await _edits(mesh, config, proxies, "alone")
        memory = server.rss_mib
        who = [node(mesh, count + n) for n in range(6)]
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_slow(server.target, who[0])),
                group.create_task(_mute(server.target, who[1])),
                group.create_task(_refusing(server.target, who[2])),
                group.create_task(_restless(server.target, who[3])),
                group.create_task(_garbage(server.target)),
                group.create_task(_greedy(server.target, who[5])),
            ]
            await asyncio.sleep(0.5)
            beside = await _edits(mesh, config, proxies, "beside")
            await asyncio.sleep(0.5)
            grown = server.rss_mib - memory
            ended = [task for task in tasks if task.done()]
            for task in tasks:
                task.cancel()
        assert not ended, ended
    return [
        Row(what="misfits: route edit p50", value=_middle(beside), unit="ms", peer="without them",
            ratio=_middle(beside) / _middle(alone)),
        Row(what="misfits: route edit max", value=beside[-1], unit="ms"),
        Row(what="misfits: memory grown", value=grown, unit="MiB", at_most=60),
    ]  # fmt: skip


def _middle(values: Sequence[float]) -> float:
    return values[len(values) // 2]


async def _edits(
    mesh: Mesh, config: Path, proxies: Sequence[Proxy], word: str, count: int = 10
) -> list[float]:
    took = list[float]()
    for number in range(count):
        user = f"{word}-{number}-end"
        took += await change(config / "routes-0.yaml", mesh.routes(0, user), user, proxies)
        await quiet(proxies)
    return sorted(took)


@asynccontextmanager
async def _stream(target: str, who: Node) -> AsyncIterator[Call]:
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1))
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        call = channel.stream_stream(METHOD)()
        for kind in (CDS, "type.googleapis.com/envoy.config.listener.v3.Listener"):
            request = DeltaDiscoveryRequest(type_url=kind, node=who)
            await call.write(request.SerializeToString())
        yield call


async def _slow(target: str, who: Node) -> None:
    """Read one response in half a minute."""
    async with _stream(target, who) as call:
        while True:
            await asyncio.sleep(30)
            await call.read()


async def _mute(target: str, who: Node) -> None:
    """Read everything and answer nothing."""
    async with _stream(target, who) as call:
        while True:
            await call.read()


async def _refusing(target: str, who: Node) -> None:
    """Refuse everything, with a reason that names nothing."""
    async with _stream(target, who) as call:
        while True:
            said = DeltaDiscoveryResponse.FromString(await call.read())
            answer = DeltaDiscoveryRequest(type_url=said.type_url, response_nonce=said.nonce)
            answer.error_detail.code, answer.error_detail.message = 13, "no"
            await call.write(answer.SerializeToString())


async def _restless(target: str, who: Node) -> None:
    """Come again ten times a second."""
    while True:
        async with _stream(target, who) as call:
            await call.read()
        await asyncio.sleep(0.1)


async def _refused(target: str, request: bytes) -> None:
    async with grpc.aio.insecure_channel(target) as channel:
        call = channel.stream_stream(METHOD)()
        try:
            await call.write(request)
            while await call.read() is not grpc.aio.EOF:
                pass
        except grpc.aio.AioRpcError as error:
            if error.code() not in _REASONS:
                raise


async def _garbage(target: str) -> None:
    """Send what is no request, many times."""
    while True:
        await _refused(target, b"\xff" * 1000)
        await asyncio.sleep(0.02)


async def _greedy(target: str, who: Node) -> None:
    """Ask for a million resources, and for one with a huge name."""
    many = DeltaDiscoveryRequest(type_url=CDS, node=who)
    many.resource_names_subscribe.extend(f"n{n}" for n in range(200_000))
    huge = DeltaDiscoveryRequest(type_url=CDS, node=who, resource_names_subscribe=["n" * 100_000])
    while True:
        for request in (many, huge):
            await _refused(target, request.SerializeToString())
        await asyncio.sleep(0.2)


def _killed(mesh: Mesh, config: Path, state: Path, kills: int, chance: random.Random) -> list[Row]:
    """Kill the control plane at a random moment of a push; whoever returns has what a newcomer gets."""
    held = NEWCOMER
    wrong = 0
    for number in range(kills):
        with servers.control_plane(config, state) as server:
            held = asyncio.run(_cut(mesh, config, server, held, number, chance))
        with servers.control_plane(config, state) as server:
            held, fresh = asyncio.run(_back(mesh, server, held))
            wrong += held.versions != fresh.versions
    return [Row(what=f"{kills} kills: wrong afterwards", value=wrong, at_most=0)]


async def _cut(
    mesh: Mesh,
    config: Path,
    server: Server,
    held: Holding,
    number: int,
    chance: random.Random,
) -> Holding:
    async with connected(server.target, [node(mesh, 0)], brings=[held]) as (proxy,):
        added = mesh.services + number * mesh.namespaces
        replace(config / f"svc-{added}.yaml", mesh.service(added))
        replace(config / "routes-0.yaml", mesh.routes(0, f"killed-{number}"))
        await asyncio.sleep(chance.random() * 0.05)
        server.process.kill()
        await asyncio.sleep(0.1)
        return proxy.holding


async def _back(mesh: Mesh, server: Server, held: Holding) -> tuple[Holding, Holding]:
    who = [node(mesh, 0)]
    async with connected(server.target, who, brings=[held]) as (proxy,):
        await quiet([proxy])
        async with connected(server.target, who) as (fresh,):
            await quiet([fresh])
            return proxy.holding, fresh.holding


def _broken(mesh: Mesh, config: Path, state: Path) -> list[Row]:
    """One file in ten is no YAML, or not valid; the rest converges."""
    wrong: tuple[Callable[[str], str], ...] = (
        lambda text: text.replace("{", "", 1),
        lambda text: text.replace("resolution: STATIC", "resolution: SOMEHOW"),
    )
    spoilt = range(0, mesh.services, 10)
    for service in spoilt:
        path = config / f"svc-{service}.yaml"
        replace(path, wrong[service // 10 % 2](path.read_text()))
    with servers.control_plane(config, state) as server:
        held = asyncio.run(_newcomer(mesh, server))
    there = {name.split("|")[3] for name in held[CDS] if name.startswith("outbound|")}
    good = {mesh.host(n) for n in range(mesh.services) if n not in spoilt}
    return [Row(what="a tenth of files broken: missing", value=len(good - there), at_most=0)]


async def _newcomer(mesh: Mesh, server: Server) -> dict[str, dict[str, str]]:
    async with connected(server.target, [node(mesh, 1)]) as (proxy,):
        return proxy.held


def _storm(
    mesh: Mesh, config: Path, state: Path, count: int, moments: int, chance: random.Random
) -> list[Row]:
    """Change everything at once, and cut streams; then ask a control plane that knows the last files alone."""
    nodes = [node(mesh, n, vhds=n % 3 > 0) for n in range(count)]
    weather = storm.Weather(mesh, config, chance)
    with servers.control_plane(config, state) as server:
        calm = storm.rage(server, nodes, weather, chance, moments)
        held, returned = asyncio.run(calm)
    with servers.control_plane(config, state) as server:
        wanted = asyncio.run(storm.fresh(server.target, nodes))
    wrong = list(storm.differing(held, wanted))
    for number, kind, name in wrong[:10]:
        print(f"  proxy {number}: {kind.rpartition('.')[2]} {name}")
    what = f"{weather.changes} changes, {returned} cut: wrong"
    return [Row(what=what, value=len(wrong), at_most=0)]
