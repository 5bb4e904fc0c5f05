"""The pages of port 15014: read-only looks at what is known and what is served."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from typing import Protocol

import msgspec
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.json_format import MessageToDict
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from rhumb.ads.channel import State
from rhumb.ads.conditions import Conditions
from rhumb.ads.connection import Nack, TypeStatus
from rhumb.ads.http import Reply
from rhumb.ads.memory import Memory, memory
from rhumb.ads.metrics import XdsMetrics
from rhumb.ads.server import AdsServer
from rhumb.ads.stream import Stream
from rhumb.base.clock import Clock
from rhumb.base.errors import RhumbError
from rhumb.base.ready import Ready
from rhumb.cache.encoded import Encoded
from rhumb.cache.left_out import of_tables
from rhumb.model.finding import Finding, Level
from rhumb.model.kinds.table import NETWORKING
from rhumb.model.proxy import Role
from rhumb.model.resource import ResourceSet
from rhumb.snapshot.build import World
from rhumb.snapshot.view import whole
from rhumb.translate import conflicts
from rhumb.translate.origins import SECTIONS, Origins, origins
from rhumb.xds.types import XdsType

Json = dict[str, object]

_KEPT = 100
_DUMPED = {
    XdsType.CDS: "clusters",
    XdsType.EDS: "endpoints",
    XdsType.LDS: "listeners",
    XdsType.RDS: "routes",
}


class Store(Protocol):
    """The configuration in force, and what is wrong with it."""

    @property
    def resources(self) -> ResourceSet:
        """Return the objects."""
        ...

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return what is wrong."""
        ...


class Plane(Protocol):
    """What the pages look at."""

    clock: Clock
    metrics: XdsMetrics
    ready: Ready

    @property
    def encoded(self) -> Encoded:
        """Return the encoded resources."""
        ...

    def resident(self) -> int:
        """Return the bytes of memory that the process has."""
        ...

    @property
    def store(self) -> Store:
        """Return the configuration."""
        ...

    @property
    def world(self) -> World:
        """Return the snapshot in force."""
        ...

    @property
    def refused(self) -> tuple[Finding, ...]:
        """Return what the proxies that are connected cannot be given as it is written."""
        ...

    @property
    def ads(self) -> AdsServer:
        """Return the xDS server."""
        ...


class Pages:
    """Makes each page when it is asked for. Nothing here changes anything."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._nacks: list[Json] = []
        self._conditions = Conditions()
        self._fought: tuple[World | None, tuple[Finding, ...]] = None, ()
        self._pages: Mapping[str, Callable[[Mapping[str, str]], object]] = {
            "/version": lambda _: {"version": version("rhumb-mesh")},
            "/debug/syncz": lambda _: self.sync(),
            "/debug/adsz": lambda _: self.sync(),
            "/debug/connections": lambda _: self.connections(),
            "/debug/config_dump": lambda query: self.dump(query.get("proxyID", "")),
            "/debug/origins": self.origins,
            "/debug/ndsz": lambda query: self.names(query.get("proxyID", "")),
            "/debug/configz": lambda _: self.config(),
            "/debug/registryz": lambda _: self.services(),
            "/debug/endpointz": lambda _: self.endpoints(),
            "/debug/push_status": lambda _: self.rejections(),
            "/debug/mesh": lambda _: self._plane.world.mesh,
            "/debug/findings": lambda _: self.findings(),
            "/debug/memory": lambda _: self.memory(),
            "/debug/list": lambda _: sorted(self._pages),
        }

    def answer(self, path: str, query: Mapping[str, str]) -> Reply:
        """Return a page; 404 with the list of pages for any other path."""
        if path == "/metrics":
            return Reply(generate_latest(self._plane.metrics.registry), CONTENT_TYPE_LATEST)
        page = self._pages.get(path)
        if page is None:
            listed = "".join(f"{each}\n" for each in ("/metrics", "/ready", *sorted(self._pages)))
            return Reply(f"there is no {path}; there is\n{listed}".encode(), "text/plain", 404)
        try:
            found = page(query)
        except RhumbError as error:
            return Reply(f"{error}\nhint: {error.hint}\n".encode(), "text/plain", 404)
        return Reply(msgspec.json.encode(found, enc_hook=str) + b"\n")

    def is_ready(self) -> Reply:
        """Return whether the control plane may be used, and what it waits for. Safe in any thread."""
        pending = self._plane.ready.pending
        if not pending:
            return Reply(b"ready\n", "text/plain")
        return Reply(f"waiting for: {', '.join(pending)}\n".encode(), "text/plain", 503)

    def rejected(self, nack: Nack) -> None:
        """Keep a rejection; the last hundred are shown."""
        row: Json = {
            "at": self._plane.clock.now().isoformat(timespec="milliseconds"),
            "proxy": nack.proxy,
            "type": nack.type.short,
            "error": nack.error,
            "resources": nack.resources,
            "objects": [str(origin) for origin in nack.origins],
        }
        self._nacks = [*self._nacks[-(_KEPT - 1) :], row]

    def gauges(self) -> Iterator[tuple[str, str, dict[str, str], float]]:
        """Yield what is read at scrape time."""
        plane = self._plane
        by_version: dict[str, int] = {}
        for stream in plane.ads.streams:
            if stream.proxy is not None:
                said = stream.proxy.version or "unknown"
                by_version[said] = by_version.get(said, 0) + 1
        for said, count in sorted(by_version.items() or [("unknown", 0)]):
            yield "pilot_xds", "Connected streams.", {"version": said}, count
        services = len(plane.world.indexes.catalog.services)
        yield "pilot_services", "Services known.", {}, services
        routes = len(plane.store.resources.of(NETWORKING, "VirtualService"))
        yield "pilot_virt_services", "VirtualServices in force.", {}, routes
        yield from self._conditions.gauges(plane.world, plane.ads.served)
        levels = Counter(finding.level for finding in self._findings())
        for level in Level:
            count = levels[level]
            yield "rhumb_findings", "What is wrong with the configuration.", {"level": level}, count
        errors = levels[Level.ERROR]
        yield "pilot_total_rejected_configs", "Resources that are not in force.", {}, errors

    def memory(self) -> Memory:
        """Return what holds how much."""
        plane = self._plane
        return memory(
            plane.store.resources, plane.world, plane.ads, plane.encoded, plane.resident()
        )

    def sync(self) -> list[Json]:
        """Return every stream with the state of its types, for `rhumb status`."""
        found = [self._stream(stream, types) for stream, types in self._plane.ads.status()]
        return sorted(found, key=lambda row: str(row["proxy"]))

    def connections(self) -> Json:
        """Return who is connected from where, and for how long."""
        now = self._plane.clock.monotonic()
        clients = [
            {
                "connectionId": stream.proxy.id,
                "address": stream.caller.address,
                "identity": stream.caller.identity,
                "connected_seconds": round(now - stream.since, 3),
            }
            for stream in self._plane.ads.streams
            if stream.proxy is not None
        ]
        return {"totalClients": len(clients), "clients": clients}

    def dump(self, proxy_id: str) -> Json:
        """Return what one proxy is served, as protobuf JSON; routes with their virtual hosts inside.

        Raises RhumbError when no such proxy is connected.
        """
        view = self._find(proxy_id, agent=False).connection.view
        assert view is not None
        views, view = self._plane.ads.views, whole(view)
        return {
            word: [
                MessageToDict(Packed.FromString(entry.packed), preserving_proto_field_name=True)
                for entry in views.table(view, kind).entries.values()
            ]
            for kind, word in _DUMPED.items()
        }

    def origins(self, query: Mapping[str, str]) -> Origins:
        """Return which objects, files and lines made what one proxy is served, or one section of it.

        Raises RhumbError when no such proxy is connected, or there is no such section.
        """
        view = self._find(query.get("proxyID", ""), agent=False).connection.view
        assert view is not None
        section = query.get("type", "")
        if section and section not in SECTIONS:
            raise RhumbError(f'there is no "{section}"', hint=f"type={'|'.join(SECTIONS)}")
        return origins(self._plane.world, view, (section,) if section else SECTIONS)

    def names(self, proxy_id: str) -> list[Json]:
        """Return the name table of one proxy's agent.

        Raises RhumbError when no such agent is connected.
        """
        view = self._find(proxy_id, agent=True).connection.view
        assert view is not None
        table = self._plane.ads.views.table(view, XdsType.NDS)
        return [MessageToDict(Packed.FromString(e.packed)) for e in table.entries.values()]

    def services(self) -> list[Json]:
        """Return the registry: every service with its ports."""
        return [
            {
                "hostname": service.hostname,
                "namespace": service.namespace,
                "addresses": service.addresses or (service.auto_address,),
                "registry": service.registry,
                "resolution": service.resolution,
                "ports": service.ports,
                "location": str(service.location),
            }
            for service in self._plane.world.indexes.catalog.services.values()
        ]

    def endpoints(self) -> list[Json]:
        """Return the endpoints of every service."""
        catalog = self._plane.world.indexes.catalog
        return [
            {
                "hostname": service.hostname,
                "namespace": service.namespace,
                "endpoints": [
                    {
                        "address": e.address,
                        "port": e.port,
                        "service_port": e.service_port,
                        "health": e.health,
                        "workload": f"{e.workload.namespace}/{e.workload.name}",
                        "instance": e.hostname,
                        "labels": dict(e.workload.labels),
                    }
                    for e in catalog.endpoints.get(key, ())
                ],
            }
            for key, service in catalog.services.items()
        ]

    def config(self) -> list[Json]:
        """Return every object in force; what is secret stays out."""
        return [
            {
                "kind": r.key.kind,
                "namespace": r.key.namespace,
                "name": r.key.name,
                "version": r.version,
                "location": str(r.location),
                "status": r.status,
            }
            for r in self._plane.store.resources.values()
        ]

    def findings(self) -> list[Json]:
        """Return what is wrong, one row each."""
        return [
            {
                "level": f.level,
                "file": f.location.file,
                "line": f.location.line,
                "object": str(f.key) if f.key else "",
                "field": f.field,
                "message": f.message,
                "fix": f.fix,
                "code": f.code,
            }
            for f in self._findings()
        ]

    def rejections(self) -> list[Json]:
        """Return the last responses that proxies rejected, newest first."""
        return self._nacks[::-1]

    def _findings(self) -> tuple[Finding, ...]:
        views = self._plane.ads.views
        patched = self._plane.world.resources.of(NETWORKING, "EnvoyFilter")
        return (
            *self._plane.store.findings,
            *self._plane.world.findings,
            *self._plane.refused,
            *self._fights(),
            *(of_tables(views.known()) if patched else ()),
        )

    def _fights(self) -> tuple[Finding, ...]:
        """Return what has no effect because of other objects; looked for once in each snapshot."""
        world = self._plane.world
        if self._fought[0] is not world:
            self._fought = world, conflicts.findings(world)
        return self._fought[1]

    def _find(self, proxy_id: str, *, agent: bool) -> Stream:
        for stream in self._plane.ads.streams:
            proxy = stream.proxy
            if proxy is None or (proxy.role is Role.AGENT) != agent:
                continue
            if proxy_id in (proxy.id, f"{proxy.name}.{proxy.namespace}"):
                return stream
        raise RhumbError(
            f'no {"agent" if agent else "proxy"} "{proxy_id}" is connected',
            hint="?proxyID=NAME.NAMESPACE; /debug/connections lists who is there",
        )

    def _stream(self, stream: Stream, types: tuple[TypeStatus, ...]) -> Json:
        proxy = stream.proxy
        assert proxy is not None
        now = self._plane.clock.monotonic()
        caller = stream.caller
        return {
            "proxy": proxy.id,
            "name": f"{proxy.name}.{proxy.namespace}",
            "role": proxy.role,
            "cluster": proxy.cluster,
            "identity": caller.identity,
            "certificate_issued": caller.issued,
            "certificate_expires": caller.expires,
            "address": caller.address,
            "version": proxy.version,
            "connected_seconds": round(now - stream.since, 3),
            "last_push_seconds": round(now - stream.last_push, 3) if stream.pushes else None,
            "pushes": stream.pushes,
            "types": {each.type: _type(each) for each in types},
        }


def _type(status: TypeStatus) -> Json:
    row: Json = {"state": status.state, "resources": status.resources}
    if status.state is State.NACK:
        row |= {"error": status.error, "refused": status.refused, "objects": status.objects}
    return row
