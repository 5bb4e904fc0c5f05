"""What a scenario's test consists of."""

from collections.abc import Callable

import msgspec

from rhumb.local.check.bench import Bench


class Verdict(msgspec.Struct, frozen=True):
    """What a scenario showed."""

    good: bool
    text: str


def _nothing(_bench: Bench) -> None:
    """Need nothing first."""


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """How one scenario is tried."""

    test: Callable[[Bench], Verdict]
    """Runs while the scenario is in force."""
    before: Callable[[Bench], None] = _nothing
    """Prepares it, and sees what is so without it; raises UnexpectedError."""
    spoils: frozenset[str] = frozenset()
    """Services that fail by design while it is in force: their parts of a page may be missing."""
    connections: int = 2
    """How many ask for pages while it is switched."""
    by_itself: bool = True
    """The test fails where the scenario is not in force: that tells it from luck."""
