"""Collecting garbage where it is safe: on the event loop's own thread.

Python collects on whatever thread happens to allocate, gRPC's among them. A transport of uvloop that ends
there takes its handle from under the loop, which aborts the process.
"""

import asyncio
import gc
from itertools import count

_EVERY_S = 1.0
_ALL_EVERY = 30
"""Rounds; what is young is looked at in each, everything in these."""


async def collect_here(every: float = _EVERY_S) -> None:
    """Collect on this thread alone, every so many seconds, until cancelled.

    What is there already (modules, mostly) is taken to stay, and is not looked at again.
    """
    gc.disable()
    gc.collect()
    gc.freeze()
    try:
        for number in count(1):
            await asyncio.sleep(every)
            gc.collect(2 if number % _ALL_EVERY == 0 else 1)
    finally:
        gc.unfreeze()
        gc.enable()
