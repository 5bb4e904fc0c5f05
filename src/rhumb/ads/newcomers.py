"""Streams that have asked for a type and not yet had all of it: what they are given is made, and goes, in turn.

Everybody else passes (docs/adr/0010).
"""

import asyncio
from collections.abc import Callable

from rhumb.ads.admission import Room, Turns
from rhumb.ads.settings import AdsSettings
from rhumb.ads.stream import Stream
from rhumb.base.clock import Clock
from rhumb.cache.views import Views
from rhumb.snapshot.view import View
from rhumb.xds.types import XdsType

_PATIENCE_S = 0.25
"""A client that takes longer for a response does not keep others from theirs."""

_NONE: frozenset[XdsType] = frozenset()


class Newcomers:
    """Who of the new may have something made, and who may send."""

    def __init__(self, settings: AdsSettings, clock: Clock, views: Callable[[], Views]) -> None:
        self._views = views
        self._made: dict[View, set[XdsType]] = {}
        """What was made for the views that are served: that goes out at once."""
        self._turns = Turns(clock, self._make, settings.slice_s)
        self._working: asyncio.Handle | None = None
        self._room = Room[Stream](settings.first_bytes)
        self._closing = False

    def queue(self, stream: Stream) -> bool:
        """Have what a new client asks for made when it is its turn; False if there is nothing to wait for."""
        connection = stream.connection
        view = connection.view
        if not connection.is_new or view is None:
            return False
        if connection.kinds <= self._made.get(view, _NONE):
            return False
        stream.is_queued = True
        self._turns.add(stream, view.namespace)
        self._work_later()
        return True

    def admit(self, stream: Stream) -> bool:
        """Tell whether a client may be sent something now; it is woken when it may."""
        if not stream.connection.is_new:
            self._room.excuse(stream)
            return True
        if stream.is_queued:
            self._room.drop(stream)
            return False
        return self._room.admits(stream)

    def had_nothing(self, stream: Stream) -> None:
        """Take that a client was let in, and there was nothing to send."""
        if stream.connection.is_new:
            self._room.call()

    def sends(self, stream: Stream, size: int) -> None:
        """Count a first response until it is answered; gRPC takes it long before it has gone."""
        if not stream.connection.is_new:
            return
        self._room.enter(stream, size)
        if stream.late is not None:
            stream.late.cancel()
        stream.late = asyncio.get_running_loop().call_later(_PATIENCE_S, self._room.leave, stream)

    def answered(self, stream: Stream) -> None:
        """Take that a client has said something."""
        if stream.late is not None:
            stream.late.cancel()
            stream.late = None
            self._room.leave(stream)

    def has_all(self, stream: Stream) -> None:
        """Take that a client is new no longer."""
        self._room.drop(stream)

    def drop(self, stream: Stream) -> None:
        """Forget a stream that has ended."""
        if stream.late is not None:
            stream.late.cancel()
        self._turns.drop(stream)
        self._room.drop(stream)

    def forget(self, view: View) -> None:
        """Forget what was made for a view that nobody has any more."""
        self._made.pop(view, None)

    def close(self) -> None:
        """Make nothing more."""
        self._closing = True
        if self._working is not None:
            self._working.cancel()

    def _work_later(self) -> None:
        if self._working is None and self._turns and not self._closing:
            # The loop looks at all its connections in between.
            self._working = asyncio.get_running_loop().call_soon(self._work)

    def _work(self) -> None:
        self._working = None
        try:
            self._turns.run()
        finally:
            self._work_later()

    def _make(self, stream: Stream) -> None:
        """Have all that a client asked for made, so that it may be sent."""
        stream.is_queued = False
        stream.wake()
        view, kinds = stream.connection.view, stream.connection.kinds
        if view is not None:
            self._views().tables(view, kinds)
            self._made.setdefault(view, set()).update(kinds)
