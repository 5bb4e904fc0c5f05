"""The control plane: the arrows of the architecture picture, as code. Read this first.

files, agents -> store -> (debounce) -> snapshot -> views -> streams
"""

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable

import grpc
import msgspec

from rhumb.ads import agent_types, http
from rhumb.ads.connection import Nack
from rhumb.ads.debounce import Debounce
from rhumb.ads.debug import Pages
from rhumb.ads.metrics import XdsMetrics
from rhumb.ads.observer import Observer
from rhumb.ads.server import AdsServer
from rhumb.app.doors import Address, identify, plaintext, secure, server
from rhumb.app.settings import ServeSettings
from rhumb.base.clock import Clock, SystemClock
from rhumb.base.listeners import port_taken
from rhumb.base.ready import Ready
from rhumb.base.resident import resident_bytes
from rhumb.base.tasks import together
from rhumb.base.tls_front import TlsFront
from rhumb.ca.active import CertificateAuthority
from rhumb.ca.bundle import bundle_pems, keep_current
from rhumb.ca.metrics import CaMetrics
from rhumb.ca.server import CertificateService, tls_front
from rhumb.ca.tokens import TokenBook
from rhumb.cache.encoded import Encoded, Pieces
from rhumb.cache.left_out import of_failure
from rhumb.cache.views import Failure, Named, Views
from rhumb.encode.dispatch import encode, host_bytes, left_out
from rhumb.model.finding import Finding, Level
from rhumb.model.proxy import Proxy, Role
from rhumb.model.resource import Changes, Key, ResourceSet
from rhumb.snapshot.affects import Impact, split
from rhumb.snapshot.build import World, build, empty
from rhumb.snapshot.snapshot import Snapshot
from rhumb.snapshot.view import View
from rhumb.sources.files import FileSource
from rhumb.sources.registration import Registration
from rhumb.sources.store import ConfigStore
from rhumb.translate import proxy, refused
from rhumb.translate.memory import Memory
from rhumb.xds.types import XdsType

_ANYBODY = View(role=Role.AGENT, namespace="")

_log = logging.getLogger(__name__)


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """The ports in use."""

    secure: int
    xds: int
    """0: none."""
    monitoring: int


class ControlPlane:
    """Everything that `rhumb serve` runs."""

    def __init__(self, settings: ServeSettings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.store = ConfigStore()
        self.files = FileSource(
            self.store,
            settings.config,
            namespace=settings.namespace,
            mesh_config=settings.mesh_config,
            root_namespace=settings.root_namespace,
        )
        self.registration = Registration(self.store, settings.state / "workloads", self.clock)
        self.authority = CertificateAuthority(settings.ca)
        self.tokens = TokenBook(self.authority.store.tokens)
        self.world: World = empty(settings.root_namespace)
        self._hosts = Pieces(host_bytes)
        self.encoded = Encoded(self._encode, leave=left_out)
        first = Views(self.world, self, self.encoded, self._failed)
        self.ads = AdsServer(settings.ads, self.clock, first, _Watcher(self))
        self.metrics = XdsMetrics(self.clock)
        self.ready = Ready("start")
        self.pages = Pages(self)
        self.metrics.watch(self.pages)
        self.debounce = Debounce(settings.debounce, self.clock, self._push, self.ads.taken)
        self.overtaking = Debounce(
            settings.debounce, self.clock, self._push_endpoints, self.ads.taken
        )
        self._pending: set[Key] = set()
        """Objects to look at: what came and went in one lane may have been pushed by the other meanwhile."""
        self._moving: set[Key] = set()
        """Of endpoints alone: they overtake what is larger and not out yet."""
        self._told: tuple[Finding, ...] = ()

    # --- the way of a change -------------------------------------------------------------

    def _changed(self, changes: Changes) -> None:
        """Take what differs in the store; a push follows."""
        moving, rest = split(changes)
        if moving:
            self._moving |= moving.keys
            self.overtaking.changed()
        if rest:
            self._pending |= rest.keys
            self.debounce.changed()

    def _push(self, since: float) -> bool:
        """Push everything that differs."""
        changes = Changes(changed=frozenset(self._pending | self._moving))
        self._pending, self._moving = set(), set()
        return self._publish(self.store.resources, changes, since)

    def _push_endpoints(self, since: float) -> bool:
        """Push where workloads are, and leave what else waits for its own time."""
        keys, self._moving = self._moving, set()
        known = self.store.resources
        resources, changes = self.world.resources.apply(
            [known[key] for key in keys if key in known], [key for key in keys if key not in known]
        )
        return self._publish(resources, changes, since)

    def _publish(self, resources: ResourceSet, changes: Changes, since: float) -> bool:
        """Build the next snapshot and let every stream have it; return whether anything differs."""
        began = self.clock.monotonic()
        if not changes:
            return False
        after = self.world = build(self.world, resources, changes)
        self.ads.publish(after, since, after.impact)
        kinds = {key.kind.lower() for key in changes.keys}
        self.metrics.pushed(kinds, self.clock.monotonic() - began, began - since)
        told, self._told = self._told, self.refused
        _report(f for f in self._told if f not in told)
        return True

    @property
    def refused(self) -> tuple[Finding, ...]:
        """Return what the routers that are connected leave out, and why."""
        return refused.findings(self.world, self.ads.served)

    def resident(self) -> int:
        """Return the bytes of memory that the process has."""
        return resident_bytes()

    def _bundle_changed(self, _bundle: object) -> None:
        # The bundle is no resource of the store: only its own type is made anew. What has been made
        # for a world stays, so there must be another one.
        self.world = build(self.world, self.world.resources, Changes())
        kinds = frozenset({XdsType.PCDS})
        self.ads.publish(self.world, self.clock.monotonic(), Impact(types=kinds, wide=kinds))

    def parts(self, snapshot: Snapshot, view: View, kind: XdsType) -> tuple[proxy.Part, ...]:
        """Return the parts of what a view receives; all agents have the one trust bundle."""
        if kind is XdsType.PCDS:
            return (proxy.Part(_ANYBODY, kind, is_common=True),)
        return proxy.parts(snapshot, view, kind)

    def translate(
        self,
        snapshot: Snapshot,
        part: proxy.Part,
        hosts: frozenset[str] | None,
        memory: Memory,
    ) -> Iterable[tuple[str, Iterable[Named]]]:
        """Yield the values of a part, unit by unit."""
        if part.kind is XdsType.PCDS:
            bundle = agent_types.TrustBundle(tuple(bundle_pems(self.authority.bundle)))
            return (("", (bundle,)),)
        return proxy.translate(snapshot, part, hosts, memory)

    def _encode(self, value: object) -> tuple[str, str, bytes]:
        if isinstance(value, agent_types.AgentValue):
            return agent_types.encode(value)
        return encode(value, self._hosts)

    def _failed(self, failure: Failure) -> None:
        if failure.patch is not None:
            self.metrics.count("envoy_filter_left_out")
            _report((of_failure(failure),))
            return
        self.metrics.count("internal_error")
        _log.error(
            "defect: a resource could not be made; %s",
            "its last good version stays" if failure.kept else "it is missing",
            extra={
                "type": failure.type.short,
                "resource": failure.resource,
                "error": failure.error,
            },
        )

    # --- running -------------------------------------------------------------------------

    async def run(self, started: Callable[[Ports], None] = lambda _: None) -> None:
        """Serve until cancelled; `started` is called once, with the ports, when everything is.

        Raises RhumbError when a port is taken, a path is missing, or there is no CA to be had.
        """
        settings = self.settings
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self.registration.close)
            with self.ready.waiting_for("start"):
                monitoring = await stack.enter_async_context(self._monitoring())
                with self.ready.waiting_for("certificate authority"):
                    self.authority.open(self.clock.now())
                    self.authority.on_bundle(self._bundle_changed)
                with self.ready.waiting_for("configuration"):
                    self._load()
                front = tls_front(self.authority, self.clock)
                at = Address(settings.address, settings.secure_port, "--secure-port")
                door = server(settings.ads, self._handlers(front))
                secure_port = await stack.enter_async_context(secure(door, front, at))
                xds_port = 0
                if settings.xds_port is not None:
                    local = Address(settings.local_address, settings.xds_port, "--xds-port")
                    door = server(settings.ads, (self.ads.handler(),))
                    xds_port = await stack.enter_async_context(plaintext(door, local))
                stack.callback(self.ads.close)
            ports = Ports(secure=secure_port, xds=xds_port, monitoring=monitoring)
            _log.info("ready", extra=msgspec.structs.asdict(ports))
            started(ports)
            await together(
                files=self.files.watch,
                push=self.debounce.run,
                endpoints=self.overtaking.run,
                registration=self.registration.run,
                ca=lambda: keep_current(self.authority, self.tokens, self.clock),
            )

    def _load(self) -> None:
        self.store.subscribe_findings(_report)
        self.files.load()
        self.registration.load()
        # What is there at the start is pushed at once, and is no change that others would wait for.
        self._pending = set(self.store.resources)
        self._push(self.clock.monotonic())
        self.store.subscribe(self._changed)
        self.store.subscribe(self.registration.groups_changed)

    def _handlers(self, front: TlsFront) -> tuple[grpc.GenericRpcHandler, ...]:
        certificates = CertificateService(
            self.authority,
            self.tokens,
            clock=self.clock,
            metrics=CaMetrics(self.metrics.registry, self.authority, self.clock),
            peer=front.peer,
        )
        prove = identify(front, self.settings.ca.trust, self.clock)
        return certificates.handler(), self.ads.handler(prove)

    @contextlib.asynccontextmanager
    async def _monitoring(self) -> AsyncIterator[int]:
        address, port = self.settings.local_address, self.settings.monitoring_port
        pages = self.pages
        serving = http.serving(address, port, pages.answer, {"/ready": pages.is_ready})
        async with contextlib.AsyncExitStack() as stack:
            try:
                bound = await stack.enter_async_context(serving)
            except OSError as error:
                reason = error.strerror or str(error)
                raise port_taken(address, port, reason, "--monitoring-port") from None
            yield bound


def _report(findings: Iterable[Finding]) -> None:
    for finding in findings:
        level = logging.WARNING if finding.level is Level.ERROR else logging.INFO
        _log.log(level, "%s", finding.text())


class _Watcher(Observer):
    """Hears of streams for the registration, the metrics and the logs."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane

    def connected(self, proxy: Proxy) -> None:
        self._plane.registration.connected(proxy)

    def disconnected(self, proxy: Proxy) -> None:
        self._plane.registration.disconnected(proxy)

    def health(self, proxy: Proxy, healthy: bool, reason: str) -> None:
        self._plane.registration.health(proxy, healthy=healthy, reason=reason)

    def nack(self, nack: Nack) -> None:
        _log.error(
            "configuration refused by the proxy, which keeps what it had: %s",
            nack.error,
            extra={
                "proxy": nack.proxy,
                "type": nack.type.short,
                "resources": ",".join(nack.resources),
                "objects": "; ".join(map(str, nack.origins)),
            },
        )
        self._plane.metrics.rejected(nack.type)
        self._plane.pages.rejected(nack)

    def sent(self, kind: XdsType, size: int, seconds: float) -> None:
        self._plane.metrics.sent(kind, size, seconds)

    def taken(self, seconds: float) -> None:
        self._plane.metrics.taken(seconds)

    def queued(self, seconds: float) -> None:
        self._plane.metrics.queued(seconds)

    def converged(self, seconds: float) -> None:
        self._plane.metrics.converged(seconds)

    def stale(self, count: int) -> None:
        self._plane.metrics.count("stale_nonce", count)

    def refused(self, reason: str) -> None:
        self._plane.metrics.count("refused_stream")
