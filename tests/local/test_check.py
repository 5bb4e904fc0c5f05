"""What `rhumb demo --check` says and returns when scenarios do not show what they claim."""

import signal
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from rhumb.base.errors import RhumbError
from rhumb.cli.demo import command
from rhumb.local.check import run
from rhumb.local.check.bench import Bench, Hop
from rhumb.local.check.client import Gateway, Seen
from rhumb.local.check.scenario import Scenario, Verdict
from rhumb.local.state import State

WHOLE = b"<p>Reviews served by <b>v1</b></p>"
SORRY = b'<section class="error"><h2>Error fetching product reviews</h2></section>'


class Page(Gateway):
    """Answers by itself."""

    def __init__(self) -> None:
        super().__init__(0)
        self.body = WHOLE
        self.status = 200

    def asking(
        self, path: str = "/", headers: Mapping[str, str] | None = None, *, reconnect: bool = False
    ) -> Generator[Seen, None, None]:
        while True:
            yield Seen(self.status, 0.001, self.body)


class Stage(Bench):
    """A bench without a mesh: switching is noted; `spoilt` is what goes wrong while it happens."""

    def __init__(self) -> None:
        super().__init__(Path(), State(Path()), 0, 0)
        self.page_of = Page()
        self.gateway = self.page_of
        self.spoilt = WHOLE
        self.calls: Counter[Hop] = Counter()
        self.lost_call: Hop | None = None

    def switch_on(self, name: str, *files: str) -> list[Path]:
        self.page_of.body = self.spoilt
        if self.lost_call is not None:
            self.calls[self.lost_call] += 1
        return [Path(name)]

    def switch_off(self, placed: Sequence[Path]) -> None:
        self.page_of.body = WHOLE

    def hops(self) -> Counter[Hop]:
        return self.calls.copy()


def shows(good: bool) -> Scenario:
    return Scenario(test=lambda _bench: Verdict(good, "something"))


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = Stage()

    @contextmanager
    def running(_samples: Path, _start: object) -> Iterator[Bench]:
        yield made

    monkeypatch.setattr(run, "running", running)
    monkeypatch.setattr(run, "SCENARIOS", {"first": shows(True), "second": shows(True)})
    return made


def told() -> tuple[int, str]:
    """Run the command; return its exit code and what it printed."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        done = CliRunner().invoke(command, ["--check"])
    finally:
        signal.signal(signal.SIGTERM, before)
    return done.exit_code, done.output


def test_all_is_well(stage: Stage) -> None:
    code, said = told()
    assert code == 0, said
    assert "ok    first" in said
    assert "3 of 3 showed what they claim" in said


def test_one_that_shows_something_else_is_one_line_and_exit_1(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "SCENARIOS", {"first": shows(False), "second": shows(True)})
    code, said = told()
    assert code == 1
    assert "FAIL  first             something" in said
    assert "ok    second" in said
    assert "2 of 3 showed" in said


def test_one_that_breaks_does_not_keep_the_others_from_being_tried(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_bench: Bench) -> Verdict:
        raise RhumbError("the mesh does not answer")

    broken = Scenario(test=breaks)
    monkeypatch.setattr(run, "SCENARIOS", {"first": broken, "second": shows(True)})
    code, said = told()
    assert code == 1
    assert "FAIL  first             the mesh does not answer" in said
    assert "ok    second" in said


def test_a_page_that_is_lost_while_it_is_switched_fails_it(stage: Stage) -> None:
    stage.spoilt = SORRY
    code, said = told()
    assert code == 1
    assert "failed while it was switched: 200 without reviews" in said


def test_a_call_that_is_lost_behind_a_whole_page_fails_it(stage: Stage) -> None:
    stage.lost_call = Hop("productpage-v1", "reviews", "503", "UF")
    code, said = told()
    assert code == 1
    assert "1 failed while it was switched: 1 x productpage-v1 to reviews 503 UF" in said


def test_what_a_scenario_spoils_by_design_may_be_missing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.spoilt = SORRY
    stage.lost_call = Hop("productpage-v1", "reviews", "503", "UF")
    spoils = Scenario(test=lambda _: Verdict(True, "late"), spoils=frozenset({"reviews"}))
    trial = run.Trial(stage)
    assert trial.one("first", spoils) == Verdict(True, "late")
    assert trial.lost == []
