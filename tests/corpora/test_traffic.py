"""Runs the traffic corpus through real sidecars, where it stands beside the checkout."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest
from tests.corpora.traffic import judge
from tests.corpora.traffic.cases import CORPUS, Case, World, read
from tests.corpora.traffic.lab import Lab

_ATTEMPTS = 3
Outcome = tuple[Case, str, str]
"""Case, `passed`, `failed` or `not run`, and why."""


@pytest.mark.e2e
@pytest.mark.timeout(1500)
@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus does not stand beside the checkout")
@pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("unshare")), reason="needs curl and unshare"
)
def test_requests_end_as_istio_says(
    capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    cases = [case for case in read() if request.config.getoption("--only") in case.id]
    found = [outcome for suite in ("routing", "security") for outcome in _suite(suite, cases)]
    with capsys.disabled():
        print()
        for case, what, why in found:
            if what == "failed":
                print(f"failed {case.id} (tier {case.said['tier']}): {why}")
        for tier in (1, 2, 3):
            counts = Counter(what for case, what, _ in found if case.said["tier"] == tier)
            print(f"traffic, tier {tier}: {dict(counts)}")
        for why, count in Counter(w for _, what, w in found if what == "not run").most_common():
            print(f"  not run, {why}: {count}")
    first = [what for case, what, _ in found if case.said["tier"] == 1 and what != "not run"]
    assert first.count("passed") >= 0.95 * len(first)


def _suite(suite: str, cases: list[Case]) -> Iterator[Outcome]:
    wanted = [case for case in cases if case.suite == suite]
    yield from ((case, "not run", case.not_run) for case in wanted if case.not_run)
    runs = [case for case in wanted if not case.not_run]
    if not runs:
        return
    world = World(suite)
    folder = Path(tempfile.mkdtemp(prefix="lab", dir="/tmp"))  # sockets need short paths
    try:
        with Lab(folder) as lab:
            lab.order(do="start", workloads=world.workloads, files=world.files())
            for _, group in groupby(runs, key=lambda case: case.world):
                same = list(group)
                unsettled = _configure(lab, world, same[0])
                for case in same:
                    yield (case, "failed", unsettled) if unsettled else _outcome(lab, world, case)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _configure(lab: Lab, world: World, case: Case) -> str:
    files, mesh = world.case_files(case), world.mesh(case)
    found = lab.order(do="configure", files=files, mesh=mesh)["unsettled"]
    return f"not in force in time: {found}" if found else ""


def _outcome(lab: Lab, world: World, case: Case) -> Outcome:
    where, request = world.request(case)
    expected = world.expected(case)
    why = ""
    for _ in range(_ATTEMPTS):
        found = lab.order(do="call", **{"from": where}, request=request)
        try:
            why = judge.wrong(expected, found["answers"], case.said, found["received"])
        except judge.CannotJudgeError as error:
            return case, "not run", f"cannot judge {error}"
        if not why:
            return case, "passed", ""
    return case, "failed", why
