"""Everything changes at once while proxies come and go; at rest each has what a newcomer gets from a fresh server."""

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
from envoy.config.core.v3.base_pb2 import Node

from benchmarks.controlplane.certificates import Certificates
from benchmarks.controlplane.changes import change, quiet
from benchmarks.controlplane.mesh import Mesh, replace
from benchmarks.controlplane.proxies import NEWCOMER, Holding, Names, Proxy, connected
from benchmarks.controlplane.servers import Server

Versions = Mapping[str, Mapping[str, str]]
_BURST = (1, 1, 1, 2, 5, 20)
"""Files that change in the same moment."""
_PAUSES_S = (0.0, 0.0, 0.001, 0.005, 0.02, 0.1)
_PATIENCE_S = 30.0
_RECONNECTS = 0.3
"""Share of the moments in which some proxy loses its stream."""


class _Type(msgspec.Struct):
    state: str


class _Stream(msgspec.Struct):
    types: dict[str, _Type]

    @property
    def is_synced(self) -> bool:
        return all(each.state == "SYNCED" for each in self.types.values())


class Fleet:
    """Proxies each of which can lose its stream and come back with what it holds."""

    def __init__(self, server: Server, nodes: list[Node], group: asyncio.TaskGroup) -> None:
        self._server, self._nodes, self._group = server, nodes, group
        self._names = Names()
        self._certificates = Certificates(server.ca)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self.proxies = [self._proxy(number, NEWCOMER) for number in range(len(nodes))]
        self.returned = 0

    def start(self) -> None:
        """Connect everybody."""
        for number, proxy in enumerate(self.proxies):
            self._tasks[number] = self._group.create_task(proxy.run())

    async def ready(self) -> None:
        """Wait until everybody has had its whole configuration once."""
        for proxy in self.proxies:
            await proxy.ready.wait()

    async def cut(self, number: int) -> None:
        """End a stream wherever it is, and begin another with what the proxy holds."""
        task = self._tasks[number]
        task.cancel()
        await asyncio.wait([task])
        held = self.proxies[number].holding
        self.returned += 1
        self.proxies[number] = self._proxy(number, held)
        self._tasks[number] = self._group.create_task(self.proxies[number].run())

    def _proxy(self, number: int, held: Holding) -> Proxy:
        """Return a proxy; half of them come through the TLS door."""
        who, server = self._nodes[number], self._server
        if number % 2:
            return Proxy(server.target, who, self._names, held)
        return Proxy(server.secure, who, self._names, held, self._certificates.of(who))

    def end(self) -> None:
        """Disconnect everybody."""
        for task in self._tasks.values():
            task.cancel()


class Weather:
    """Random changes of the files of a mesh."""

    def __init__(self, mesh: Mesh, folder: Path, chance: random.Random) -> None:
        self._mesh, self._folder, self._chance = mesh, folder, chance
        self._number = itertools.count(1)
        self.changes = 0

    def blow(self) -> None:
        """Change some files in the same moment."""
        for _ in range(self._chance.choice(_BURST)):
            self.changes += 1
            self._chance.choice(self._kinds())()

    async def end(self, proxies: Sequence[Proxy]) -> None:
        """Add a service to each namespace and wait until its proxies have it: all before has been read then."""
        mesh = self._mesh
        for number in range(mesh.namespaces):
            # Beyond those that come and go.
            service = (mesh.services // mesh.namespaces + 20) * mesh.namespaces + number
            home, token = mesh.namespace(service), mesh.host(service)
            hearing = [p for n, p in enumerate(proxies) if _namespace(mesh, n) == home]
            if hearing:
                path = self._folder / f"svc-{service}.yaml"
                await change(path, mesh.service(service), token, hearing)

    def _kinds(self) -> tuple[Callable[[], None], ...]:
        return (
            *(self._endpoints,) * 5, *(self._routes,) * 3, *(self._service,) * 2, self._sidecar
        )  # fmt: skip

    def _any(self) -> int:
        return self._chance.randrange(self._mesh.services)

    def _endpoints(self) -> None:
        service, number = self._any(), next(self._number)
        more = [f"10.251.{number >> 8 & 255}.{number & 255}"] * self._chance.randrange(2)
        self._write(f"svc-{service}.yaml", self._mesh.service(service, *more))

    def _routes(self) -> None:
        service = self._any()
        if self._chance.random() < 0.3:
            (self._folder / f"routes-{service}.yaml").unlink(missing_ok=True)
        else:
            text = self._mesh.routes(service, f"user-{next(self._number)}")
            self._write(f"routes-{service}.yaml", text)

    def _service(self) -> None:
        service = self._mesh.services + self._chance.randrange(10)
        path = self._folder / f"svc-{service}.yaml"
        if path.exists():
            path.unlink()
        else:
            self._write(path.name, self._mesh.service(service))

    def _sidecar(self) -> None:
        number = self._chance.randrange(self._mesh.namespaces)
        path = self._folder / f"sidecar-{number}.yaml"
        if path.exists():
            path.unlink()
        else:
            self._write(path.name, self._mesh.sidecar(number))

    def _write(self, name: str, text: str) -> None:
        replace(self._folder / name, text)


def _namespace(mesh: Mesh, proxy: int) -> str:
    return "ns-0" if mesh.is_gateway(proxy) else mesh.namespace(proxy % mesh.services)


async def rage(
    server: Server, nodes: list[Node], weather: Weather, chance: random.Random, moments: int
) -> tuple[list[Versions], int]:
    """Return what each proxy holds once all is quiet again, and how many streams were cut."""
    async with asyncio.TaskGroup() as group:
        fleet = Fleet(server, nodes, group)
        fleet.start()
        try:
            await fleet.ready()
            for _ in range(moments):
                weather.blow()
                if chance.random() < _RECONNECTS:
                    await fleet.cut(chance.randrange(len(nodes)))
                await asyncio.sleep(chance.choice(_PAUSES_S))
            await weather.end(fleet.proxies)
            await _rest(server, fleet)
            return [_held(proxy.holding) for proxy in fleet.proxies], fleet.returned
        finally:
            fleet.end()


async def _rest(server: Server, fleet: Fleet) -> None:
    """Wait until nothing comes any more, and the control plane says that everybody has everything."""
    deadline, wanted, synced = time.monotonic() + _PATIENCE_S, len(fleet.proxies), -1
    await quiet(fleet.proxies)
    while time.monotonic() < deadline:
        said = await asyncio.to_thread(server.page, "/debug/syncz")
        streams = msgspec.convert(said, list[_Stream])
        await quiet(fleet.proxies)
        synced = sum(each.is_synced for each in streams)
        if len(streams) == synced == wanted:
            return
    raise AssertionError(f"{_PATIENCE_S:g} s after a storm {synced} of {wanted} streams are synced")


async def fresh(target: str, nodes: list[Node]) -> list[Versions]:
    """Return what newcomers get."""
    async with connected(target, nodes) as proxies:
        await quiet(proxies)
        return [_held(proxy.holding) for proxy in proxies]


def _held(holding: Holding) -> Versions:
    return {kind: dict(names) for kind, names in holding.versions.items() if names}


def differing(some: list[Versions], others: list[Versions]) -> Iterator[tuple[int, str, str]]:
    """Yield what proxies do not have alike: number, type, name."""
    for number, (one, other) in enumerate(zip(some, others, strict=True)):
        for kind in one.keys() | other.keys():
            mine, theirs = one.get(kind, {}), other.get(kind, {})
            for name in mine.keys() | theirs.keys():
                if mine.get(name) != theirs.get(name):
                    yield number, kind, name
