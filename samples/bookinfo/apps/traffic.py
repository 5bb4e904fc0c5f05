"""A small traffic generator: asks a URL at a steady rate, and counts what came back.

  python traffic.py http://127.0.0.1:8080/productpage --rate 20 --count 400
  python traffic.py http://127.0.0.1:8080/productpage --user jason --seconds 10 --json

Prints how many requests got which status and which version of reviews, and the latencies. Ctrl-C
prints the summary too. Exit code 1 when a request failed (no answer, or status 500 and above).
"""

import argparse
import http.client
import json
import re
import signal
import ssl
import sys
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

_SERVED = re.compile(rb'id="reviews" data-version="([^"]*)"|"version": "([^"]*)"')
_PANEL = re.compile(rb"Error fetching product (\w+)")
_NO_STARS = b"Ratings service is currently unavailable"


class Tally:
    """What came back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.statuses: Counter[str] = Counter()
        self.versions: Counter[str] = Counter()
        self.panels: Counter[str] = Counter()
        self.latencies: list[float] = []

    def add(self, status: int, body: bytes, seconds: float) -> None:
        """Count one answer; status 0 is none."""
        served = _SERVED.search(body)
        with self._lock:
            self.statuses[str(status) if status else "no answer"] += 1
            self.latencies.append(seconds)
            if served:
                self.versions[(served.group(1) or served.group(2)).decode()] += 1
            for name in set(_PANEL.findall(body)):
                self.panels[f"no {name.decode()}"] += 1
            if _NO_STARS in body:
                self.panels["no ratings"] += 1

    @property
    def failed(self) -> int:
        """Return how many requests got no answer, or a server's error."""
        return sum(n for s, n in self.statuses.items() if not s.isdigit() or int(s) >= 500)

    def summary(self) -> dict[str, object]:
        """Return everything as one JSON object; latencies in milliseconds."""
        ordered = sorted(self.latencies)

        def percentile(share: float) -> float:
            return (
                round(ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000, 1)
                if ordered
                else 0.0
            )

        return {
            "requests": len(ordered),
            "failed": self.failed,
            "statuses": dict(sorted(self.statuses.items())),
            "versions": dict(sorted(self.versions.items())),
            "panels": dict(sorted(self.panels.items())),
            "latency_ms": {"p50": percentile(0.5), "p90": percentile(0.9), "p99": percentile(0.99)},
        }


class Caller:
    """One connection that asks again and again."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._url = urlsplit(options.url)
        self._options = options
        self._headers = dict(line.split(":", 1) for line in options.header)
        if options.user:
            self._headers["Cookie"] = f"bookinfo-user={options.user}"
        if options.agent:
            self._headers["User-Agent"] = options.agent
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, tally: Tally) -> None:
        """Send one request and count the answer."""
        started = time.monotonic()
        status, body = 0, b""
        path = self._url.path or "/"
        if self._url.query:
            path += f"?{self._url.query}"
        try:
            connection = self._connection or self._connect()
            connection.request("GET", path, headers=self._headers)
            answer = connection.getresponse()
            body = answer.read()
            status = answer.status
            self._connection = None if answer.will_close else connection
        except (OSError, http.client.HTTPException):
            if self._connection is not None:
                self._connection.close()
            self._connection = None
        tally.add(status, body, time.monotonic() - started)

    def _connect(self) -> http.client.HTTPConnection:
        host, timeout = self._url.hostname or "127.0.0.1", self._options.timeout
        if self._url.scheme == "https":
            context = ssl.create_default_context(cafile=self._options.ca or None)
            self._connection = http.client.HTTPSConnection(
                host, self._url.port or 443, timeout=timeout, context=context
            )
        else:
            self._connection = http.client.HTTPConnection(
                host, self._url.port or 80, timeout=timeout
            )
        return self._connection


class Pace:
    """Hands out moments, evenly spaced, to all callers together."""

    def __init__(self, rate: float, count: int, seconds: float, stop: threading.Event) -> None:
        self._gap = 1.0 / rate if rate else 0.0
        self._left = count
        self._start = time.monotonic()
        self._end = self._start + seconds if seconds else float("inf")
        self._next = self._start
        self._stop = stop
        self._lock = threading.Lock()

    def wait(self) -> bool:
        """Wait for the next moment; False when there is none."""
        with self._lock:
            moment, self._next = max(self._next, time.monotonic() - 1), self._next + self._gap
            self._left -= 1
            if self._left < 0 or self._stop.is_set() or max(moment, time.monotonic()) >= self._end:
                return False
        return not self._stop.wait(max(moment - time.monotonic(), 0))


def run(options: argparse.Namespace, stop: threading.Event) -> Tally:
    """Send all requests and return what came back."""
    tally = Tally()
    pace = Pace(options.rate, options.count or sys.maxsize, options.seconds, stop)

    def work() -> None:
        caller = Caller(options)
        while pace.wait():
            caller.ask(tally)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(options.concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return tally


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8080/productpage")
    parser.add_argument(
        "--rate", type=float, default=10, help="requests a second in all; 0: as fast as it goes"
    )
    parser.add_argument(
        "--count", type=int, default=0, help="how many; 0: until --seconds or Ctrl-C"
    )
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--concurrency", type=int, default=4, help="connections")
    parser.add_argument("--timeout", type=float, default=15, help="seconds for one answer")
    parser.add_argument("--user", default="", help="be signed in as")
    parser.add_argument("--agent", default="", help="User-Agent")
    parser.add_argument("--header", action="append", default=[], metavar="NAME:VALUE")
    parser.add_argument("--ca", default="", help="PEM file of the authority of an https URL")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    return parser.parse_args()


def _table(summary: dict[str, object]) -> str:
    lines = []
    total = summary["requests"]
    for title in ("statuses", "versions", "panels"):
        counts = summary[title]
        assert isinstance(counts, dict)
        assert isinstance(total, int)
        lines += [
            f"{title:9} {name:12} {n:7}  {100 * n / max(total, 1):5.1f} %"
            for name, n in counts.items()
        ]
    latency = summary["latency_ms"]
    assert isinstance(latency, dict)
    lines.append("latency   " + "  ".join(f"{name} {value} ms" for name, value in latency.items()))
    lines.append(f"requests  {total}, failed {summary['failed']}")
    return "\n".join(lines)


def main() -> int:
    """Run from the command line."""
    options = _parse()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    tally = run(options, stop)
    summary = tally.summary()
    print(json.dumps(summary) if options.json else _table(summary))
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
