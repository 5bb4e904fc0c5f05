"""Many new clients at once: served in turn, so that nobody waits for all of them and nobody else for any.

Clients that have had everything once are not held up here: a change goes to them at once. No clock of its own
and no tasks.
"""

import heapq
import itertools
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from rhumb.base.clock import Clock

_WEIGHT = 0.2
"""Of the last cost in what is usual."""


class Waiting(Protocol):
    """Who may have to wait."""

    @property
    def since(self) -> float:
        """Return when it came."""
        ...

    def wake(self) -> None:
        """Take that the wait is over."""
        ...


Who = TypeVar("Who", bound=Waiting)


class Turns(Generic[Who]):
    """Work for those who wait, a slice of time at once, as much as the last work says will fit.

    Groups take turns. In a group, who came first is served first, with all that it comes to ask for.
    """

    def __init__(self, clock: Clock, work: Callable[[Who], None], slice_s: float) -> None:
        """Take what to do for each, and the seconds after which others must have their chance."""
        self._clock = clock
        self._work = work
        self._slice = slice_s
        self._usual = 0.0
        self._waiting: set[Who] = set()
        self._groups: dict[str, list[tuple[float, int, Who]]] = {}
        """Heaps by when who came; the group whose turn it is comes first."""
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, who: Who, group: str) -> None:
        """Let it wait; once, however often it asks."""
        if who not in self._waiting:
            self._waiting.add(who)
            entry = (who.since, next(self._numbers), who)
            heapq.heappush(self._groups.setdefault(group, []), entry)

    def drop(self, who: Who) -> None:
        """Forget who no longer waits."""
        self._waiting.discard(who)

    def run(self) -> None:
        """Work for a slice; at least for one, however long that takes."""
        began = before = self._clock.monotonic()
        while (who := self._next()) is not None:
            self._work(who)
            now = self._clock.monotonic()
            self._usual += (now - before - self._usual) * _WEIGHT
            if now - began + self._usual > self._slice:
                return
            before = now

    def _next(self) -> Who | None:
        while self._groups:
            group = next(iter(self._groups))
            heap = self._groups.pop(group)
            who = heapq.heappop(heap)[2]
            if heap:
                self._groups[group] = heap  # behind the others
            if who in self._waiting:
                self._waiting.remove(who)
                return who
        return None


class Room(Generic[Who]):
    """Bytes of large responses that may be on their way to new clients at once.

    Each is in memory until its client has taken it. Of those who come when there is no room, whoever came
    first with its stream is woken first: so it is done with all it needs before later ones begin.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._usual = 0.0
        """Bytes of a response that was let in."""
        self._used = 0
        self._under_way: dict[Who, int] = {}
        self._waiting: set[Who] = set()
        self._heap: list[tuple[float, int, Who]] = []
        self._numbers = itertools.count()
        self._called: set[Who] = set()
        """Woken, and not yet here."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def used(self) -> int:
        """Return the bytes that are on their way."""
        return self._used

    def admits(self, who: Who) -> bool:
        """Tell whether it may send now; if not, it is woken when it may.

        What follows a response that is on its way may go: Envoy answers for clusters when it has their endpoints.
        """
        is_next = who in self._called or not self._waiting
        self._called.discard(who)
        if who in self._under_way or (is_next and self._used < self._limit):
            return True
        if who not in self._waiting:
            self._waiting.add(who)
            heapq.heappush(self._heap, (who.since, next(self._numbers), who))
        return False

    def enter(self, who: Who, size: int) -> None:
        """Take that its response is on its way."""
        self._used += size
        self._under_way[who] = self._under_way.get(who, 0) + size
        self._usual += (size - self._usual) * _WEIGHT

    def leave(self, who: Who) -> None:
        """Take that its response is answered, or takes too long for others to wait for it."""
        self._used -= self._under_way.pop(who, 0)
        self.call()

    def drop(self, who: Who) -> None:
        """Forget who has left."""
        self._waiting.discard(who)
        self._called.discard(who)
        self.leave(who)

    def excuse(self, who: Who) -> None:
        """Take that it needs no room any more, should it have been called."""
        if who in self._called:
            self.drop(who)

    def call(self) -> None:
        """Wake as many of those who wait as there is room for, in turn."""
        while self._waiting and self._used + len(self._called) * self._usual < self._limit:
            who = heapq.heappop(self._heap)[2]
            if who in self._waiting:
                self._waiting.remove(who)
                self._called.add(who)
                who.wake()
