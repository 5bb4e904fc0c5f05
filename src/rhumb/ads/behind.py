"""Streams whose clients have yet to take the last change: how long a push really lasts.

All that streams have to do stands in one line in gRPC, and it lets one new client in for each time that the
line was gone through. A next push before the last one is taken would make the line longer than clients wait.
New clients are not waited for: they have their turns, and while many come the others' changes must not wait.
"""

import asyncio
from typing import Generic, TypeVar

_FEW = 8
_SHARE = 10

Who = TypeVar("Who")


class Behind(Generic[Who]):
    """Who has yet to take something; the last few, one in ten, count for none."""

    def __init__(self) -> None:
        self._who: set[Who] = set()
        self._most = 0
        """How many there were since there were few."""
        self._are_few = asyncio.Event()
        self._are_few.set()

    def __len__(self) -> int:
        return len(self._who)

    def add(self, who: Who) -> None:
        """Wait for it."""
        self._who.add(who)
        self._most = max(self._most, len(self._who))
        if not self._few():
            self._are_few.clear()

    def drop(self, who: Who) -> None:
        """Take that it has all, or has left."""
        self._who.discard(who)
        if self._few():
            self._rest()

    async def few(self, patience_s: float) -> None:
        """Wait until only few are behind; who is so after that time is not waited for again."""
        try:
            async with asyncio.timeout(patience_s):
                await self._are_few.wait()
        except TimeoutError:
            self._who.clear()
            self._rest()

    def _few(self) -> bool:
        return len(self._who) <= max(_FEW, self._most // _SHARE)

    def _rest(self) -> None:
        self._most = len(self._who)
        self._are_few.set()
