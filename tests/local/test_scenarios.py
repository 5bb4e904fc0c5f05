"""The Bookinfo scenarios through real Envoys in real namespaces."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.local.mesh import WHOLE_MESH

from rhumb.local.check import run
from rhumb.local.check.bench import Bench

SAMPLES = Path(__file__).resolve().parents[2] / "samples" / "bookinfo"

pytestmark = [*WHOLE_MESH, pytest.mark.envoy, pytest.mark.timeout(90)]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One mesh for all scenarios; each leaves it as it was."""
    with pytest.MonkeyPatch.context() as patch:
        # A socket's path is short: the state must not stand below pytest's long directories.
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("s")))
        with run.running(SAMPLES) as found:
            yield found


@pytest.fixture(scope="module")
def trial(bench: Bench) -> run.Trial:
    return run.Trial(bench)


def test_every_scenario_of_the_sample_is_tried() -> None:
    assert set(run.SCENARIOS) == {p.name for p in (SAMPLES / "scenarios").iterdir()}


@pytest.mark.parametrize("name", run.SCENARIOS)
def test_scenario(trial: run.Trial, name: str) -> None:
    verdict = trial.one(name, run.SCENARIOS[name])
    assert verdict.good, verdict.text


def test_switching_loses_nothing(trial: run.Trial) -> None:
    verdict = trial.switching()
    assert verdict.good, verdict.text


SIMILAR = (
    ("canary-5-95", "canary-90-10"),
    ("three-way", "canary-90-10"),
    ("all-v1", "canary-5-95"),
    ("canary-90-10", "three-way"),
    ("fault-delay", "fault-delay-rare"),
    ("fault-delay-rare", "fault-delay"),
)
ALONE = [
    name
    for name, one in run.SCENARIOS.items()
    if one.by_itself and name not in {other for _, other in SIMILAR}
]


@pytest.mark.parametrize("name", ALONE)
def test_no_scenario_is_seen_without_its_files(bench: Bench, name: str) -> None:
    """A test that passes where nothing was switched on would pass by luck."""
    try:
        assert not run.SCENARIOS[name].test(bench).good
    finally:
        bench.switch_off(list((bench.home / "mesh").glob("scenario-*.yaml")))


@pytest.mark.parametrize(("on", "name"), SIMILAR)
def test_similar_scenarios_are_told_apart(bench: Bench, on: str, name: str) -> None:
    placed = bench.switch_on(on)
    try:
        assert not run.SCENARIOS[name].test(bench).good
    finally:
        bench.switch_off(placed)
