"""A mailbox with one slot: a slow reader costs one value, never a backlog."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """Offers merge while nobody looks; taking empties the slot."""

    def __init__(self, merge: Callable[[T, T], T]) -> None:
        self._merge = merge
        self._slot: list[T] = []
        self._filled = asyncio.Event()

    def offer(self, value: T) -> None:
        """Put or merge; never blocks, never grows."""
        self._slot = [self._merge(self._slot[0], value)] if self._slot else [value]
        self._filled.set()

    async def take(self) -> T:
        """Wait for a value and empty the slot."""
        await self._filled.wait()
        self._filled.clear()
        return self._slot.pop()

    def take_nowait(self) -> T | None:
        """Empty the slot without waiting; None when there is nothing."""
        self._filled.clear()
        return self._slot.pop() if self._slot else None
