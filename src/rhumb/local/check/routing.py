"""Scenarios that lead requests: to versions, by who asks, by path, in turn, and in copies."""

from collections import Counter
from collections.abc import Callable, Mapping

from rhumb.local.check import luck
from rhumb.local.check.bench import Bench, UnexpectedError, until
from rhumb.local.check.client import Load
from rhumb.local.check.scenario import Scenario, Verdict

_PAGES = 600
"""So many that a share of 10 % shows as 4.5 to 17 %, and one of 5 % as 1.3 to 10 %."""


def split(shares: Mapping[str, float], count: int = _PAGES) -> Callable[[Bench], Verdict]:
    """Return a test that versions get their shares (0 to 1) of all pages.

    A version that should get a tenth and gets every third page, or none, passes once in 10^15 runs.
    """

    def test(bench: Bench) -> Verdict:
        seen = bench.gateway.at_once(4, count)
        got = Counter(s.version for s in seen)
        good = all(s.whole for s in seen) and set(got) <= set(shares)
        for version, share in shares.items():
            fewest, most = luck.bounds(len(seen), share)
            good = good and fewest <= got[version] <= most
        text = ", ".join(f"{v} {100 * got[v] / count:.1f} %" for v in sorted({*shares, *got}))
        return Verdict(good, f"{text} of {count}")

    return test


def _always(
    cases: Mapping[str, tuple[Callable[[Bench], Mapping[str, str]], str]], count: int = 20
) -> Callable[[Bench], Verdict]:
    """Each case: how to get its headers, and the version that every request with them must get."""

    def test(bench: Bench) -> Verdict:
        texts, good = [], True
        for name, (headers, wanted) in cases.items():
            got = Counter(s.version for s in bench.gateway.ask(count, headers=headers(bench)))
            good = good and got == {wanted: count}
            texts.append(f"{name}: {', '.join(sorted(got))}")
        return Verdict(good, "; ".join(texts))

    return test


def _user(name: str) -> Callable[[Bench], Mapping[str, str]]:
    return lambda bench: bench.gateway.sign_in(name)


def _device(agent: str) -> Callable[[Bench], Mapping[str, str]]:
    return lambda _bench: {"User-Agent": agent}


def _blue_green(bench: Bench) -> Verdict:
    """Green is on: switch to blue in one step, and back; afterwards not one page comes from the other."""
    found = [Counter(s.version for s in bench.gateway.ask(30))]
    load = Load(bench.gateway, lambda seen: seen.whole)
    with load.running(2):
        for name in ("all-v1", "blue-green"):
            _ = bench.switch_on(name)
            found.append(Counter(s.version for s in bench.gateway.ask(30)))
    good = found == [{"v3": 30}, {"v1": 30}, {"v3": 30}] and not load.failures
    text = ", then ".join("+".join(sorted(got)) for got in found)
    lost = f"{len(load.failures)} of {load.asked} failed meanwhile"
    return Verdict(good, f"{text}: 30 pages each; {lost}")


_PATHS = ("/reviews/0", "/ratings/0", "/none")


def _prefixes_before(bench: Bench) -> None:
    found = [bench.gateway.ask(1, path)[0].status for path in _PATHS]
    if found != [404, 404, 404]:
        raise UnexpectedError(f"without the scenario {', '.join(_PATHS)} answer {found}, not 404")


def _prefixes(bench: Bench) -> Verdict:
    found = {path: bench.gateway.ask(1, path)[0] for path in _PATHS}
    good = [s.status for s in found.values()] == [200, 200, 404]
    good = good and b'"reviewer"' in found["/reviews/0"].body
    good = good and b'"ratings"' in found["/ratings/0"].body
    text = ", ".join(f"{path} {seen.status}" for path, seen in found.items())
    return Verdict(good, f"{text}; without it all 404")


def _turns(bench: Bench) -> Verdict:
    """Strict turns repeat every third page; dice repeat a third of them.

    Of 60, dice give 45 once in 10^11 runs, and leave out one of the three once in 10^10. Turns may be
    broken a little: whoever else asks takes one.
    """
    repeats = {}
    good = True
    for kind, headers in (("in turn", {}), ("at random", bench.gateway.sign_in("random"))):
        versions = [s.version for s in bench.gateway.ask(63, headers=headers)]
        repeats[kind] = sum(a == b for a, b in zip(versions, versions[3:], strict=False))
        good = good and set(versions) == {"v1", "v2", "v3"}
    good = good and repeats["in turn"] >= 55 and repeats["at random"] < 45
    text = ", ".join(f"{kind} {n}" for kind, n in repeats.items())
    return Verdict(good, f"of 60 pages the version is that of three pages before: {text}")


def _mirroring(bench: Bench) -> Verdict:
    count = 100
    programs = ("reviews-v1", "reviews-v3")
    before = {name: bench.answered(name) for name in programs}
    got = Counter(s.version for s in bench.gateway.ask(count))

    def answered() -> dict[str, int]:
        return {name: bench.answered(name) - before[name] for name in programs}

    # Nobody waits for the answers to copies, so the last may still be under way.
    until(lambda: answered()["reviews-v3"] >= count, 3.0)
    found = answered()
    good = got == {"v1": count} and found == dict.fromkeys(programs, count)
    text = ", ".join(f"{name.removeprefix('reviews-')} answered {n}" for name, n in found.items())
    return Verdict(good, f"{got['v1']} of {count} pages by v1; {text}")


SCENARIOS: Mapping[str, Scenario] = {
    "all-v1": Scenario(test=split({"v1": 1.0}, 100)),
    "canary-90-10": Scenario(test=split({"v1": 0.9, "v2": 0.1})),
    "canary-5-95": Scenario(test=split({"v1": 0.05, "v2": 0.95})),
    "three-way": Scenario(test=split({"v1": 0.1, "v2": 0.8, "v3": 0.1})),
    "by-user": Scenario(
        test=_always(
            {
                "jason": (_user("jason"), "v2"),
                "others": (_user("mary"), "v1"),
                "nobody": (_device(""), "v1"),
            }
        )
    ),
    "by-device": Scenario(
        test=_always(
            {
                "iPhone": (_device("Mozilla/5.0 (iPhone)"), "v2"),
                "Android": (_device("Mozilla/5.0 (Android 14)"), "v3"),
                "others": (_device("Mozilla/5.0 (X11)"), "v1"),
            }
        )
    ),
    "blue-green": Scenario(test=_blue_green),
    "prefixes": Scenario(test=_prefixes, before=_prefixes_before),
    "load-balancing": Scenario(test=_turns),
    "mirroring": Scenario(test=_mirroring),
}
