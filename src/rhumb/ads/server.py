"""xDS over gRPC: delta and state of the world, one task for each direction of a stream."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import grpc
import msgspec

from rhumb.ads import requests
from rhumb.ads.connection import Connection, Nack, TypeStatus
from rhumb.ads.settings import AdsSettings
from rhumb.base.clock import Clock
from rhumb.base.errors import RhumbError
from rhumb.base.tasks import Nursery
from rhumb.cache.versions import Differences
from rhumb.cache.views import Views
from rhumb.model.proxy import Proxy, Role
from rhumb.snapshot.view import View
from rhumb.xds.types import HEALTH_TYPE, XdsType

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
_TYPES: Mapping[str, XdsType] = {kind.value: kind for kind in XdsType}

_log = logging.getLogger(__name__)

Context = Any
"""grpc.aio.ServicerContext of raw bytes; gRPC ships no types."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who is at the other end of a stream, as proved (identity "" on the plaintext port)."""

    identity: str = ""
    namespace: str = ""
    service_account: str = ""
    issued: str = ""
    expires: str = ""
    """Life of the certificate, RFC 3339."""
    address: str = ""


Identify = Callable[[Context], Caller]
"""Proves who calls; raises RhumbError when nobody is proved."""


class Observer:
    """What the rest of the control plane wants to know of streams; does nothing by default."""

    def connected(self, proxy: Proxy) -> None:
        """Take that a proxy said who it is. Raises RhumbError to refuse it."""

    def disconnected(self, proxy: Proxy) -> None:
        """Take that its stream has ended."""

    def health(self, proxy: Proxy, healthy: bool, reason: str) -> None:
        """Take what an agent says of its workload."""

    def nack(self, nack: Nack) -> None:
        """Take a rejection."""

    def sent(self, kind: XdsType, size: int) -> None:
        """Take that a response went out."""

    def converged(self, seconds: float) -> None:
        """Take that a proxy has accepted all that a change meant for it."""

    def stale(self, count: int) -> None:
        """Take that a client answered old responses."""

    def refused(self, reason: str) -> None:
        """Take that a stream was refused or ended for what the client did."""


class Stream:
    """One open stream with what is known of its client."""

    def __init__(self, connection: Connection, caller: Caller, since: float) -> None:
        self.connection = connection
        self.caller = caller
        self.since = since
        self.last_push = 0.0
        self.pushes = 0
        self.wake = asyncio.Event()
        self.failed: RhumbError | None = None
        self.behind: float | None = None
        """When the change happened that the client has yet to accept; None while there is none."""
        self.told = False
        """Something was sent for that change."""

    @property
    def proxy(self) -> Proxy | None:
        """Return the proxy once it has said who it is."""
        return self.connection.proxy


class AdsServer:
    """Serves the views of the latest snapshot to every stream."""

    def __init__(
        self, settings: AdsSettings, clock: Clock, views: Views, observer: Observer
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._views = views
        self._observer = observer
        self._differences = Differences()
        self._streams: set[Stream] = set()
        self._closing = False

    @property
    def streams(self) -> frozenset[Stream]:
        """Return the open streams."""
        return frozenset(self._streams)

    @property
    def views(self) -> Views:
        """Return what is served now."""
        return self._views

    def live_views(self) -> frozenset[View]:
        """Return the views of all connected proxies."""
        return frozenset(s.connection.view for s in self._streams if s.connection.view)

    def publish(self, views: Views, since: float) -> None:
        """Serve another snapshot; every stream gets what differs for it, at its own pace.

        `since` is when the first change in it happened, in monotonic seconds.
        """
        self._views = views
        for stream in self._streams:
            proxy = stream.connection.proxy
            if proxy is not None:
                stream.connection.view = views.snapshot.view(proxy)
                if stream.behind is None:
                    stream.behind, stream.told = since, False
            stream.wake.set()

    def close(self) -> None:
        """End every stream; the proxies go on with what they have, and come back."""
        self._closing = True
        for stream in self._streams:
            stream.wake.set()

    def status(self) -> Iterator[tuple[Stream, tuple[TypeStatus, ...]]]:
        """Yield every stream that said who it is, with the state of its types."""
        for stream in self._streams:
            if stream.proxy is not None:
                yield stream, tuple(stream.connection.status(self._views))

    def handler(self, identify: Identify | None = None) -> grpc.GenericRpcHandler:
        """Return what `grpc.aio.Server.add_generic_rpc_handlers` takes; `identify` None: anyone."""

        def serve(
            delta: bool,
        ) -> Callable[[AsyncIterator[requests.Request | None], Context], AsyncIterator[bytes]]:
            # gRPC looks at the function itself to tell an asynchronous generator.
            async def call(
                incoming: AsyncIterator[requests.Request | None], context: Context
            ) -> AsyncIterator[bytes]:
                async for data in self._serve(incoming, context, delta=delta, identify=identify):
                    yield data

            return call

        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "DeltaAggregatedResources": grpc.stream_stream_rpc_method_handler(
                    serve(True), requests.delta, _raw
                ),
                "StreamAggregatedResources": grpc.stream_stream_rpc_method_handler(
                    serve(False), requests.sotw, _raw
                ),
            },
        )

    async def _serve(
        self,
        incoming: AsyncIterator[requests.Request | None],
        context: Context,
        *,
        delta: bool,
        identify: Identify | None,
    ) -> AsyncIterator[bytes]:
        caller = await self._admit(context, identify)
        connection = Connection(
            delta=delta,
            differences=self._differences,
            ack_timeout_s=self._settings.ack_timeout_s,
            max_names=self._settings.max_names,
            on_nack=self._observer.nack,
        )
        stream = Stream(connection, caller, self._clock.monotonic())
        self._streams.add(stream)
        nursery = Nursery("xds")
        reading = nursery.start("read", self._read(stream, incoming, checked=identify is not None))
        try:
            while not reading.done() or stream.wake.is_set():
                ending = self._ending(stream)
                if ending is not None:
                    await (
                        nursery.close()
                    )  # a read that goes on would be told of the end as an error
                    await context.abort(*ending)
                async for data in self._write(stream):
                    yield data
                await self._wait(stream)
        finally:
            self._streams.discard(stream)
            await nursery.close()
            if stream.proxy is not None:
                self._observer.disconnected(stream.proxy)

    def _ending(self, stream: Stream) -> tuple[grpc.StatusCode, str] | None:
        if stream.failed is not None:
            return _code(stream.failed), _text(stream.failed)
        if self._closing:
            return grpc.StatusCode.UNAVAILABLE, "shutting down; come again"
        return None

    async def _admit(self, context: Context, identify: Identify | None) -> Caller:
        if len(self._streams) >= self._settings.max_streams:
            self._observer.refused("too many streams")
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many streams; try again")
        if identify is None:
            return Caller(address=context.peer())
        try:
            return identify(context)
        except RhumbError as error:
            _log.warning("stream refused", extra={"reason": str(error), "peer": context.peer()})
            self._observer.refused(str(error))
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, _text(error))
            raise

    async def _write(self, stream: Stream) -> AsyncIterator[bytes]:
        stream.wake.clear()
        while (found := stream.connection.next(self._views, self._clock.monotonic())) is not None:
            kind, response = found
            stream.last_push = self._clock.monotonic()
            stream.pushes += 1
            stream.told = True
            self._observer.sent(kind, len(response.data))
            yield response.data
        if not stream.told and stream.connection.is_synced(self._views):
            stream.behind = None  # the change was none of its business

    async def _wait(self, stream: Stream) -> None:
        """Sleep until something happened, or an unanswered response no longer holds others up."""
        deadline = stream.connection.deadline()
        timeout = None if deadline is None else max(deadline - self._clock.monotonic(), 0.0)
        if timeout == 0.0:
            timeout = self._settings.ack_timeout_s
        try:
            await asyncio.wait_for(stream.wake.wait(), timeout)
        except TimeoutError:
            return

    async def _read(
        self, stream: Stream, incoming: AsyncIterator[requests.Request | None], *, checked: bool
    ) -> None:
        try:
            async for request in incoming:
                self._take(stream, request, checked=checked)
                stream.wake.set()
                self._note(stream)
        except RhumbError as error:
            _log.warning("stream ended: %s", error, extra={"peer": stream.caller.address})
            self._observer.refused(str(error))
            stream.failed = error
        finally:
            stream.wake.set()

    def _note(self, stream: Stream) -> None:
        connection = stream.connection
        if stream.behind is not None and stream.told and connection.is_synced(self._views):
            self._observer.converged(self._clock.monotonic() - stream.behind)
            stream.behind = None
        if connection.stale_nonces:
            self._observer.stale(connection.stale_nonces)
            connection.stale_nonces = 0

    def _take(self, stream: Stream, request: requests.Request | None, *, checked: bool) -> None:
        if request is None:
            raise RhumbError("a request is not a discovery request")
        connection = stream.connection
        if connection.proxy is None:
            proxy = requests.parse_node(request.node)
            if checked:
                proxy = _claimed(proxy, stream.caller)
            self._observer.connected(proxy)
            connection.proxy = proxy
            connection.view = self._views.snapshot.view(proxy)
            _log.info("connected", extra={"proxy": proxy.id, "identity": stream.caller.identity})
        if request.type_url == HEALTH_TYPE:
            error = request.error_detail
            healthy = not request.HasField("error_detail")
            self._observer.health(connection.proxy, healthy, error.message)
            return
        kind = _TYPES.get(request.type_url)
        if kind is None:
            raise RhumbError(f'type "{request.type_url[:200]}" is not served')
        connection.receive(requests.parse(kind, request, self._settings.max_name_bytes))


class ClaimError(RhumbError):
    """A node claims to be somebody else."""


def _code(error: RhumbError) -> grpc.StatusCode:
    denied = isinstance(error, ClaimError)
    return grpc.StatusCode.PERMISSION_DENIED if denied else grpc.StatusCode.INVALID_ARGUMENT


def _text(error: RhumbError) -> str:
    return f"{error} ({error.hint})" if error.hint else str(error)


def _claimed(proxy: Proxy, caller: Caller) -> Proxy:
    """Return the proxy with the account that was proved; it may claim no other, and no other namespace."""
    claimed, account = proxy.service_account, caller.service_account
    if caller.namespace == proxy.namespace and claimed in ("", account):
        return msgspec.structs.replace(proxy, service_account=account)
    wanted = f"namespace {proxy.namespace}" + (f", service account {claimed}" if claimed else "")
    kind = "agent of " if proxy.role is Role.AGENT else ""
    raise ClaimError(
        f"{caller.identity} claims to be {kind}{wanted}",
        hint="NAMESPACE and SERVICE_ACCOUNT of the node must be those of its certificate",
    )


def _raw(data: bytes) -> bytes:
    return data
