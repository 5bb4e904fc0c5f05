"""An HTTP/1.1 load: N keep-alive connections, one request in flight on each, as many as go or at a rate.

Usage: python load.py URL --connections N --seconds S [--rate R]; prints one line of JSON.
It runs inside a workload's namespace, so it imports nothing of the project.
"""

import argparse
import asyncio
import json
import time
from functools import partial
from typing import cast
from urllib.parse import urlsplit

import uvloop


class Connection(asyncio.Protocol):
    """Sends the next request when the last response is complete (Content-Length framing), and its time has come."""

    def __init__(
        self, request: bytes, tally: "Tally", ended: asyncio.Future[None], every: float
    ) -> None:
        self._request, self._tally, self._ended, self._every = request, tally, ended, every
        self._buffer = b""
        self._sent = 0.0
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast("asyncio.Transport", transport)
        self._due = time.perf_counter()
        self._send()

    def _send(self) -> None:
        if self._tally.running and not self._transport.is_closing():
            self._sent = time.perf_counter()
            self._transport.write(self._request)
        else:
            self._transport.close()

    def _next(self) -> None:
        # What is late stays late by no more than one request: a stall is no reason for a burst.
        now = time.perf_counter()
        self._due = max(self._due + self._every, now - self._every)
        if self._due > now:
            asyncio.get_running_loop().call_later(self._due - now, self._send)
        else:
            self._send()

    def data_received(self, data: bytes) -> None:
        """Count a complete response and go on."""
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self._buffer.lower().find(b"content-length:")
        length = int(self._buffer[at + 15 : self._buffer.index(b"\r", at)])
        if len(self._buffer) < head + 4 + length:
            return
        first = self._buffer[head + 4 : head + 5].decode()
        self._tally.add(time.perf_counter() - self._sent, self._buffer[9:12] == b"200", first)
        self._buffer = b""
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """End this connection's share of the run."""
        if self._tally.running:
            self._tally.errors += 1
        if not self._ended.done():
            self._ended.set_result(None)


class Tally:
    """Latencies in seconds, and what went wrong."""

    def __init__(self) -> None:
        self.running = True
        self.errors = 0
        self.latencies: list[float] = []
        self.answers: dict[str, int] = {}
        """By the first letter of the body."""

    def add(self, seconds: float, good: bool, letter: str) -> None:
        """Count one response."""
        self.latencies.append(seconds)
        self.errors += not good
        self.answers[letter] = self.answers.get(letter, 0) + 1


async def run(url: str, connections: int, seconds: float, rate: float) -> dict[str, object]:
    """Return requests, errors, requests per second, p50 and p99 in milliseconds, answers by first letter."""
    parts = urlsplit(url)
    path = parts.path or "/"
    request = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: load\r\n\r\n".encode()
    loop, tally = asyncio.get_running_loop(), Tally()
    ended: list[asyncio.Future[None]] = [loop.create_future() for _ in range(connections)]
    every = connections / rate if rate else 0.0
    started = time.perf_counter()
    for future in ended:
        await loop.create_connection(
            partial(Connection, request, tally, future, every),
            parts.hostname or "127.0.0.1",
            parts.port or 80,
        )
    await asyncio.sleep(seconds)
    tally.running = False
    took = time.perf_counter() - started
    await asyncio.wait(ended, timeout=5)
    ordered = sorted(tally.latencies) or [0.0]
    return {
        "requests": len(tally.latencies),
        "errors": tally.errors,
        "rps": len(tally.latencies) / took,
        "p50_ms": 1000 * ordered[len(ordered) // 2],
        "p99_ms": 1000 * ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)],
        "answers": tally.answers,
    }


def main() -> None:
    """Run one load from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument(
        "--rate", type=float, default=0, help="requests a second in all; 0: as many as go"
    )
    args = parser.parse_args()
    print(json.dumps(uvloop.run(run(args.url, args.connections, args.seconds, args.rate))))


if __name__ == "__main__":
    main()
