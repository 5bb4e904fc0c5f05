"""Retry delays: exponential, capped, with full jitter."""

import random
from collections.abc import Callable, Iterator


def delays(
    first: float = 0.5,
    cap: float = 30.0,
    factor: float = 2.0,
    draw: Callable[[], float] = random.random,
) -> Iterator[float]:
    """Yield seconds to wait before each retry, without end.

    Each delay is drawn between half of the current step and the step ("equal jitter"), so that
    many clients that failed together do not return together, and none returns at once.
    """
    step = first
    while True:
        yield step / 2 + draw() * step / 2
        step = min(step * factor, cap)
