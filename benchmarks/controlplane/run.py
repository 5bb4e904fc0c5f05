"""Meshes of several sizes and shapes: all proxies connect, then configuration changes one file at a time.

Each phase is set against a floor that is measured in the same run: the same number of responses of the same
size from a bare gRPC server, whose bytes are ready.
"""

import asyncio
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from benchmarks.controlplane import servers
from benchmarks.controlplane.changes import change, quiet
from benchmarks.controlplane.mesh import Mesh
from benchmarks.controlplane.proxies import Proxy, Streams, connected, node, raw_streams
from benchmarks.controlplane.servers import Server
from benchmarks.report import Report, Row


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    mesh: Mesh
    proxies: int
    changes: int = 10
    vhds: bool = True
    """Proxies take virtual hosts one by one, as our agents' do."""

    @property
    def name(self) -> str:
        """Return a short name for the table."""
        mesh = self.mesh
        words = [f"{mesh.services}x{self.proxies}"]
        words += [f"{mesh.namespaces}ns"] * (mesh.namespaces != Mesh().namespaces)
        for word in ("scoped", "varied", "tcp", "published", "policed"):
            words += [word] * getattr(mesh, word)
        return " ".join(words + ["rds"] * (not self.vhds))


class Phase(msgspec.Struct, kw_only=True):
    """What one kind of change took."""

    name: str
    took_ms: list[float] = []
    """From the rename to the response, for every proxy that must hear."""
    cpu_ms: float = 0.0
    """For each change."""
    responses: int = 0
    bytes: int = 0

    def at(self, share: float) -> float:
        """Return a percentile of the times."""
        found = sorted(self.took_ms)
        return found[min(int(share * len(found)), len(found) - 1)]


SHORT = (
    Size(mesh=Mesh(), proxies=200),
    Size(mesh=Mesh(), proxies=200, vhds=False),
    Size(mesh=Mesh(services=200, namespaces=20, scoped=True), proxies=400),
    Size(mesh=Mesh(services=50, varied=True), proxies=100),
    Size(mesh=Mesh(services=50, published=True), proxies=60),
    Size(mesh=Mesh(services=50, policed=True), proxies=100),
)
LONG = (
    *SHORT,
    Size(mesh=Mesh(services=200), proxies=400),
    Size(mesh=Mesh(services=1000), proxies=200),
    Size(mesh=Mesh(services=1000, namespaces=50, scoped=True), proxies=2000),
    Size(mesh=Mesh(namespaces=1), proxies=200),
    Size(mesh=Mesh(namespaces=50), proxies=200),
    Size(mesh=Mesh(tcp=True), proxies=200),
    Size(mesh=Mesh(services=200, varied=True), proxies=200),
    Size(mesh=Mesh(services=200, published=True), proxies=100),
    Size(mesh=Mesh(services=200, policed=True), proxies=200),
)


def run(*, sizes: Sequence[Size] = SHORT, changes: int = 10) -> Report:
    """Return the figures of some sizes, with so many changes of each kind."""
    rows: list[Row] = []
    for size in sizes:
        rows += _measured(msgspec.structs.replace(size, changes=changes))
    how = "ratio: CPU against a bare gRPC server that sends as many bytes in as many responses"
    return Report(scenario="controlplane", how=how, rows=tuple(rows))


def _measured(size: Size) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="rhumb-bench-") as directory:
        config, state = Path(directory, "config"), Path(directory, "state")
        config.mkdir()
        state.mkdir()
        size.mesh.write(config)
        with servers.control_plane(config, state) as server:
            connect, phases, memory = asyncio.run(_phases(size, config, server))
        with servers.floor() as bare:
            floors = asyncio.run(_floors(size, bare, connect, phases))
    return list(_rows(size, connect, phases, memory, floors))


async def _phases(size: Size, config: Path, server: Server) -> tuple[Phase, list[Phase], float]:
    nodes = [node(size.mesh, n, vhds=size.vhds) for n in range(size.proxies)]
    began, cpu = time.monotonic(), server.cpu_ms
    async with connected(server.target, nodes) as proxies:
        connect = Phase(name="connect", took_ms=[(time.monotonic() - began) * 1000])
        connect.cpu_ms = server.cpu_ms - cpu
        connect.responses = sum(p.responses for p in proxies)
        connect.bytes = sum(p.bytes for p in proxies)
        kinds = (_route, _endpoint, _service)
        phases = [await _changes(size, config, server, proxies, kind) for kind in kinds]
        return connect, phases, server.rss_mib


Change = tuple[str, str, str]
"""File, text, and a token that only this change's responses contain."""


def _route(mesh: Mesh) -> Iterator[Change]:
    for number in itertools.count():
        token = f"tester-{number}-end"
        yield "routes-0.yaml", mesh.routes(0, token), token


def _endpoint(mesh: Mesh) -> Iterator[Change]:
    for number in itertools.count(1):
        address = f"10.250.{number // 250}.{number % 250 + 1}"
        yield "svc-0.yaml", mesh.service(0, address), address


def _service(mesh: Mesh) -> Iterator[Change]:
    first = -(-mesh.services // mesh.namespaces) * mesh.namespaces
    step = mesh.namespaces * (5 if mesh.varied else 1)
    for number in itertools.count(first + (-first % step), step):
        yield f"svc-{number}.yaml", mesh.service(number), mesh.host(number)


async def _changes(
    size: Size,
    config: Path,
    server: Server,
    proxies: Sequence[Proxy],
    kind: Callable[[Mesh], Iterator[Change]],
) -> Phase:
    mesh = size.mesh
    hearing = [
        proxy
        for number, proxy in enumerate(proxies)
        if not mesh.scoped or mesh.namespace(number % mesh.services) == "ns-0"
    ]
    phase = Phase(name=kind.__name__.strip("_"))
    cpu = server.cpu_ms
    before = sum(p.responses for p in proxies), sum(p.bytes for p in proxies)
    for name, text, token in itertools.islice(kind(mesh), size.changes):
        phase.took_ms += await change(config / name, text, token, hearing)
        await quiet(proxies)
    phase.cpu_ms = (server.cpu_ms - cpu) / size.changes
    phase.responses = (sum(p.responses for p in proxies) - before[0]) // size.changes
    phase.bytes = (sum(p.bytes for p in proxies) - before[1]) // size.changes
    return phase


async def _floors(
    size: Size, bare: Server, connect: Phase, phases: Sequence[Phase]
) -> dict[str, float]:
    """Return the CPU that a bare server takes for each phase."""
    each = max(connect.responses // size.proxies, 1)
    bare.say(" ".join([str(max(connect.bytes // connect.responses, 1))] * each))
    nodes = [node(size.mesh, n) for n in range(size.proxies)]
    found: dict[str, float] = {}
    cpu = bare.cpu_ms
    async with raw_streams(bare.target, nodes, each) as streams:
        found["connect"] = bare.cpu_ms - cpu
        for phase in phases:
            found[phase.name] = await _pushes(size, bare, streams, phase)
    return found


async def _pushes(size: Size, bare: Server, streams: Streams, phase: Phase) -> float:
    # A change that few hear of, or that takes several responses, is measured as whole rounds.
    rounds = max(size.changes, 20)
    data = max(phase.bytes // max(phase.responses, 1), 1)
    cpu = bare.cpu_ms
    for _ in range(rounds):
        bare.say(f"push {data}")
        await streams.heard()
    return (bare.cpu_ms - cpu) / rounds * phase.responses / size.proxies


def _rows(
    size: Size,
    connect: Phase,
    phases: Sequence[Phase],
    memory: float,
    floors: dict[str, float],
) -> Iterator[Row]:
    name = size.name
    yield Row(what=f"{name}: connect", value=connect.took_ms[0] / 1000, unit="s")
    for phase in (connect, *phases):
        floor = max(floors[phase.name], 0.1)
        if phase is not connect:
            yield Row(what=f"{name}: {phase.name}, p50", value=phase.at(0.5), unit="ms")
            yield Row(what=f"{name}: {phase.name}, p99", value=phase.at(0.99), unit="ms")
        yield Row(
            what=f"{name}: {phase.name}, CPU",
            value=phase.cpu_ms,
            unit="ms",
            peer="floor",
            ratio=phase.cpu_ms / floor,
        )
        yield Row(what=f"{name}: {phase.name}, sent", value=phase.bytes / 1024, unit="KiB")
    yield Row(what=f"{name}: memory", value=memory, unit="MiB")
