"""Scenarios of failure: made on purpose, limited in time, tried again, kept away from."""

import json
import re
import time
from collections import Counter
from collections.abc import Mapping

from rhumb.local.check import luck
from rhumb.local.check.bench import Bench, UnexpectedError, until
from rhumb.local.check.client import Load
from rhumb.local.check.scenario import Scenario, Verdict

_LATE_S = 1.9
_OVERFLOW = re.compile(r'"GET /productpage HTTP/1\.1" 503 UO ')


def _delay(bench: Bench) -> Verdict:
    """Of 400 pages 40 are late: 14 to 72 by luck. None late, or all, never passes."""
    seen = bench.gateway.at_once(40, 400)
    late = sum(s.seconds > _LATE_S for s in seen)
    fewest, most = luck.bounds(len(seen), 0.1)
    good = all(s.whole for s in seen) and fewest <= late <= most
    return Verdict(good, f"{100 * late / len(seen):.1f} % of {len(seen)} pages 2 s late")


def _rare_delay(bench: Bench) -> Verdict:
    """One in a thousand is too rare to be counted, so Envoy is asked what it does besides.

    Were 0.1 taken for 10 %, forty of 400 pages would be late; for 0.1 %, more than seven are less than
    one in a million.
    """
    seen = bench.gateway.at_once(40, 400)
    late = sum(s.seconds > _LATE_S for s in seen)
    _, told = bench.ask_from("reviews-v2", "127.0.0.1", bench.admin("reviews-v2"), "/config_dump")
    found = re.search(r'"fixed_delay":\s*"2s",\s*"percentage":\s*(\{[^}]*\})', told)
    share = json.loads(found.group(1)) if found else {}
    good = late <= luck.bounds(len(seen), 0.001)[1]
    good = good and share == {"numerator": 1000, "denominator": "MILLION"}
    each = f"{share.get('numerator')} in a {str(share.get('denominator')).lower()}"
    return Verdict(good, f"{late} of {len(seen)} pages late; Envoy delays {each}: 0.1 means 0.1 %")


def _abort(bench: Bench) -> Verdict:
    count = 200
    before = bench.answered("ratings-v1")
    seen = bench.gateway.ask(count)
    failed = sum("ratings" in s.lacks for s in seen)
    reached = bench.answered("ratings-v1") - before
    fewest, most = luck.bounds(count, 0.5)
    good = all(s.status == 200 for s in seen) and fewest <= failed <= most
    good = good and reached == count - failed
    text = f"no ratings on {100 * failed / count:.1f} % of {count} pages"
    return Verdict(good, f"{text}; {reached} calls reached ratings")


def _timeout(bench: Bench) -> Verdict:
    """The page asks twice, half a second each; without the timeout it would show stars after 2 s."""
    seen = bench.gateway.at_once(3, 3)
    sorry = sum("reviews" in s.lacks for s in seen)
    quickest, slowest = min(s.seconds for s in seen), max(s.seconds for s in seen)
    good = sorry == len(seen) and quickest > 0.95 and slowest < 2
    return Verdict(good, f"{sorry} of 3 pages apologise, after {slowest:.1f} s")


def _retries_before(bench: Bench) -> None:
    placed = bench.switch_on("retries", "reviews.yaml")
    try:
        with bench.fault("ratings-v1", "--status", "503", "--every", "2"):
            failed = sum("ratings" in s.lacks for s in bench.gateway.ask(20))
    finally:
        bench.switch_off(placed)
    if failed < 5:
        raise UnexpectedError(f"without the scenario {failed} of 20 pages have no stars, not half")


def _retries(bench: Bench) -> Verdict:
    count = 20
    before = bench.answered("ratings-v1")
    with bench.fault("ratings-v1", "--status", "503", "--every", "2"):
        seen = bench.gateway.ask(count)
    tries = bench.answered("ratings-v1") - before
    whole = sum(s.whole for s in seen)
    text = f"{whole} of {count} pages have stars (half without it), by {tries} tries"
    # Every second try fails, so each page but at most one takes two; on a slow machine some take more,
    # for a try has half a second.
    if whole < count or not 2 * count - 1 <= tries <= 3 * count:
        return Verdict(False, text)
    with bench.fault("ratings-v1", "--delay", "2"):
        before = bench.answered("ratings-v1")
        (slow,) = bench.gateway.ask(1)
        until(lambda: bench.answered("ratings-v1") - before >= 4, 5.0)
        tries = bench.answered("ratings-v1") - before
    good = "ratings" in slow.lacks and tries == 4 and slow.seconds > 4 * 0.5 - 0.05
    return Verdict(good, f"{text}; a slow one is given up {tries} times, in {slow.seconds:.1f} s")


def _circuit_breaker(bench: Bench) -> Verdict:
    """With twenty at once there are always some beside the one that is served and the one that waits."""
    before = _overflows(bench)
    got = Counter(s.status for s in bench.gateway.at_once(20, 200))
    # Envoy writes its log once a second.
    until(lambda: _overflows(bench) - before >= got[503], 5.0)
    flagged = _overflows(bench) - before
    good = set(got) == {200, 503} and got[503] > 10 and flagged == got[503]
    text = ", ".join(f"{count} x {status}" for status, count in sorted(got.items()))
    return Verdict(good, f'{text}; {flagged} x "503 UO" in the gateway\'s access log')


def _overflows(bench: Bench) -> int:
    return sum(bool(_OVERFLOW.search(line)) for line in bench.access_log("ingressgateway"))


def _outlier(bench: Bench) -> Verdict:
    warned = any(
        row["level"] == "warning" and "consecutiveErrors" in f"{row['field']} {row['message']}"
        for row in bench.page("/debug/findings")
    )
    before = bench.answered("reviews-v2")
    with bench.fault("reviews-v2", "--status", "500"):
        began = time.monotonic()
        seen = bench.gateway.ask(40)
        asked = bench.answered("reviews-v2") - before
    # The page asks a second time: it lacks its reviews only where both of its calls met v2.
    away = "v2" not in {s.version for s in seen} and sum(not s.whole for s in seen) <= asked // 2
    back = until(lambda: bench.gateway.ask(1)[0].version == "v2", 20)
    after = time.monotonic() - began
    good = warned and away and asked == 3 and back and after >= 5
    text = f"v2 fails {asked} times in 40 pages, is away, is back after {after:.1f} s"
    return Verdict(good, f"{text}; {'warns' if warned else 'does not warn'} of consecutiveErrors")


def _unhealthy(bench: Bench) -> Verdict:
    """In turn, one of three: whoever is not seen on 30 pages gets nothing."""

    def gets_traffic() -> bool:
        return "v2" in {s.version for s in bench.gateway.ask(30)}

    load = Load(bench.gateway, lambda seen: seen.whole)
    with load.running(2):
        present = gets_traffic()
        with bench.fault("reviews-v2", "--ill"):
            left = until(lambda: not gets_traffic())
            before = bench.answered("reviews-v2")
            load.more(50)
            still = bench.answered("reviews-v2") - before
        back = until(gets_traffic)
    good = present and left and not still and back and not load.failures
    text = "ill v2 leaves, well v2 returns" if left and back else "v2 does not follow its health"
    return Verdict(good, f"{text}; {len(load.failures)} of {load.asked} pages failed")


SCENARIOS: Mapping[str, Scenario] = {
    "fault-delay": Scenario(test=_delay, connections=8),
    "fault-delay-rare": Scenario(test=_rare_delay),
    "fault-abort": Scenario(test=_abort, spoils=frozenset({"ratings"})),
    "timeout": Scenario(test=_timeout, spoils=frozenset({"reviews"}), connections=8),
    "retries": Scenario(test=_retries, before=_retries_before),
    "circuit-breaker": Scenario(test=_circuit_breaker, connections=1),
    "outlier": Scenario(test=_outlier),
    "unhealthy": Scenario(test=_unhealthy, by_itself=False),
}
