"""Streams that a change concerns, woken some in each round of the event loop.

All at once would make one round of it as long as the whole push: who connects meanwhile needs several
rounds to be let in, and would wait for ever where push follows push.
"""

import asyncio
from itertools import islice
from typing import Protocol

from rhumb.base.clock import Clock

_FEWEST = 8
_FIRST = 32
_MOST = 512


class Sleeper(Protocol):
    """Who can be woken."""

    def wake(self) -> None:
        """Look for what to do."""
        ...


class Waking:
    """Wakes as many in a round as fit into a slice of time, by what the last round took."""

    def __init__(self, clock: Clock, slice_s: float) -> None:
        self._clock = clock
        self._slice = slice_s
        self._due: dict[Sleeper, None] = {}
        self._some = _FIRST
        self._began: float | None = None
        """When the round before began; None: there was none."""
        self._next: asyncio.Handle | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, who: Sleeper) -> None:
        """Have it woken by the next `run`; once, however often it is added."""
        self._due[who] = None

    def drop(self, who: Sleeper) -> None:
        """Forget who has left."""
        self._due.pop(who, None)

    def run(self) -> None:
        """Begin now, and go on in the rounds to come until nobody is due."""
        if self._next is None:
            self._wake()

    async def done(self) -> None:
        """Wait until nobody is due."""
        await self._idle.wait()

    def close(self) -> None:
        """Wake nobody else."""
        self._due.clear()

    def _wake(self) -> None:
        now = self._clock.monotonic()
        if self._began is not None:
            self._adapt(now - self._began)
        self._began = now
        for who in list(islice(self._due, self._some)):
            del self._due[who]
            who.wake()
        if self._due:
            self._idle.clear()
            self._next = asyncio.get_running_loop().call_soon(self._wake)
        else:
            self._next = self._began = None
            self._idle.set()

    def _adapt(self, took: float) -> None:
        if took > 2 * self._slice:
            self._some = max(self._some // 2, _FEWEST)
        elif took < self._slice:
            self._some = min(self._some * 2, _MOST)
