"""When to push: the first change at once, a storm merged, nothing later than a maximum delay."""

import asyncio
from collections.abc import Callable

from rhumb.ads.settings import DebounceSettings
from rhumb.base.clock import Clock


class Debounce:
    """Calls `push` for changes. The wait for more grows with what the last push cost."""

    def __init__(self, settings: DebounceSettings, clock: Clock, push: Callable[[], None]) -> None:
        self._settings = settings
        self._clock = clock
        self._push = push
        self._changed = asyncio.Event()
        self._last_change = 0.0
        self.cost_s = 0.0
        """Seconds that the last push took."""
        self.pushes = 0

    def changed(self) -> None:
        """Note a change."""
        self._last_change = self._clock.monotonic()
        self._changed.set()

    @property
    def quiet_s(self) -> float:
        """Return how long changes must rest before the next push."""
        settings = self._settings
        wanted = self.cost_s * settings.cost_factor
        return min(max(wanted, settings.quiet_min_s), settings.quiet_max_s)

    async def run(self) -> None:
        """Push until cancelled."""
        while True:
            await self._changed.wait()
            first = self._last_change
            while self._changed.is_set():
                self._changed.clear()
                self._do()
                await self._rest(first)
                first = self._last_change

    def _do(self) -> None:
        began = self._clock.monotonic()
        self._push()
        self.cost_s = self._clock.monotonic() - began
        self.pushes += 1

    async def _rest(self, since: float) -> None:
        """Let changes collect: until they rest for the quiet time, or the oldest waited too long."""
        await asyncio.sleep(self.quiet_s)
        limit = max(since, self._clock.monotonic()) + self._settings.max_delay_s
        while self._changed.is_set():
            now = self._clock.monotonic()
            rested = now - self._last_change
            if rested >= self.quiet_s or now >= limit:
                return
            await asyncio.sleep(self.quiet_s - rested)
