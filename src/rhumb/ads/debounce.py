"""When to push: after a rest at once; else when the last push was taken, with all that changed meanwhile."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from rhumb.ads.settings import DebounceSettings
from rhumb.base.clock import Clock


class Schedule:
    """Says when the next push is due. No clock of its own: all times are monotonic seconds."""

    def __init__(self, settings: DebounceSettings) -> None:
        self._settings = settings
        self._first: float | None = None
        self._last = 0.0
        self._free_at = float("-inf")
        self._quiet = settings.quiet_min_s

    def changed(self, now: float) -> None:
        """Note a change."""
        self._first = now if self._first is None else self._first
        self._last = now

    def due(self) -> float | None:
        """Return when to push; in the past means at once, None never.

        After a rest the first change goes at once. Otherwise changes must rest for as long as the last push
        took, within bounds, but none waits longer for others than some such times.
        """
        if self._first is None:
            return None
        if self._first >= self._free_at:
            return self._first
        patience = self._settings.most_quiets * self._quiet
        return max(min(self._last + self._quiet, self._first + patience), self._free_at)

    def begin(self, now: float) -> float:
        """Begin a push; return when the oldest change in it happened."""
        since, self._first = self._first, None
        return now if since is None else since

    def end(self, began: float, now: float) -> None:
        """Note that a push is over."""
        settings = self._settings
        wanted = (now - began) * settings.cost_factor
        self._quiet = min(max(wanted, settings.quiet_min_s), settings.quiet_max_s)
        self._free_at = now + self._quiet


class Debounce:
    """Calls `push` when changes are due."""

    def __init__(
        self,
        settings: DebounceSettings,
        clock: Clock,
        push: Callable[[float], bool],
        taken: Callable[[], Awaitable[None]],
    ) -> None:
        """Take what to call, and what ends when a push is over.

        `push` gets the time of the oldest change in it; False from it: there was nothing left to push.
        """
        self._schedule = Schedule(settings)
        self._clock = clock
        self._push = push
        self._taken = taken
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """Note a change."""
        self._schedule.changed(self._clock.monotonic())
        self._changed.set()

    async def run(self) -> None:
        """Push until cancelled."""
        while True:
            due = self._schedule.due()
            wait = None if due is None else due - self._clock.monotonic()
            if wait is None or wait > 0:
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), wait)
                continue
            began = self._clock.monotonic()
            if self._push(self._schedule.begin(began)):
                await self._taken()
            self._schedule.end(began, self._clock.monotonic())
