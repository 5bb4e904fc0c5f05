"""Proxies of a mesh on delta ADS: they ask as Envoy does and acknowledge everything."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import msgspec
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.base_pb2 import Node
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from envoy.service.discovery.v3.discovery_pb2 import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
)
from google.protobuf.json_format import ParseDict

from benchmarks.controlplane.certificates import Certificates, Credentials
from benchmarks.controlplane.mesh import Mesh

METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
_PREFIX = "type.googleapis.com/envoy.config."
CDS, EDS = f"{_PREFIX}cluster.v3.Cluster", f"{_PREFIX}endpoint.v3.ClusterLoadAssignment"
LDS, RDS = f"{_PREFIX}listener.v3.Listener", f"{_PREFIX}route.v3.RouteConfiguration"
VHDS = f"{_PREFIX}route.v3.VirtualHost"
Call = Any
"""grpc.aio.StreamStreamCall; gRPC ships no types."""
_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.http2.bdp_probe", 0),
)
"""Each proxy has a connection of its own; Envoy sends no bandwidth probes."""


def node(mesh: Mesh, number: int, *, vhds: bool = True) -> Node:
    """Return who the `number`-th proxy of a mesh is."""
    if mesh.is_gateway(number):
        return _gateway(number)
    service, endpoint = number % mesh.services, number // mesh.services % mesh.endpoints
    namespace, address = mesh.namespace(service), mesh.address(service, endpoint)
    metadata = {
        "NAMESPACE": namespace,
        "SERVICE_ACCOUNT": f"sa-{service}",
        "LABELS": {"app": f"svc-{service}", "version": f"v{endpoint % 2 + 1}"},
        "INSTANCE_IPS": address,
        "RHUMB_VHDS": "true" if vhds else "false",
    }
    name = f"svc-{service}-{endpoint}.{namespace}"
    return _node(f"sidecar~{address}~{name}~{namespace}.svc.cluster.local", metadata)


def _gateway(number: int) -> Node:
    address = f"10.200.{number >> 8 & 255}.{number & 255}"
    metadata = {
        "NAMESPACE": "ns-0",
        "SERVICE_ACCOUNT": "gateway",
        "LABELS": {"istio": "ingressgateway"},
        "INSTANCE_IPS": address,
    }
    return _node(f"router~{address}~gateway-{number}.ns-0~ns-0.svc.cluster.local", metadata)


def _node(name: str, metadata: Mapping[str, object]) -> Node:
    return ParseDict({"id": name, "metadata": metadata}, Node())


class Names:
    """What resources refer to, read once for all proxies."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[str, ...]] = {}

    def of(self, type_url: str, value: bytes) -> tuple[str, ...]:
        """Return the names that a resource refers to."""
        key = hashlib.blake2b(value, digest_size=16).digest()
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = tuple(_READ[type_url](value))
        return found


def _endpoints(value: bytes) -> Sequence[str]:
    cluster = Cluster.FromString(value)
    return [cluster.name] if cluster.type == Cluster.EDS else []


def _routes(value: bytes) -> Sequence[str]:
    listener = Listener.FromString(value)
    found = []
    for chain in (*listener.filter_chains, listener.default_filter_chain):
        for each in chain.filters:
            if each.typed_config.Is(hcm.HttpConnectionManager.DESCRIPTOR):
                manager = hcm.HttpConnectionManager.FromString(each.typed_config.value)
                if manager.HasField("rds"):
                    found.append(manager.rds.route_config_name)
    return found


def _hosts(value: bytes) -> Sequence[str]:
    return [""] if RouteConfiguration.FromString(value).HasField("vhds") else []


_READ = {CDS: _endpoints, LDS: _routes, RDS: _hosts}
_NEXT = {CDS: EDS, LDS: RDS, RDS: VHDS}
"""What a type's resources refer to; virtual hosts are asked for once, without names."""


class Holding(msgspec.Struct, frozen=True):
    """What a proxy has of an earlier stream."""

    versions: Mapping[str, Mapping[str, str]] = {}
    """Type to name to version."""
    names: Mapping[str, frozenset[str]] = {}
    """What it asks for by name, by type; it may not have got all of it."""


NEWCOMER = Holding()


class Proxy:
    """One stream on a connection of its own."""

    def __init__(
        self,
        target: str,
        who: Node,
        names: Names,
        brings: Holding,
        credentials: Credentials | None = None,
    ) -> None:
        """Take who it is, what it holds, and how it proves itself; None: by nothing, without TLS."""
        self.ready = asyncio.Event()
        """It holds its whole configuration."""
        self.heard: Callable[[bytes], None] = lambda _raw: None
        self.responses = 0
        self.bytes = 0
        self.held: dict[str, dict[str, str]] = {k: dict(v) for k, v in brings.versions.items()}
        """Type to name to version."""
        self._target = target
        self._node = who
        self._names = names
        self._asked: dict[str, set[str]] = {}
        self._waiting = {CDS, LDS} if not brings.versions else set()
        self._brings = brings
        self._credentials = credentials

    @property
    def holding(self) -> Holding:
        """Return what it has to bring to another stream."""
        versions = {kind: dict(names) for kind, names in self.held.items()}
        names = dict(self._brings.names)
        for kind, asked in self._asked.items():
            names[kind] = names.get(kind, frozenset()) | asked
        return Holding(versions, names)

    async def run(self) -> None:
        """Hold the stream until cancelled, or until there is no server any more."""
        try:
            await self._talk()
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise

    async def _talk(self) -> None:
        async with _channel(self._target, self._credentials) as channel:
            method = channel.stream_stream(METHOD, _raw, _raw)
            call = method()
            await self._subscribe(call, CDS, (), self._node)
            for kind, names in self._brings.names.items():
                if kind != CDS:
                    await self._subscribe(call, kind, tuple(names))
            if self._brings.versions:
                self.ready.set()
            async for raw in call:
                await self._receive(call, raw)

    async def _subscribe(
        self, call: Call, kind: str, names: Sequence[str], who: Node | None = None
    ) -> None:
        known = self._asked.get(kind)
        fresh = [name for name in names if known is None or name not in known]
        if known is not None and not fresh:
            return
        self._asked.setdefault(kind, set()).update(fresh)
        brought = self._brings.versions.get(kind) if known is None else None
        request = DeltaDiscoveryRequest(
            type_url=kind,
            resource_names_subscribe=fresh,
            initial_resource_versions=brought,
            node=who,
        )
        await call.write(request.SerializeToString())

    async def _receive(self, call: Call, raw: bytes) -> None:
        self.responses += 1
        self.bytes += len(raw)
        response = DeltaDiscoveryResponse.FromString(raw)
        kind = response.type_url
        ack = DeltaDiscoveryRequest(type_url=kind, response_nonce=response.nonce)
        await call.write(ack.SerializeToString())
        self.heard(raw)
        held = self.held.setdefault(kind, {})
        for name in response.removed_resources:
            held.pop(name, None)
        held.update((each.name, each.version) for each in response.resources)
        follows = _NEXT.get(kind)
        if follows is not None:
            found = [self._names.of(kind, each.resource.value) for each in response.resources]
            wanted = [name for names in found for name in names]
            if wanted and follows not in self._asked:
                self._waiting.add(follows)
            if wanted:
                await self._subscribe(call, follows, [name for name in wanted if name])
        self._waiting.discard(kind)
        if LDS not in self._asked and EDS not in self._waiting:
            await self._subscribe(call, LDS, ())
        if not self._waiting:
            self.ready.set()


@asynccontextmanager
async def connected(
    target: str,
    nodes: Sequence[Node],
    *,
    at_once: int = 50,
    brings: Sequence[Holding] = (),
    certificates: Certificates | None = None,
) -> AsyncIterator[list[Proxy]]:
    """Hold the streams of many proxies, all with their whole configuration, while the block runs."""
    names = Names()
    earlier = brings or [NEWCOMER] * len(nodes)
    proxies = [
        Proxy(target, who, names, has, certificates.of(who) if certificates else None)
        for who, has in zip(nodes, earlier, strict=True)
    ]
    starting = asyncio.Semaphore(at_once)
    async with asyncio.TaskGroup() as group:
        tasks = []

        async def start(proxy: Proxy) -> None:
            async with starting:
                tasks.append(group.create_task(proxy.run()))
                await proxy.ready.wait()

        async with asyncio.TaskGroup() as beginning:
            for proxy in proxies:
                beginning.create_task(start(proxy))
        try:
            yield proxies
        finally:
            for task in tasks:
                task.cancel()


class Streams:
    """Streams that acknowledge whatever comes, without a look at it."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._left = 0
        self._all = asyncio.Event()

    async def heard(self) -> None:
        """Wait until every stream has got one more response than when this was called last."""
        await self._all.wait()
        self._all.clear()

    def note(self) -> None:
        """Count a response."""
        self._left += 1
        if self._left == self._count:
            self._left = 0
            self._all.set()


@asynccontextmanager
async def raw_streams(target: str, nodes: Sequence[Node], first: int) -> AsyncIterator[Streams]:
    """Hold bare streams that have got their `first` responses while the block runs."""
    streams = Streams(len(nodes))
    ack = DeltaDiscoveryRequest(type_url=CDS, response_nonce="1").SerializeToString()

    async def hold(who: Node) -> None:
        async with _channel(target) as channel:
            call = channel.stream_stream(METHOD, _raw, _raw)()
            await call.write(DeltaDiscoveryRequest(type_url=CDS, node=who).SerializeToString())
            count = 0
            async for _ in call:
                await call.write(ack)
                count += 1
                if count >= first:
                    streams.note()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(hold(each)) for each in nodes]
        try:
            await streams.heard()
            yield streams
        finally:
            for task in tasks:
                task.cancel()


def _channel(target: str, credentials: Credentials | None = None) -> grpc.aio.Channel:
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=_OPTIONS)
    return grpc.aio.secure_channel(target, credentials, options=_OPTIONS)


def _raw(data: bytes) -> bytes:
    return data
