"""Every scenario of the Bookinfo sample, once: switched on, seen through the gateway, switched off."""

import http.client
import re
import shutil
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import sqrt
from pathlib import Path

import msgspec

from rhumb.local import state, up

_VERSION = re.compile(rb"served by\D*(v\d)")
_SIGMAS = 5.0
"""A split may be this many standard deviations off: by luck, once in two million runs."""
_IN_FORCE_S = 10.0
_PAGE = "/productpage"


class Seen(msgspec.Struct, frozen=True):
    """What one request got."""

    status: int
    version: str
    seconds: float
    body: bytes = b""


class Verdict(msgspec.Struct, frozen=True):
    """What a scenario showed."""

    good: bool
    text: str


class Gateway:
    """Asks through the published port; one connection for each series of requests."""

    def __init__(self, port: int) -> None:
        self._port = port

    def ask(
        self, count: int, path: str = _PAGE, headers: Mapping[str, str] | None = None
    ) -> list[Seen]:
        """Send requests one after the other."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=15)
        found = []
        try:
            for _ in range(count):
                began = time.monotonic()
                try:
                    connection.request("GET", path, headers=dict(headers or {}))
                    answer = connection.getresponse()
                    body, status = answer.read(), answer.status
                except (OSError, http.client.HTTPException):
                    connection.close()
                    body, status = b"", 0
                match = _VERSION.search(body)
                version = match.group(1).decode() if match else "none"
                found.append(Seen(status, version, time.monotonic() - began, body))
        finally:
            connection.close()
        return found

    def at_once(self, threads: int, each: int) -> list[Seen]:
        """Send requests on several connections at the same time."""
        found: list[Seen] = []
        workers = [
            threading.Thread(target=lambda: found.extend(self.ask(each))) for _ in range(threads)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return found


Test = Callable[[Gateway], Verdict]


def run(samples: Path, say: Callable[[str], None]) -> bool:
    """Run every scenario on a copy of the sample; print a line for each; return whether all showed what they claim.

    Raises RhumbError when the mesh does not start.
    """
    with tempfile.TemporaryDirectory(prefix="rhumb-check-") as folder:
        home = Path(folder) / "bookinfo"
        shutil.copytree(samples, home)
        port = _free_ports(home / "rhumb.yaml")
        found = state.of(home / "rhumb.yaml")
        began = time.monotonic()
        try:
            up.up(home / "rhumb.yaml", found, with_parent=True, progress=lambda _status: None)
            gateway = Gateway(port)
            _until(lambda: gateway.ask(1)[0].status == 200)
            say(f"ok    start             first page after {time.monotonic() - began:.1f} s")
            results = [_one(home, name, gateway, test, say) for name, test in SCENARIOS.items()]
            results.append(_under_load(home, gateway, say))
        finally:
            up.down(found)
    say(f"{sum(results)} of {len(results)} scenarios showed what they claim")
    return all(results)


def _free_ports(file: Path) -> int:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    plain, tls = (s.getsockname()[1] for s in sockets)
    for one in sockets:
        one.close()
    text = file.read_text()
    text = text.replace("${BOOKINFO_HTTP_PORT:-8080}", str(plain))
    file.write_text(text.replace("${BOOKINFO_HTTPS_PORT:-8443}", str(tls)))
    return int(plain)


def _until(test: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + _IN_FORCE_S
    while time.monotonic() < deadline:
        if test():
            return True
        time.sleep(0.05)
    return False


@contextmanager
def _switched_on(home: Path, name: str) -> Iterator[None]:
    """Put a scenario's files into force, each in one step, and take them out again."""
    placed = []
    for source in sorted((home / "scenarios" / name).glob("*.yaml")):
        target = home / "mesh" / f"scenario-{source.name}"
        draft = home / f".{source.name}"
        shutil.copyfile(source, draft)
        draft.replace(target)
        placed.append(target)
    try:
        yield
    finally:
        for target in placed:
            target.unlink()


def _one(home: Path, name: str, gateway: Gateway, test: Test, say: Callable[[str], None]) -> bool:
    with _switched_on(home, name):
        time.sleep(0.5)  # a change takes milliseconds; what is checked are shares, not the switch
        verdict = test(gateway)
    say(f"{'ok  ' if verdict.good else 'FAIL'}  {name:16}  {verdict.text}")
    time.sleep(0.2)
    return verdict.good


def _under_load(home: Path, gateway: Gateway, say: Callable[[str], None]) -> bool:
    """Switch a scenario on and off ten times while pages are asked for: none may fail."""
    ended = threading.Event()
    found: list[Seen] = []

    def load() -> None:
        while not ended.is_set():
            found.extend(gateway.ask(20))

    workers = [threading.Thread(target=load) for _ in range(3)]
    for worker in workers:
        worker.start()
    for _ in range(10):
        with _switched_on(home, "canary-90-10"):
            time.sleep(0.2)
        time.sleep(0.2)
    ended.set()
    for worker in workers:
        worker.join()
    failed = sum(1 for s in found if s.status != 200)
    good = failed == 0 and len(found) > 50
    say(f"{'ok  ' if good else 'FAIL'}  switching         {failed} of {len(found)} requests failed")
    return good


def _split(shares: Mapping[str, float], count: int = 400) -> Test:
    def test(gateway: Gateway) -> Verdict:
        seen = gateway.ask(count)
        got = Counter(s.version for s in seen)
        good = all(s.status == 200 for s in seen) and set(got) <= set(shares)
        for version, share in shares.items():
            spread = _SIGMAS * sqrt(share * (1 - share) / count)
            good = good and abs(got[version] / count - share) <= spread
        text = ", ".join(f"{v} {100 * got[v] / count:.1f} %" for v in sorted({*shares, *got}))
        return Verdict(good, f"{text} of {count}")

    return test


def _always(cases: Mapping[str, tuple[Mapping[str, str], str]], count: int = 20) -> Test:
    """Each case: headers, and the version that every request with them must get."""

    def test(gateway: Gateway) -> Verdict:
        texts, good = [], True
        for name, (headers, wanted) in cases.items():
            got = Counter(s.version for s in gateway.ask(count, headers=headers))
            good = good and got == {wanted: count}
            texts.append(f"{name}: {', '.join(sorted(got))}")
        return Verdict(good, "; ".join(texts))

    return test


def _prefixes(gateway: Gateway) -> Verdict:
    found = {path: gateway.ask(1, path)[0].status for path in ("/reviews/0", "/ratings/0", "/none")}
    text = ", ".join(f"{path} {status}" for path, status in found.items())
    return Verdict(list(found.values()) == [200, 200, 404], text)


def _abort(gateway: Gateway) -> Verdict:
    count = 200
    seen = gateway.ask(count)
    failed = sum(1 for s in seen if b"atings service is currently unavailable" in s.body)
    spread = _SIGMAS * sqrt(0.25 / count)
    good = all(s.status == 200 for s in seen) and abs(failed / count - 0.5) <= spread
    return Verdict(good, f"ratings unavailable on {100 * failed / count:.1f} % of {count} pages")


def _delay(gateway: Gateway) -> Verdict:
    seen = gateway.at_once(8, 25)
    late = sum(1 for s in seen if s.seconds > 1.9)
    spread = _SIGMAS * sqrt(0.09 / len(seen))
    good = all(s.status == 200 for s in seen) and abs(late / len(seen) - 0.1) <= spread
    return Verdict(good, f"{100 * late / len(seen):.1f} % of {len(seen)} pages 2 s late")


def _rare_delay(gateway: Gateway) -> Verdict:
    seen = gateway.at_once(4, 100)
    late = sum(1 for s in seen if s.seconds > 1.9)
    # Were 0.1 taken for 10 %, forty pages would be late; for 0.1 %, more than eight are one in 10^8.
    return Verdict(late <= 8, f"{late} of {len(seen)} pages late: 0.1 means 0.1 %")


def _timeout(gateway: Gateway) -> Verdict:
    seen = gateway.ask(3)
    sorry = sum(1 for s in seen if b"reviews are currently unavailable" in s.body)
    slowest = max(s.seconds for s in seen)
    return Verdict(
        sorry == len(seen) and slowest < 2, f"{sorry} of 3 apologise, after {slowest:.1f} s"
    )


def _circuit_breaker(gateway: Gateway) -> Verdict:
    got = Counter(s.status for s in gateway.at_once(20, 10))
    good = set(got) == {200, 503} and got[503] > 10
    return Verdict(good, ", ".join(f"{count} x {status}" for status, count in sorted(got.items())))


def _works(gateway: Gateway) -> Verdict:
    got = Counter(s.status for s in gateway.ask(50))
    return Verdict(set(got) == {200}, f"{got[200]} of 50 pages over mutual TLS")


def _turns(gateway: Gateway) -> Verdict:
    count = 60
    got = Counter(s.version for s in gateway.ask(count))
    good = set(got) == {"v1", "v2", "v3"} and max(got.values()) - min(got.values()) <= 3
    return Verdict(good, "in turn: " + ", ".join(f"{v} {n}" for v, n in sorted(got.items())))


SCENARIOS: Mapping[str, Test] = {
    "all-v1": _split({"v1": 1.0}, 100),
    "canary-90-10": _split({"v1": 0.9, "v2": 0.1}),
    "canary-5-95": _split({"v1": 0.05, "v2": 0.95}),
    "three-way": _split({"v1": 0.1, "v2": 0.8, "v3": 0.1}),
    "by-user": _always(
        {
            "jason": ({"Cookie": "user=jason", "end-user": "jason"}, "v2"),
            "others": ({}, "v1"),
        }
    ),
    "by-device": _always(
        {
            "iPhone": ({"User-Agent": "Mozilla/5.0 (iPhone)"}, "v2"),
            "Android": ({"User-Agent": "Mozilla/5.0 (Android 14)"}, "v3"),
            "others": ({"User-Agent": "Mozilla/5.0 (X11)"}, "v1"),
        }
    ),
    "blue-green": _split({"v3": 1.0}, 100),
    "prefixes": _prefixes,
    "fault-delay": _delay,
    "fault-delay-rare": _rare_delay,
    "fault-abort": _abort,
    "timeout": _timeout,
    "circuit-breaker": _circuit_breaker,
    "load-balancing": _turns,
    "mirroring": _split({"v1": 1.0}, 100),
    "strict-mtls": _works,
}
