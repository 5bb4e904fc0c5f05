"""Readiness with names: what is still waited for."""

from collections.abc import Iterator
from contextlib import contextmanager


class Ready:
    """Ready when nothing is waited for. What fails stays pending, so that readiness says what failed."""

    def __init__(self, *pending: str) -> None:
        self._pending = list(pending)

    @property
    def pending(self) -> tuple[str, ...]:
        """Return what is waited for, in order; empty when ready."""
        return tuple(self._pending)

    @contextmanager
    def waiting_for(self, name: str) -> Iterator[None]:
        """Hold readiness back until the block ends well."""
        if name not in self._pending:
            self._pending.append(name)
        yield
        self._pending.remove(name)
