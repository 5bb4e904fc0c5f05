"""The control plane: the arrows of the architecture picture, as code. Read this first.

files, agents -> store -> (debounce) -> snapshot -> views -> streams
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

import grpc

from rhumb.ads import agent_types, debug
from rhumb.ads.connection import Nack
from rhumb.ads.debounce import Debounce
from rhumb.ads.server import AdsServer, Caller, Observer
from rhumb.app.settings import ServeSettings
from rhumb.base.clock import Clock, SystemClock
from rhumb.base.errors import RhumbError
from rhumb.base.tasks import together
from rhumb.base.tls_front import TlsFront
from rhumb.ca.active import CertificateAuthority
from rhumb.ca.bundle import bundle_pems, keep_current
from rhumb.ca.metrics import CaMetrics
from rhumb.ca.server import CertificateService, tls_front
from rhumb.ca.tokens import TokenBook
from rhumb.cache.encoded import Encoded
from rhumb.cache.views import Failure, Named, Views
from rhumb.encode.dispatch import encode
from rhumb.identity.authenticate import Credentials, NoTokens, authenticate
from rhumb.model.proxy import Proxy
from rhumb.model.resource import Changes
from rhumb.snapshot.build import World, build, empty
from rhumb.snapshot.snapshot import Snapshot
from rhumb.snapshot.view import View
from rhumb.sources.files import FileSource
from rhumb.sources.registration import Registration
from rhumb.sources.store import ConfigStore
from rhumb.translate.proxy import resources
from rhumb.xds.types import XdsType

_log = logging.getLogger(__name__)


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
        self.encoded = Encoded(self._encode)
        first = Views(self.world, self._translate, self.encoded, self._failed)
        self.ads = AdsServer(settings.ads, self.clock, first, _Watcher(self))
        self.monitor = debug.Monitor(self, self.clock.monotonic())
        self.debounce = Debounce(settings.debounce, self.clock, self._push)
        self._pending = Changes()

    # --- the way of a change -------------------------------------------------------------

    def _changed(self, changes: Changes) -> None:
        """Take what differs in the store; a push follows."""
        self._pending = self._pending.then(changes)
        self.debounce.changed()

    def _push(self) -> None:
        """Build the next snapshot and let every stream have it."""
        changes, self._pending = self._pending, Changes()
        before = self.world
        after = self.world = build(before, self.store.resources, changes)
        impact = after.impact

        def affected(view: View, kind: XdsType) -> bool:
            if impact.is_full:
                return True
            return kind in impact.types and impact.matters(before.scope(view), after.scope(view))

        self.ads.publish(self.ads.views.following(after, self.ads.live_views(), affected))
        self.monitor.pushed(changes)

    def _bundle_changed(self, _bundle: object) -> None:
        # The bundle is no resource of the store: only its own type is made anew.
        def affected(_view: View, kind: XdsType) -> bool:
            return kind is XdsType.PCDS

        self.ads.publish(self.ads.views.following(self.world, self.ads.live_views(), affected))

    def _translate(self, snapshot: Snapshot, view: View, kind: XdsType) -> Iterable[Named]:
        if kind is XdsType.PCDS:
            return (agent_types.TrustBundle(tuple(bundle_pems(self.authority.bundle))),)
        return resources(snapshot, view, kind)

    def _encode(self, value: object) -> tuple[str, str, bytes]:
        if isinstance(value, agent_types.AgentValue):
            return agent_types.encode(value)
        return encode(value)

    def _failed(self, failure: Failure) -> None:
        self.monitor.internal_error()
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

    async def run(self, started: asyncio.Event | None = None) -> None:
        """Serve until cancelled.

        Raises RhumbError when a port is taken, a path is missing, or there is no CA to be had.
        """
        self.authority.open(self.clock.now())
        self.authority.on_bundle(self._bundle_changed)
        self.registration.load()
        self.store.subscribe(self._changed)
        self.files.load()
        self._report()
        self._push()
        server = grpc.aio.server(options=_options(self.settings))
        front = tls_front(self.authority, self.clock)
        certificates = CertificateService(
            self.authority,
            self.tokens,
            clock=self.clock,
            metrics=CaMetrics(self.monitor.registry, self.authority, self.clock),
            peer=front.peer,
        )
        plain = grpc.aio.server(options=_options(self.settings))
        server.add_generic_rpc_handlers(
            (certificates.handler(), self.ads.handler(self._identify(front)))
        )
        plain.add_generic_rpc_handlers((self.ads.handler(),))
        try:
            server.add_insecure_port(front.backend)
            await server.start()
            _listen(front, self.settings.address, self.settings.secure_port)
            if self.settings.xds_port:
                _bind(plain, self.settings.local_address, self.settings.xds_port)
                await plain.start()
            async with debug.serving(
                self.monitor, self.settings.local_address, self.settings.monitoring_port
            ):
                if started is not None:
                    started.set()
                _log.info("ready", extra={"services": len(self.world.catalog.services)})
                await together(
                    files=self.files.watch,
                    push=self.debounce.run,
                    registration=self.registration.run,
                    ca=lambda: keep_current(self.authority, self.tokens, self.clock),
                )
        finally:
            await server.stop(grace=1.0)
            await plain.stop(grace=1.0)
            await front.close()

    def _identify(self, front: TlsFront) -> Any:  # noqa: ANN401 - a callable over gRPC's context
        trust = self.settings.ca.trust

        def identify(context: Any) -> Caller:  # noqa: ANN401 - gRPC ships no types
            peer = front.peer(context.peer())
            found = authenticate(
                Credentials.of_call(peer.certificate, (), peer.address),
                now=self.clock.now(),
                trust=trust,
                tokens=NoTokens(),
            )
            return Caller(
                identity=str(found.identity),
                namespace=found.identity.namespace,
                service_account=found.identity.service_account,
                expires=found.expires.isoformat(),
                address=peer.address,
            )

        return identify

    def _report(self) -> None:
        for finding in self.store.findings:
            _log.warning("%s", finding.text())


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
            "configuration refused by Envoy (it keeps what it had): %s",
            nack.error,
            extra={
                "proxy": nack.proxy,
                "type": nack.type.short,
                "resources": ",".join(nack.resources),
                "objects": "; ".join(map(str, nack.origins)),
            },
        )
        self._plane.monitor.nack(nack)

    def sent(self, kind: XdsType, size: int) -> None:
        self._plane.monitor.sent(kind, size)


def _options(settings: ServeSettings) -> list[tuple[str, int]]:
    ads = settings.ads
    return [
        ("grpc.max_receive_message_length", ads.max_message_bytes),
        ("grpc.keepalive_time_ms", int(ads.keepalive_s * 1000)),
        ("grpc.keepalive_timeout_ms", int(ads.keepalive_timeout_s * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
        ("grpc.so_reuseport", 0),
    ]


def _listen(front: TlsFront, address: str, port: int) -> None:
    try:
        front.listen(address, port)
    except OSError as error:
        raise _taken(address, port, str(error), "--secure-port") from None


def _bind(server: grpc.aio.Server, address: str, port: int) -> None:
    try:
        bound = server.add_insecure_port(f"{address}:{port}")
    except RuntimeError as error:
        raise _taken(address, port, str(error), "--xds-port") from None
    if not bound:
        raise _taken(address, port, "it cannot be bound", "--xds-port")


def _taken(address: str, port: int, reason: str, option: str) -> RhumbError:
    return RhumbError(
        f"cannot listen on {address}:{port}: {reason}",
        hint=f"stop what uses the port (another control plane?), or choose one with {option}",
    )
