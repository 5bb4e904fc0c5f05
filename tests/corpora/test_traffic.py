"""Runs the traffic corpus through real sidecars, where it stands beside the checkout."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path

import pytest
from tests.corpora.traffic import judge
from tests.corpora.traffic.cases import CORPUS, Case, World, read
from tests.corpora.traffic.lab import Json, Lab

_MORE_ATTEMPTS = 2
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
                if unsettled:
                    yield from ((case, "failed", unsettled) for case in same)
                else:
                    yield from _outcomes(lab, world, same)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _configure(lab: Lab, world: World, case: Case) -> str:
    files, mesh = world.case_files(case), world.mesh(case)
    found = lab.order(do="configure", files=files, mesh=mesh)["unsettled"]
    return f"not in force in time: {found}" if found else ""


def _outcomes(lab: Lab, world: World, cases: list[Case]) -> Iterator[Outcome]:
    """Run cases of one world: all of a caller's at once, then again one by one what did not hold."""
    for where, group in groupby(cases, key=lambda case: world.request(case)[0]):
        same = list(group)
        for found in _called(lab, world, where, same):
            outcome = found
            for _ in range(_MORE_ATTEMPTS):
                if outcome[1] == "failed":
                    (outcome,) = _called(lab, world, where, [outcome[0]])
            yield outcome


def _called(lab: Lab, world: World, where: str, cases: list[Case]) -> list[Outcome]:
    requests = [world.request(case)[1] for case in cases]
    found = lab.order(do="call", **{"from": where}, requests=requests)
    # What applications received cannot be told apart: mirrored cases are called alone.
    received = found["received"] if len(cases) == 1 else {}
    return [
        _judged(case, world.expected(case), answers, received)
        for case, answers in zip(cases, found["answers"], strict=True)
    ]


def _judged(
    case: Case, expected: list[Json], answers: list[Json], received: Mapping[str, int]
) -> Outcome:
    try:
        why = judge.wrong(expected, answers, case.said, received)
    except judge.CannotJudgeError as error:
        return case, "not run", f"cannot judge {error}"
    return case, "failed" if why else "passed", why
