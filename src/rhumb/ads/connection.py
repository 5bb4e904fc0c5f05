"""One stream: its channels, in make-before-break order. No gRPC, no clock, no tasks."""

import enum
import itertools
from collections.abc import Callable, Collection, Iterator, KeysView, Mapping

import msgspec

from rhumb.ads.channel import Channel, DeltaChannel, Response, SotwChannel, State
from rhumb.base.errors import RhumbError
from rhumb.cache.tables import Table
from rhumb.cache.versions import Differences
from rhumb.cache.views import Views
from rhumb.ir.origin import Origin
from rhumb.model.proxy import Proxy
from rhumb.snapshot.view import View
from rhumb.xds.delta import NOBODY, DeltaWatch
from rhumb.xds.events import Accepted, Answer, DeltaRequest, Rejected, SotwRequest, Stale
from rhumb.xds.sotw import SotwWatch
from rhumb.xds.types import PUSH_ORDER, XdsType

_NEEDS: Mapping[XdsType, frozenset[XdsType]] = {
    XdsType.LDS: frozenset({XdsType.CDS, XdsType.EDS}),
    XdsType.RDS: frozenset({XdsType.CDS, XdsType.EDS, XdsType.LDS}),
    XdsType.VHDS: frozenset({XdsType.CDS, XdsType.EDS, XdsType.LDS, XdsType.RDS}),
}
"""What must have been answered before: a listener or route may name a cluster only once it is there."""

_REMOVED_AFTER: Mapping[XdsType, frozenset[XdsType]] = {
    XdsType.CDS: frozenset({XdsType.LDS, XdsType.RDS, XdsType.VHDS}),
    XdsType.EDS: frozenset({XdsType.CDS, XdsType.LDS, XdsType.RDS, XdsType.VHDS}),
    XdsType.SDS: frozenset({XdsType.CDS, XdsType.LDS}),
    XdsType.RDS: frozenset({XdsType.LDS}),
}
"""Who must have let go before: a cluster goes when no route names it any more."""

_USERS = frozenset[XdsType]().union(*_REMOVED_AFTER.values())

_FOLLOWED = frozenset({XdsType.CDS, XdsType.RDS})
"""What makes others be sent again."""

_NOTHING: frozenset[XdsType] = frozenset()


class Standing(enum.Enum):
    """How a stream stands to what its client should have."""

    OWES = "owes"
    """Something may have to be sent, now or once the client has answered."""
    WAITS = "waits"
    """All is sent, and not all of it answered."""
    SYNCED = "synced"
    """The client has accepted, or refused, all that it should have."""


class Nack(msgspec.Struct, frozen=True, kw_only=True):
    """A rejection: Envoy's words, and what it was about."""

    proxy: str
    type: XdsType
    error: str
    resources: tuple[str, ...]
    origins: tuple[Origin, ...]


class TypeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One type of one proxy, for `rhumb status`."""

    type: str
    state: State
    resources: int
    error: str = ""
    refused: tuple[str, ...] = ()
    """Names of the resources that the client rejected."""
    objects: tuple[str, ...] = ()
    """What caused the error, by object, field, file and line."""


class Connection:
    """What one client holds, and what it is to be sent next."""

    def __init__(
        self,
        *,
        delta: bool,
        differences: Differences,
        ack_timeout_s: float,
        max_names: int,
        on_nack: Callable[[Nack], None],
    ) -> None:
        self.is_delta = delta
        self._differences = differences
        self._ack_timeout = ack_timeout_s
        self._max_names = max_names
        self._on_nack = on_nack
        self._nonces = itertools.count(1)
        self._channels: dict[XdsType, Channel] = {}
        """In push order."""
        self._updated = NOBODY
        """Clusters that were sent again before the client asked for endpoints on this stream."""
        self._expected = NOBODY
        """New clusters whose endpoints the client has yet to ask for."""
        self._expected_at = 0.0
        self.proxy: Proxy | None = None
        self.view: View | None = None
        self._brings = False
        """The client came with something that others of its types may use."""
        self.stale_nonces = 0
        self.is_new = True
        """It has asked for a type of which it has not had all, as of all others, since."""
        self.is_quiet = False
        """Nothing else may go after the last response before something happens."""
        self._unasked: frozenset[XdsType] = frozenset()
        self._returned_at: float | None = None
        """When a client that brings what it holds was first looked at; None once it has asked for all."""
        self._has_returned = False

    def receive(self, request: DeltaRequest | SotwRequest) -> None:
        """Take a request. Raises RhumbError when it asks for more than one stream may."""
        is_first = request.type not in self._channels
        channel = self._channel(request.type)
        scope = channel.scope
        for action in self._actions(channel, request):
            match action:
                case Answer():
                    channel.answer(action)
                    self._brings |= action.returns and request.type in _REMOVED_AFTER
                case Accepted():
                    channel.accept()
                case Rejected(_, error):
                    self._rejected(request.type, channel, error)
                case Stale():
                    self.stale_nonces += 1
        if channel.scope is not scope:
            if len(channel.watch.names) > self._max_names:
                raise RhumbError(
                    f"{request.type.short}: more than {self._max_names} names on one stream"
                )
            channel.watch.names = self._differences.intern(channel.watch.names)
            channel.unsubscribed()
        if request.type is XdsType.EDS:
            self._asked_for_endpoints(channel, is_first=is_first)

    def _asked_for_endpoints(self, channel: Channel, *, is_first: bool) -> None:
        """Send again what Envoy waits for without a word of it."""
        if is_first and channel.returns and XdsType.CDS not in self._channels:
            # It asks for no clusters while one waits for endpoints, which were lost with the last stream.
            channel.force(channel.watch.names)
        channel.force(self._updated)
        self._updated = NOBODY
        if self._expected:
            self._expected = frozenset(n for n in self._expected if not channel.has_name(n))

    @property
    def kinds(self) -> KeysView[XdsType]:
        """Return what the client has asked for."""
        return self._channels.keys()

    def next(self, views: Views, now: float) -> tuple[XdsType, Response] | None:
        """Return the next response in push order, None when all that may go has gone."""
        if self.view is None:
            return None
        tables = views.tables(self.view, self._channels)
        self._unasked = self._still_to_ask(views, now)
        if self._expected:
            # The client asks for no endpoints of clusters that went before it looked at them.
            known = views.table(self.view, XdsType.EDS).entries
            self._expected = frozenset(name for name in self._expected if name in known)
        busy = [k for k, c in self._channels.items() if c.open or c.owes(tables[k])]
        moved = bool(busy)
        while moved:
            moved = False
            for kind in busy:
                channel = self._channels[kind]
                if not channel.owes(tables[kind]) or self._waits(channel, now):
                    continue
                before = channel.table
                found = self._advance(kind, channel, tables, busy, now)
                if found is not None:
                    if kind is XdsType.CDS:
                        self._endpoints_follow(before, found, views, now)
                    elif kind is XdsType.RDS:
                        self._hosts_follow(found, views)
                    self.is_quiet = len(busy) == 1 and kind not in _FOLLOWED
                    return kind, found
                # A type that needed nothing may have been what another one waited for.
                moved = moved or channel.table is not before
        return None

    def deadlines(self) -> list[float]:
        """Return when each wait for the client ends by itself, in monotonic seconds."""
        since = [c.open.at for c in self._channels.values() if c.open is not None]
        if self._expected:
            since.append(self._expected_at)
        if self._returned_at is not None:
            since.append(self._returned_at)
        return [at + self._ack_timeout for at in since]

    def standing(self, views: Views) -> Standing:
        """Return whether anything has to be sent, or answered."""
        if self.view is None:
            return Standing.WAITS
        tables = views.tables(self.view, self._channels)
        found = Standing.SYNCED
        for kind, channel in self._channels.items():
            if channel.owes(tables[kind]):
                return Standing.OWES
            if channel.open is not None:
                found = Standing.WAITS
        if found is Standing.SYNCED:
            self.is_new = False
        return found

    def status(self, views: Views) -> Iterator[TypeStatus]:
        """Yield the state of each type the client asked for."""
        if self.view is None:
            return
        for kind in PUSH_ORDER:
            channel = self._channels.get(kind)
            if channel is None:
                continue
            table = views.table(self.view, kind)
            cited = dict.fromkeys(str(o) for r in channel.refused.values() for o in r.entry.origin)
            yield TypeStatus(
                type=kind.short,
                state=channel.state(table),
                resources=len(table.entries),
                error=channel.error,
                refused=tuple(channel.refused),
                objects=tuple(cited),
            )

    def _channel(self, kind: XdsType) -> Channel:
        found = self._channels.get(kind)
        if found is None:
            found = (
                DeltaChannel(DeltaWatch(kind), self._differences)
                if self.is_delta
                else SotwChannel(SotwWatch(kind), self._differences)
            )
            self.is_new = True
            known = {**self._channels, kind: found}
            self._channels = {each: known[each] for each in PUSH_ORDER if each in known}
        return found

    def _actions(
        self, channel: Channel, request: DeltaRequest | SotwRequest
    ) -> list[Answer | Accepted | Rejected | Stale]:
        watch = channel.watch
        if isinstance(watch, DeltaWatch) and isinstance(request, DeltaRequest):
            return watch.receive(request)
        if isinstance(watch, SotwWatch) and isinstance(request, SotwRequest):
            return watch.receive(request)
        raise RhumbError("a stream is either incremental or state of the world, not both")

    def _advance(
        self,
        kind: XdsType,
        channel: Channel,
        tables: Mapping[XdsType, Table],
        busy: Collection[XdsType],
        now: float,
    ) -> Response | None:
        needs, after = _NEEDS.get(kind, _NOTHING), _REMOVED_AFTER.get(kind, _NOTHING)
        if not channel.is_fresh and self._blocked(needs, tables, busy, now):
            return None
        held_up = self._blocked(after, tables, busy, now)
        may_remove = not held_up and after.isdisjoint(self._unasked)
        nonce = str(next(self._nonces))
        return channel.next(tables[kind], may_remove=may_remove, nonce=nonce, now=now)

    @property
    def holds_back(self) -> bool:
        """Tell whether removals may wait for what a client that returned has yet to ask for."""
        return bool(self._unasked)

    def _still_to_ask(self, views: Views, now: float) -> frozenset[XdsType]:
        """Return the types that a client who brings what it holds is still to ask for.

        It asks for one after the other: what its routes need must not go because they are not known yet.
        """
        if self._has_returned or not self._brings:
            return _NOTHING
        assert self.view is not None
        if self._returned_at is None:
            self._returned_at = now
        missing = _USERS - self._channels.keys()
        found = frozenset(kind for kind in missing if views.table(self.view, kind).entries)
        if not found or now >= self._returned_at + self._ack_timeout:
            self._has_returned, self._returned_at = True, None
            return _NOTHING
        return found

    def _endpoints_follow(
        self, before: Table | None, sent: Response, views: Views, now: float
    ) -> None:
        """See to the endpoints of the clusters that were just sent.

        Envoy warms a cluster that it got again until endpoints come, asks for none since it is
        subscribed already, and waits (Envoy issue 13009): so they follow, changed or not. For a new
        one it asks by itself; until then nothing may be routed there.
        """
        assert self.view is not None
        clusters = self._channels[XdsType.CDS]
        endpoints = self._channels.get(XdsType.EDS)
        if before is None and not clusters.returns:
            return  # a new client has its own order: listeners are asked for after the clusters
        known = views.table(self.view, XdsType.EDS).entries
        names = frozenset(e.name for e in sent.changed if e.name in known)
        if endpoints is None and clusters.returns:
            self._updated |= names
        fresh = (
            names if endpoints is None else frozenset(n for n in names if not endpoints.has_name(n))
        )
        if endpoints is not None:
            endpoints.force(names - fresh)
        if fresh:
            self._expected, self._expected_at = self._expected | fresh, now

    def _hosts_follow(self, sent: Response, views: Views) -> None:
        """See to the virtual hosts of the routes that were just sent.

        Envoy asks for them once on a stream, without names: those of a route that comes later it gets
        unasked, and what came before the route it has let go by.
        """
        channel = self._channels.get(XdsType.VHDS)
        if channel is None or not sent.changed:
            return
        assert self.view is not None
        routes = tuple(f"{entry.name}/" for entry in sent.changed)
        # What it was told of and let go by may be gone now, and there again before anything is sent.
        before = channel.table.entries if channel.table is not None else ()
        known = itertools.chain(views.table(self.view, XdsType.VHDS).entries, before)
        channel.force(name for name in known if name.startswith(routes))

    def _rejected(self, kind: XdsType, channel: Channel, error: str) -> None:
        culprits = channel.reject(error)
        origins = tuple(dict.fromkeys(o for entry in culprits for o in entry.origin))
        self._on_nack(
            Nack(
                proxy=self.proxy.id if self.proxy else "",
                type=kind,
                error=error,
                resources=tuple(entry.name for entry in culprits),
                origins=origins,
            )
        )

    def _waits(self, channel: Channel, now: float) -> bool:
        """Tell whether a response is on its way whose answer is worth waiting for."""
        return channel.open is not None and now < channel.open.at + self._ack_timeout

    def _blocked(
        self,
        kinds: frozenset[XdsType],
        tables: Mapping[XdsType, Table],
        busy: Collection[XdsType],
        now: float,
    ) -> bool:
        """Tell whether some of these types hold up others; `busy` are all that may."""
        if self._expected and XdsType.EDS in kinds:
            if now < self._expected_at + self._ack_timeout:
                return True
            self._expected = NOBODY
        for kind in () if kinds.isdisjoint(busy) else kinds.intersection(busy):
            channel = self._channels[kind]
            if channel.is_settled(tables[kind]):
                continue
            if channel.open is None or now < channel.open.at + self._ack_timeout:
                return True
        return False
