"""Port 15014: metrics under Istio's names, readiness, and read-only pages about what is served."""

import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from importlib.metadata import version
from typing import Any, Protocol

from aiohttp import web
from google.protobuf.json_format import MessageToDict
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from rhumb.ads.connection import Nack, TypeStatus
from rhumb.ads.server import AdsServer, Stream
from rhumb.base.clock import Clock
from rhumb.base.errors import RhumbError
from rhumb.encode.dispatch import message
from rhumb.model.finding import Finding
from rhumb.model.kinds.table import NETWORKING
from rhumb.model.resource import Changes, ResourceSet
from rhumb.snapshot.build import World
from rhumb.translate.proxy import resources
from rhumb.xds.types import XdsType

Json = dict[str, object]


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

    @property
    def store(self) -> Store:
        """Return the configuration."""
        ...

    @property
    def world(self) -> World:
        """Return the snapshot in force."""
        ...

    @property
    def ads(self) -> AdsServer:
        """Return the xDS server."""
        ...


class Monitor(Collector):
    """Counts what happens and answers the pages."""

    def __init__(self, plane: Plane, started: float) -> None:
        self._plane = plane
        self._started = started
        self._pushes: Counter[str] = Counter()
        self._rejects: Counter[str] = Counter()
        self._triggers: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._internal_errors = 0
        self.nacks: list[Nack] = []
        self.ready = False
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def pushed(self, changes: Changes) -> None:
        """Count a push and what brought it about."""
        for kind in {key.kind for key in changes.keys} or {"global"}:
            self._triggers[kind.lower()] += 1

    def sent(self, kind: XdsType, size: int) -> None:
        """Count a response."""
        self._pushes[kind.short.lower()] += 1
        self._bytes[kind.short.lower()] += size

    def nack(self, nack: Nack) -> None:
        """Keep a rejection; the last hundred are shown."""
        self._rejects[nack.type.short.lower()] += 1
        self.nacks = [*self.nacks[-99:], nack]

    def internal_error(self) -> None:
        """Count a resource that could not be translated or encoded."""
        self._internal_errors += 1

    def collect(self) -> Iterable[Metric]:
        """Yield every metric under Istio's name where Istio has one."""
        streams = self._plane.ads.streams
        yield _gauge("pilot_xds", "Number of endpoints connected to this pilot.", len(streams))
        yield _labelled("pilot_xds_pushes", "Responses sent.", "type", self._pushes)
        yield _labelled("pilot_push_triggers", "Pushes by what changed.", "type", self._triggers)
        yield _labelled("pilot_xds_sent_bytes", "Bytes of responses.", "type", self._bytes)
        total = sum(self._rejects.values())
        yield _gauge("pilot_total_xds_rejects", "Total number of XDS responses rejected.", total)
        yield _gauge(
            "pilot_total_xds_internal_errors",
            "Total number of internal XDS errors.",
            self._internal_errors,
        )
        for kind in ("cds", "eds", "lds", "rds"):
            count = self._rejects[kind]
            yield _gauge(f"pilot_xds_{kind}_reject", f"Rejected {kind.upper()} configs.", count)
        world = self._plane.world
        yield _gauge(
            "pilot_services", "Services known to pilot.", len(world.indexes.catalog.services)
        )
        routes = len(self._plane.store.resources.of(NETWORKING, "VirtualService"))
        yield _gauge("pilot_virt_services", "Virtual services known to pilot.", routes)
        yield _gauge(
            "rhumb_findings", "What is wrong with the configuration.", len(self.findings())
        )
        up = self._plane.clock.monotonic() - self._started
        yield _gauge("istiod_uptime_seconds", "Current istiod server uptime in seconds.", up)
        build = Metric("istio_build", "Istio component build info", "gauge")
        build.add_sample("istio_build", {"component": "pilot", "tag": version("rhumb-mesh")}, 1.0)
        yield build

    def findings(self) -> list[Finding]:
        """Return what is wrong: with single objects, and between them."""
        return [*self._plane.store.findings, *self._plane.world.findings]

    def sync(self) -> list[Json]:
        """Return every stream with the state of its types, for `rhumb status`."""
        now = self._plane.clock.monotonic()
        found = [self._stream(s, types, now) for s, types in self._plane.ads.status()]
        return sorted(found, key=lambda row: str(row["proxy"]))

    def _stream(self, stream: Stream, types: tuple[TypeStatus, ...], now: float) -> Json:
        proxy = stream.proxy
        assert proxy is not None
        return {
            "proxy": proxy.id,
            "name": f"{proxy.name}.{proxy.namespace}",
            "role": proxy.role,
            "identity": stream.caller.identity,
            "certificate_expires": stream.caller.expires,
            "version": proxy.version,
            "connected_seconds": round(now - stream.since, 3),
            "last_push_seconds": round(now - stream.last_push, 3) if stream.pushes else None,
            "pushes": stream.pushes,
            "types": {
                t.type: {
                    "state": t.state,
                    "resources": t.resources,
                    "error": t.error,
                    "objects": list(t.objects),
                }
                for t in types
            },
        }

    def dump(self, proxy_id: str) -> Json:
        """Return the whole configuration of one proxy as protobuf JSON.

        Raises RhumbError when no such proxy is connected.
        """
        for stream in self._plane.ads.streams:
            proxy, view = stream.proxy, stream.connection.view
            if proxy is None or view is None:
                continue
            if proxy_id in (proxy.id, f"{proxy.name}.{proxy.namespace}") and proxy.role != "agent":
                world = self._plane.world
                kinds = (XdsType.CDS, XdsType.EDS, XdsType.LDS, XdsType.RDS)
                names = ("clusters", "endpoints", "listeners", "routes")
                return {
                    name: [
                        MessageToDict(message(value), preserving_proto_field_name=True)
                        for value in resources(world, view, kind)
                    ]
                    for name, kind in zip(names, kinds, strict=True)
                }
        raise RhumbError(f'no proxy "{proxy_id}" is connected', hint="see /debug/syncz")

    def services(self) -> list[Json]:
        """Return the registry: every service with its ports and endpoints."""
        catalog = self._plane.world.indexes.catalog
        return [
            {
                "hostname": service.hostname,
                "namespace": service.namespace,
                "addresses": list(service.addresses) or [service.auto_address],
                "registry": service.registry,
                "ports": [
                    {"number": p.number, "name": p.name, "protocol": p.protocol}
                    for p in service.ports
                ],
                "endpoints": [
                    {
                        "address": e.address,
                        "port": e.port,
                        "health": e.health,
                        "workload": e.workload.name,
                        "labels": dict(e.workload.labels),
                    }
                    for e in catalog.endpoints.get(key, ())
                ],
            }
            for key, service in catalog.services.items()
        ]

    def config(self) -> list[Json]:
        """Return every object in force."""
        return [
            {
                "kind": r.key.kind,
                "namespace": r.key.namespace,
                "name": r.key.name,
                "version": r.version,
                "location": str(r.location),
                "status": dict(r.status),
            }
            for r in self._plane.store.resources.values()
        ]

    def finding_rows(self) -> list[Json]:
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
            }
            for f in self.findings()
        ]


@contextlib.asynccontextmanager
async def serving(monitor: Monitor, address: str, port: int) -> AsyncIterator[None]:
    """Serve the pages. Raises RhumbError when the port is taken."""
    runner = web.AppRunner(_application(monitor), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, address, port).start()
    except OSError as error:
        await runner.cleanup()
        raise RhumbError(
            f"cannot listen on {address}:{port}: {error.strerror}",
            hint="stop what uses the port, or choose one with --monitoring-port",
        ) from None
    monitor.ready = True
    try:
        yield
    finally:
        monitor.ready = False
        await runner.cleanup()


def _application(monitor: Monitor) -> web.Application:
    app = web.Application()
    pages: dict[str, Callable[[], object]] = {
        "/debug/syncz": monitor.sync,
        "/debug/registryz": monitor.services,
        "/debug/endpointz": monitor.services,
        "/debug/configz": monitor.config,
        "/debug/findings": monitor.finding_rows,
        "/version": lambda: {"version": version("rhumb-mesh")},
    }
    pages["/debug/list"] = pages["/debug"] = lambda: [*sorted(pages), "/debug/config_dump"]
    for path, make in pages.items():
        app.router.add_get(path, _page(make))

    async def dump(request: web.Request) -> web.Response:
        try:
            found = monitor.dump(request.query.get("proxyID", ""))
        except RhumbError as error:
            return web.Response(status=404, text=f"{error}; {error.hint}\n")
        return web.json_response(found, dumps=_dumps)

    async def metrics(_request: web.Request) -> web.Response:
        body = generate_latest(monitor.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def ready(_request: web.Request) -> web.Response:
        if monitor.ready:
            return web.Response(text="ready\n")
        return web.Response(status=503, text="waiting for: configuration\n")

    app.router.add_get("/debug/config_dump", dump)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/ready", ready)
    return app


def _page(make: Callable[[], object]) -> Callable[[web.Request], Any]:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(make(), dumps=_dumps)

    return answer


def _dumps(value: object) -> str:
    return json.dumps(value, default=str)


def _gauge(name: str, text: str, value: float) -> Metric:
    metric = Metric(name, text, "gauge")
    metric.add_sample(name, {}, value)
    return metric


def _labelled(name: str, text: str, label: str, values: Counter[str]) -> Metric:
    metric = Metric(name, text, "gauge")
    for key, value in sorted(values.items()):
        metric.add_sample(name, {label: key}, value)
    return metric
