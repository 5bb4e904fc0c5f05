"""Collecting garbage where it is safe: on the event loop's own thread.

Python collects on whatever thread happens to allocate, gRPC's among them. A transport of uvloop that ends
there takes its handle from under the loop, which aborts the process.
"""

import asyncio
import gc
from itertools import count

_EVERY_S = 1.0
_OLDER_EVERY = 30
"""Rounds; what is young is looked at in each, what came since in these."""
_ALL_EVERY = 1200
"""Rounds until everything is looked at, which stops the loop for a while: 0.3 s with 2000 proxies."""
_GROWN = 1.5
"""Or everything has grown to so many times what it was."""


async def collect_here(every: float = _EVERY_S) -> None:
    """Collect on this thread alone, every so many seconds, until cancelled.

    What has outlived a collection is taken to stay, and is seldom looked at again.
    """
    gc.disable()
    held = _collect_all()
    try:
        for number in count(1):
            await asyncio.sleep(every)
            if number % _OLDER_EVERY:
                gc.collect(1)
                continue
            gc.collect()
            gc.freeze()
            if number % _ALL_EVERY == 0 or gc.get_freeze_count() > held * _GROWN:
                held = _collect_all()
    finally:
        gc.unfreeze()
        gc.enable()


def _collect_all() -> int:
    """Look at everything; return how many objects there are."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    return gc.get_freeze_count()
