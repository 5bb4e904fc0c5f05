"""When to push: the first change at once, a storm merged, nothing later than a maximum delay."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from rhumb.ads.settings import DebounceSettings
from rhumb.base.clock import Clock

_ROUNDS = 3


class Schedule:
    """Says when the next push is due. No clock of its own: all times are monotonic seconds."""

    def __init__(self, settings: DebounceSettings) -> None:
        self._settings = settings
        self._first: float | None = None
        self._last = 0.0
        self._free_at = float("-inf")
        self._quiet = settings.quiet_min_s

    @property
    def since(self) -> float | None:
        """Return when the oldest change that waits has come."""
        return self._first

    def changed(self, now: float) -> None:
        """Note a change."""
        self._first = now if self._first is None else self._first
        self._last = now

    def due(self) -> float | None:
        """Return when to push; in the past means at once, None never.

        After a rest the first change goes at once. Otherwise changes must rest for as long as the last
        push took, within bounds, and no change waits longer than the maximum.
        """
        if self._first is None:
            return None
        if self._first >= self._free_at:
            return self._first
        rested = max(self._last + self._quiet, self._free_at)
        return min(rested, self._first + self._settings.max_delay_s)

    def pushed(self, began: float, ended: float) -> None:
        """Note a push; what changed while it ran waits for the next one."""
        settings = self._settings
        wanted = (ended - began) * settings.cost_factor
        self._quiet = min(max(wanted, settings.quiet_min_s), settings.quiet_max_s)
        self._free_at = ended + self._quiet
        self._first = None if self._last <= began else self._last


class Debounce:
    """Calls `push` when changes are due."""

    def __init__(
        self,
        settings: DebounceSettings,
        clock: Clock,
        push: Callable[[float], None],
        told: Callable[[], Awaitable[None]],
    ) -> None:
        """Take what to call, with the time of the oldest change in the push, and what to wait for then."""
        self._schedule = Schedule(settings)
        self._clock = clock
        self._push = push
        self._told = told
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
            self._push(self._schedule.since or began)
            # Streams translate and encode in the rounds of the loop that follow: that is the cost.
            await self._told()
            for _ in range(_ROUNDS):
                await asyncio.sleep(0)
            self._schedule.pushed(began, self._clock.monotonic())
