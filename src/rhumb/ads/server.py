"""xDS over gRPC: delta and state of the world, one task for each direction of a stream."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import grpc

from rhumb.ads import claims, requests
from rhumb.ads.behind import Behind
from rhumb.ads.connection import Connection, Standing, TypeStatus
from rhumb.ads.newcomers import Newcomers
from rhumb.ads.observer import Observer
from rhumb.ads.settings import AdsSettings
from rhumb.ads.stream import Caller, Stream
from rhumb.ads.waking import Waking
from rhumb.base.clock import Clock
from rhumb.base.errors import RhumbError
from rhumb.base.tasks import Nursery
from rhumb.cache.versions import Differences
from rhumb.cache.views import Views
from rhumb.snapshot.affects import EVERYTHING, Impact
from rhumb.snapshot.snapshot import Snapshot
from rhumb.snapshot.view import View, whole
from rhumb.xds.events import DeltaRequest
from rhumb.xds.types import HEALTH_TYPE, XdsType

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
_TYPES: Mapping[str, XdsType] = {kind.value: kind for kind in XdsType}

_SWEEPS = 10
"""How often, in the time that clients have for an answer, the late ones are looked for."""

_log = logging.getLogger(__name__)

Context = Any
"""grpc.aio.ServicerContext of raw bytes; gRPC ships no types."""


Identify = Callable[[Context], Caller]
"""Proves who calls; raises RhumbError when nobody is proved."""


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
        self._groups: dict[View, set[Stream]] = {}
        """Streams by the view that they are served."""
        self._closing = False
        self._nursery = Nursery("xds")
        self._unanswered: set[Stream] = set()
        """Streams with something open that others must not wait for beyond a time."""
        self._sweep: asyncio.TimerHandle | None = None
        self._waking = Waking(clock, settings.slice_s)
        self._behind = Behind[Stream]()
        self._newcomers = Newcomers(settings, clock, lambda: self._views)

    @property
    def streams(self) -> frozenset[Stream]:
        """Return the open streams."""
        return frozenset(self._streams)

    @property
    def served(self) -> frozenset[View]:
        """Return the views that open streams are served."""
        return frozenset(self._groups)

    @property
    def views(self) -> Views:
        """Return what is served now."""
        return self._views

    @property
    def differences(self) -> Differences:
        """Return the memory of differences, for what is said of it."""
        return self._differences

    def publish(self, snapshot: Snapshot, since: float, impact: Impact = EVERYTHING) -> None:
        """Serve another snapshot; every stream gets what differs for it, at its own pace.

        `since` is when the first change in it happened, in monotonic seconds.
        """
        views = self._views = self._views.following(snapshot, self._groups, impact)
        homes = impact.homes
        for view, streams in list(self._groups.items()):
            moved = homes is None or view.namespace in homes
            stale = views.stale(view)
            for stream in list(streams) if moved or stale else ():
                if (moved and self._place(stream)) or stale:
                    if stream.behind is None:
                        stream.behind, stream.told = since, False
                        if not stream.connection.is_new:  # new ones have the newest in turn
                            self._behind.add(stream)
                    self._waking.add(stream)
        self._waking.run()

    async def taken(self) -> None:
        """Wait until nearly all clients that changes concern have taken them, or had their time to."""
        await self._waking.done()
        await self._behind.few(self._settings.patience_s)

    def _place(self, stream: Stream) -> bool:
        """Find the view of a stream; return whether it is another one than before."""
        connection = stream.connection
        assert connection.proxy is not None
        view, before = self._views.snapshot.view(connection.proxy), connection.view
        if not connection.is_delta:
            view = whole(view)  # one by one is a matter of incremental streams alone
        if view == before:
            return False
        self._leave(stream)
        streams = self._groups.setdefault(view, set())
        streams.add(stream)
        # Equal views are one object: a dictionary finds it without comparing.
        other = next(iter(streams))
        connection.view = view if other is stream else other.connection.view
        return True

    def _leave(self, stream: Stream) -> None:
        view = stream.connection.view
        if view is not None and (streams := self._groups.get(view)) is not None:
            streams.discard(stream)
            if not streams:
                del self._groups[view]
                self._newcomers.forget(view)

    def close(self) -> None:
        """End every stream; the proxies go on with what they have, and come back."""
        self._closing = True
        if self._sweep is not None:
            self._sweep.cancel()
        self._newcomers.close()
        self._waking.close()
        for stream in self._streams:
            stream.wake()

    def status(self) -> Iterator[tuple[Stream, tuple[TypeStatus, ...]]]:
        """Yield every stream that said who it is, with the state of its types."""
        for stream in self._streams:
            if stream.proxy is not None:
                yield stream, tuple(stream.connection.status(self._views))

    def handler(self, identify: Identify | None = None) -> grpc.GenericRpcHandler:
        """Return what `grpc.aio.Server.add_generic_rpc_handlers` takes; `identify` None: anyone."""

        def serve(
            *, delta: bool
        ) -> Callable[[AsyncIterator[requests.Heard | None], Context], Awaitable[None]]:
            async def call(
                incoming: AsyncIterator[requests.Heard | None], context: Context
            ) -> None:
                stream = await self._open(context, identify, delta=delta)
                checked = identify is not None
                reading = self._nursery.start("read", self._read(stream, incoming, checked=checked))
                # gRPC's abort makes a cycle of this frame, which must hold no request until it is collected.
                del incoming
                try:
                    while not reading.done() or stream.is_awake:
                        if stream.failed is not None or self._closing:
                            # A read that goes on would be told of the end as an error.
                            await _stopped(reading)
                            await context.abort(*self._reason(stream))
                        stream.is_awake = False
                        await self._speak(stream, context)
                        if not reading.done():  # or nobody would wake it any more
                            await stream.sleep()
                finally:
                    self._forget(stream)
                    await _stopped(reading)
                    if stream.proxy is not None:
                        self._observer.disconnected(stream.proxy)

            return call

        # No serializer: what is sent is bytes already.
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "DeltaAggregatedResources": grpc.stream_stream_rpc_method_handler(
                    serve(delta=True), requests.delta
                ),
                "StreamAggregatedResources": grpc.stream_stream_rpc_method_handler(
                    serve(delta=False), requests.sotw
                ),
            },
        )

    async def _open(self, context: Context, identify: Identify | None, *, delta: bool) -> Stream:
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
        return stream

    def _forget(self, stream: Stream) -> None:
        self._streams.discard(stream)
        self._unanswered.discard(stream)
        self._waking.drop(stream)
        self._behind.drop(stream)
        self._newcomers.drop(stream)
        self._leave(stream)

    def _reason(self, stream: Stream) -> tuple[grpc.StatusCode, str]:
        if stream.failed is not None:
            return _code(stream.failed), _text(stream.failed)
        return grpc.StatusCode.UNAVAILABLE, "shutting down; come again"

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

    async def _speak(self, stream: Stream, context: Context) -> None:
        """Write all that may go now. What was written is held by nobody here when this returns."""
        while (response := self._next(stream)) is not None:
            before = self._clock.monotonic()
            # Of what a generator yields, gRPC would hold the last until the next.
            self._newcomers.sends(stream, len(response))
            await context.write(response)
            self._observer.taken(self._clock.monotonic() - before)
            if stream.connection.is_quiet and not stream.is_awake:
                return

    def _next(self, stream: Stream) -> bytes | None:
        """Return the next response to write; None when all that may go has gone."""
        if not self._newcomers.admit(stream):
            return None
        now = self._clock.monotonic()
        found = stream.connection.next(self._views, now)
        if found is None:
            self._newcomers.had_nothing(stream)
            if stream.connection.is_new or stream.behind is not None:
                self._standing(stream)  # what was left may have been none of its business
            if stream.connection.holds_back:
                self._wait_for(stream)
            return None
        kind, response = found
        stream.last_push = now
        stream.pushes += 1
        if not stream.told:
            stream.told = True
            if stream.behind is not None:
                self._observer.queued(now - stream.behind)
        self._wait_for(stream)
        self._observer.sent(kind, len(response.data), self._clock.monotonic() - now)
        return response.data

    def _wait_for(self, stream: Stream) -> None:
        """Wake a stream when its client has not said in time what others wait for."""
        self._unanswered.add(stream)
        if self._sweep is None:
            self._sweep_later()

    def _sweep_later(self) -> None:
        delay = self._settings.ack_timeout_s / _SWEEPS
        self._sweep = asyncio.get_running_loop().call_later(delay, self._look_for_the_late)

    def _look_for_the_late(self) -> None:
        """Wake streams whose clients have not answered in time: what waited for that goes out now."""
        self._sweep = None
        now = self._clock.monotonic()
        for stream in tuple(self._unanswered):
            over = [deadline <= now for deadline in stream.connection.deadlines()]
            if all(over):
                self._unanswered.discard(stream)
            if any(over):
                stream.wake()
        if self._unanswered and not self._closing:
            self._sweep_later()

    async def _read(
        self, stream: Stream, incoming: AsyncIterator[requests.Heard | None], *, checked: bool
    ) -> None:
        try:
            async for request in incoming:
                self._hear(stream, request, checked=checked)
        except RhumbError as error:
            _log.warning("stream ended: %s", error, extra={"peer": stream.caller.address})
            self._observer.refused(str(error))
            # Not with what it came from: a cycle would hold the request until a collection.
            stream.failed = error.with_traceback(None)
        finally:
            stream.wake()

    def _hear(self, stream: Stream, request: requests.Heard | None, *, checked: bool) -> None:
        self._take(stream, request, checked=checked)
        connection = stream.connection
        self._newcomers.answered(stream)
        if not self._newcomers.queue(stream) and self._standing(stream) is Standing.OWES:
            stream.wake()
        if connection.stale_nonces:
            self._observer.stale(connection.stale_nonces)
            connection.stale_nonces = 0

    def _standing(self, stream: Stream) -> Standing:
        """See how a stream stands: whether it is new or behind no longer."""
        was_new = stream.connection.is_new
        found = stream.connection.standing(self._views)
        if found is Standing.SYNCED:
            if was_new:
                self._newcomers.has_all(stream)
            self._caught_up(stream)
        return found

    def _caught_up(self, stream: Stream) -> None:
        if stream.behind is None:
            return
        if stream.told:
            self._observer.converged(self._clock.monotonic() - stream.behind)
        stream.behind = None
        self._behind.drop(stream)

    def _take(self, stream: Stream, request: requests.Heard | None, *, checked: bool) -> None:
        if request is None:
            raise RhumbError("a request is not a discovery request")
        connection = stream.connection
        if connection.proxy is None:
            self._introduce(stream, request, checked=checked)
        if isinstance(request, DeltaRequest):
            connection.receive(request)
            return
        if request.type_url == HEALTH_TYPE:
            error = request.error_detail
            healthy = not request.HasField("error_detail")
            assert connection.proxy is not None
            self._observer.health(connection.proxy, healthy, error.message)
            return
        kind = _TYPES.get(request.type_url)
        if kind is None:
            raise RhumbError(f'type "{request.type_url[:200]}" is not served')
        limits = self._settings
        parsed = requests.parse(kind, request, limits.max_name_bytes, limits.max_names)
        connection.receive(parsed)

    def _introduce(self, stream: Stream, request: requests.Heard, *, checked: bool) -> None:
        """Take who the client is, from its first request."""
        proxy = requests.parse_node(requests.node(request))
        if checked:
            proxy = claims.claimed(proxy, stream.caller)
        self._observer.connected(proxy)
        stream.connection.proxy = proxy
        self._place(stream)
        _log.info("connected", extra={"proxy": proxy.id, "identity": stream.caller.identity})


async def _stopped(task: asyncio.Task[None]) -> None:
    """Cancel a task, and return when it has ended."""
    task.cancel()
    _ = await asyncio.wait((task,))


def _code(error: RhumbError) -> grpc.StatusCode:
    denied = isinstance(error, claims.ClaimError)
    return grpc.StatusCode.PERMISSION_DENIED if denied else grpc.StatusCode.INVALID_ARGUMENT


def _text(error: RhumbError) -> str:
    return f"{error} ({error.hint})" if error.hint else str(error)
