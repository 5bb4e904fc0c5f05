"""Run every scenario once: switched on under load, seen, switched off under load."""

import http.client
import socket
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from rhumb.base.errors import RhumbError
from rhumb.local import state, up
from rhumb.local.check import resilience, routing, security
from rhumb.local.check.bench import Bench, UnexpectedError, copy, until
from rhumb.local.check.client import Load, Seen
from rhumb.local.check.scenario import Scenario, Verdict

Say = Callable[[str], None]
SCENARIOS: Mapping[str, Scenario] = {
    **routing.SCENARIOS,
    **resilience.SCENARIOS,
    **security.SCENARIOS,
}
_SWITCHES = 10


def run(samples: Path, say: Say) -> bool:
    """Run every scenario on a copy of the sample; print a line for each; return whether all showed what they claim.

    To be called on the main thread. Raises RhumbError when the mesh does not start.
    """
    with tempfile.TemporaryDirectory(prefix="rhumb-check-") as folder:
        port, tls_port = _free_ports()
        file = copy(samples, Path(folder).resolve() / "bookinfo", port, tls_port)
        found = state.of(file)
        bench = Bench(file.parent, found, port, tls_port)
        began = time.monotonic()
        try:
            up.up(file, found, with_parent=True, progress=lambda _status: None)
            if not until(lambda: bench.gateway.ask(1)[0].whole):
                raise RhumbError("the mesh has started, but there is no page")
            say(f"ok    start             first page after {time.monotonic() - began:.1f} s")
            results = _all(bench, say)
        finally:
            up.down(found)
    took = time.monotonic() - began
    say(f"{sum(results)} of {len(results)} showed what they claim, in {took:.0f} s")
    return all(results)


def _free_ports() -> tuple[int, int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    plain, tls = (int(s.getsockname()[1]) for s in sockets)
    for one in sockets:
        one.close()
    return plain, tls


def _all(bench: Bench, say: Say) -> list[bool]:
    loads: list[Load] = []
    results = []
    for name, scenario in SCENARIOS.items():
        verdict = _safely(partial(_one, bench, name, scenario, loads))
        results.append(_line(say, name, verdict))
    results.append(_line(say, "switching", _safely(partial(_switching, bench, loads))))
    return results


def _line(say: Say, name: str, verdict: Verdict) -> bool:
    say(f"{'ok  ' if verdict.good else 'FAIL'}  {name:16}  {verdict.text}")
    return verdict.good


def _safely(work: Callable[[], Verdict]) -> Verdict:
    """Let a scenario that breaks be one line of many."""
    try:
        return work()
    except (UnexpectedError, RhumbError, OSError, http.client.HTTPException) as error:
        return Verdict(False, str(error) or type(error).__name__)


def _one(bench: Bench, name: str, scenario: Scenario, loads: list[Load]) -> Verdict:
    scenario.before(bench)
    load = Load(bench.gateway, _comes if scenario.panels_fail else _is_whole)
    loads.append(load)
    with load.running(scenario.connections):
        load.more(10)
        placed = bench.switch_on(name)
        load.more(10)
    try:
        verdict = scenario.test(bench)
    finally:
        with load.running(scenario.connections):
            load.more(10)
            bench.switch_off(placed)
            load.more(10)
    if not load.failures:
        return verdict
    lost = f"{len(load.failures)} of {load.asked} failed while it was switched: {load.failures[0]}"
    return Verdict(False, f"{verdict.text}; {lost}")


def _is_whole(seen: Seen) -> bool:
    return seen.whole


def _comes(seen: Seen) -> bool:
    return seen.status == 200


def _switching(bench: Bench, loads: list[Load]) -> Verdict:
    """Switch one scenario many times in a row; sum up what was asked while others were switched."""
    load = Load(bench.gateway, _is_whole)
    with load.running(3):
        for _ in range(_SWITCHES):
            bench.switch_off(bench.switch_on("canary-90-10"))
            load.more(10)
    every = [*loads, load]
    asked, failed = sum(e.asked for e in every), sum(len(e.failures) for e in every)
    text = f"each on and off, one {_SWITCHES} times more: {failed} of {asked} requests failed"
    return Verdict(not failed, text)
