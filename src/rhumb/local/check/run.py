"""Run every scenario once: switched on under load, seen, switched off under load."""

import http.client
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from rhumb.base.errors import RhumbError
from rhumb.local import state, up
from rhumb.local.check import resilience, routing, security
from rhumb.local.check.bench import Bench, UnexpectedError, copy, until
from rhumb.local.check.client import Load
from rhumb.local.check.scenario import Scenario, Verdict
from rhumb.local.state import State
from rhumb.model.proxy import Interception

Say = Callable[[str], None]
Start = Callable[[Path, State], object]
SCENARIOS: Mapping[str, Scenario] = {
    **routing.SCENARIOS,
    **resilience.SCENARIOS,
    **security.SCENARIOS,
}
_SWITCHES = 10
_START: Start = partial(up.up, capture=Interception.REDIRECT, with_parent=True)


def run(samples: Path, say: Say, start: Start = _START) -> bool:
    """Run every scenario on a copy of the sample; print a line for each; return whether all showed what they claim.

    `start` starts the mesh of a rhumb.yaml. To be called on the main thread. Raises RhumbError when the mesh does not start.
    """
    began = time.monotonic()
    with running(samples, start) as bench:
        say(f"ok    {'start':16}  first page after {time.monotonic() - began:.1f} s")
        trial = Trial(bench)
        verdicts = {name: partial(trial.one, name, one) for name, one in SCENARIOS.items()}
        results = [_line(say, name, _safely(one)) for name, one in verdicts.items()]
        results.append(_line(say, "switching", _safely(trial.switching)))
    took = time.monotonic() - began
    say(f"{sum(results)} of {len(results)} showed what they claim, in {took:.0f} s")
    return all(results)


@contextmanager
def running(samples: Path, start: Start = _START) -> Iterator[Bench]:
    """Run a copy of the sample on free ports while the block does; yield it once it has a page.

    Raises RhumbError when the mesh does not start.
    """
    with tempfile.TemporaryDirectory(prefix="rhumb-check-") as folder:
        port, tls_port = _free_ports()
        file = copy(samples, Path(folder).resolve() / "bookinfo", port, tls_port)
        found = state.of(file)
        bench = Bench(file.parent, found, port, tls_port)
        try:
            start(file, found)
            if not until(lambda: bench.gateway.ask(1)[0].whole):
                raise RhumbError("the mesh has started, but there is no page")
            yield bench
        finally:
            up.down(found)


def _free_ports() -> tuple[int, int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    plain, tls = (int(s.getsockname()[1]) for s in sockets)
    for one in sockets:
        one.close()
    return plain, tls


def _line(say: Say, name: str, verdict: Verdict) -> bool:
    say(f"{'ok  ' if verdict.good else 'FAIL'}  {name:16}  {verdict.text}")
    return verdict.good


def _safely(work: Callable[[], Verdict]) -> Verdict:
    """Let a scenario that breaks be one line of many."""
    try:
        return work()
    except (UnexpectedError, RhumbError, OSError, http.client.HTTPException) as error:
        return Verdict(False, str(error) or type(error).__name__)


class Trial:
    """Tries scenarios one after the other, and counts what was lost while they were switched."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.asked = 0
        self.calls = 0
        self.lost: list[str] = []

    def one(self, name: str, scenario: Scenario) -> Verdict:
        """Switch a scenario on under load, test it, switch it off under load."""
        scenario.before(self._bench)
        already = len(self.lost)
        with self._load(scenario.spoils, scenario.connections):
            placed = self._bench.switch_on(name)
        try:
            verdict = scenario.test(self._bench)
        finally:
            with self._load(scenario.spoils, scenario.connections):
                self._bench.switch_off(placed)
        lost = self.lost[already:]
        if not lost:
            return verdict
        return Verdict(
            False, f"{verdict.text}; {len(lost)} failed while it was switched: {lost[0]}"
        )

    def switching(self) -> Verdict:
        """Switch one scenario many times in a row; sum up what was lost since the first."""
        with self._load(frozenset(), 3):
            for _ in range(_SWITCHES):
                self._bench.switch_off(self._bench.switch_on("canary-90-10"))
        text = f"each on and off, one {_SWITCHES} times more: {len(self.lost)} failed"
        return Verdict(not self.lost, f"{text} of {self.asked} pages, {self.calls} calls")

    @contextmanager
    def _load(self, spoils: frozenset[str], connections: int) -> Iterator[None]:
        """Ask for pages while the block runs, and some before and after it.

        A page hides much, for programs and proxies try again; so each call between services must
        succeed too, but those to services that a scenario spoils.
        """
        load = Load(self._bench.gateway, lambda seen: seen.status == 200 and seen.lacks <= spoils)
        before = self._bench.hops()
        with load.running(connections):
            load.more(10)
            yield
            load.more(10)
        calls = self._bench.hops() - before
        self.asked += load.asked
        self.calls += calls.total()
        self.lost += load.failures
        bad = {hop: n for hop, n in calls.items() if hop.failed and hop.destination not in spoils}
        self.lost += [f"{n} x {hop}" for hop, n in bad.items()]
