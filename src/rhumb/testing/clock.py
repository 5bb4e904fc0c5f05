"""A clock that stands still until it is moved."""

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Both hands of a Clock; `advance` moves them together, `jump` the wall clock alone."""

    def __init__(self, now: datetime = datetime(2030, 1, 1, tzinfo=UTC)) -> None:
        self._now = now
        self._monotonic = 1000.0

    def now(self) -> datetime:
        """Return the wall-clock time."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start."""
        return self._monotonic

    def advance(self, by: timedelta) -> None:
        """Let time pass."""
        self._now += by
        self._monotonic += by.total_seconds()

    def jump(self, by: timedelta) -> None:
        """Move the wall clock, as an operator or a time server does."""
        self._now += by

    async def sleep(self, seconds: float) -> None:
        """Stand in for asyncio.sleep: time passes at once."""
        self.advance(timedelta(seconds=seconds))
