"""Whether the mesh sends a workload any traffic: as long as the file with its WorkloadEntry is there."""

import asyncio
from pathlib import Path

from rhumb.base.files import write_atomic


class Presence:
    """One workload's file."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text
        self._there = asyncio.Event()

    @property
    def announced(self) -> bool:
        """Return whether traffic may come."""
        return self._there.is_set()

    async def wait(self) -> None:
        """Wait until traffic may come."""
        await self._there.wait()

    def announce(self) -> None:
        """Let traffic come."""
        self._there.set()
        write_atomic(self._path, self._text)

    def update(self, text: str) -> None:
        """Take what is new of the entry."""
        if text != self._text:
            self._text = text
            if self.announced:
                self.announce()

    def retract(self) -> None:
        """Let no more come; proxies hear of it a little later."""
        self._there.clear()
        self._path.unlink(missing_ok=True)
