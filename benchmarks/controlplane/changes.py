"""One change of a file, and the time until every proxy has heard of it."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.controlplane.mesh import replace
from benchmarks.controlplane.proxies import Proxy

_LIMIT_S = 60.0
_QUIET_S = 0.2


async def change(path: Path, text: str, token: str, hearing: Sequence[Proxy]) -> list[float]:
    """Replace a file; return for each proxy the ms until a response with the token came."""
    wanted, took = token.encode(), list[float]()
    done = asyncio.Event()

    def listen(proxy: Proxy) -> None:
        def heard(raw: bytes) -> None:
            if wanted in raw:
                took.append((time.monotonic() - began) * 1000)
                proxy.heard = _nothing
                if len(took) == len(hearing):
                    done.set()

        proxy.heard = heard

    for proxy in hearing:
        listen(proxy)
    began = time.monotonic()
    replace(path, text)
    try:
        await asyncio.wait_for(done.wait(), _LIMIT_S)
    except TimeoutError:
        missed = len(hearing) - len(took)
        raise AssertionError(f"{missed} proxies never heard of {path.name}") from None
    return took


async def quiet(proxies: Sequence[Proxy]) -> None:
    """Wait until nothing comes any more."""
    last = -1
    while last != (now := sum(p.responses for p in proxies)):
        last = now
        await asyncio.sleep(_QUIET_S)


def _nothing(_raw: bytes) -> None:
    return
