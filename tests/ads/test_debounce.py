"""When pushes happen, with times as numbers."""

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhumb.ads.debounce import Debounce, Schedule
from rhumb.ads.settings import DebounceSettings
from rhumb.base.clock import SystemClock

SETTINGS = DebounceSettings(quiet_min_s=0.01, quiet_max_s=0.1, most_quiets=4)


def push(schedule: Schedule, began: float, ended: float) -> float:
    """Push, and return when the oldest change in it happened."""
    since = schedule.begin(began)
    schedule.end(began, ended)
    return since


def test_without_a_change_nothing_is_due() -> None:
    assert Schedule(SETTINGS).due() is None


def test_the_first_change_goes_at_once() -> None:
    schedule = Schedule(SETTINGS)
    schedule.changed(5.0)
    assert schedule.due() == 5.0
    push(schedule, 5.0, 5.02)
    assert schedule.due() is None


def test_a_change_after_a_rest_goes_at_once_too() -> None:
    schedule = Schedule(SETTINGS)
    schedule.changed(5.0)
    push(schedule, 5.0, 5.02)
    schedule.changed(5.5)
    assert schedule.due() == 5.5


@pytest.mark.parametrize(("took", "rest"), [(0.0, 0.01), (0.05, 0.05), (3.0, 0.1)])
def test_a_change_right_after_a_push_waits_as_long_as_the_push_took_within_bounds(
    took: float, rest: float
) -> None:
    schedule = Schedule(SETTINGS)
    schedule.changed(5.0)
    push(schedule, 5.0, 5.0 + took)
    changed = 5.0 + took + 0.001
    schedule.changed(changed)
    assert schedule.due() == pytest.approx(changed + rest)


def test_changes_that_never_rest_wait_for_so_many_quiet_times() -> None:
    schedule = Schedule(SETTINGS)
    schedule.changed(5.0)
    push(schedule, 5.0, 5.05)
    for step in range(200):
        schedule.changed(5.06 + step * 0.01)
    assert schedule.due() == pytest.approx(5.06 + 4 * 0.05)


def test_no_impatience_shortens_the_rest_after_a_push() -> None:
    schedule = Schedule(msgspec.structs.replace(SETTINGS, most_quiets=0))
    schedule.changed(5.0)
    push(schedule, 5.0, 5.05)
    schedule.changed(5.06)
    assert schedule.due() == pytest.approx(5.10)


def test_a_change_during_a_push_is_not_lost_and_its_time_is_known() -> None:
    schedule = Schedule(SETTINGS)
    schedule.changed(5.0)
    assert schedule.begin(5.01) == 5.0
    schedule.changed(5.02)
    schedule.changed(5.03)
    schedule.end(5.01, 5.05)
    assert schedule.due() is not None
    assert schedule.begin(5.1) == 5.02


def test_where_nothing_was_left_to_push_nobody_is_waited_for() -> None:
    said = list[float]()
    pushed = asyncio.Semaphore(0)

    def push(since: float) -> bool:
        said.append(since)
        pushed.release()
        return len(said) > 1

    async def never() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        debounce = Debounce(SETTINGS, SystemClock(), push, never)
        running = asyncio.ensure_future(debounce.run())
        for _ in range(2):
            debounce.changed()
            async with asyncio.timeout(5):
                await pushed.acquire()
        debounce.changed()
        await asyncio.wait([running], timeout=5 * SETTINGS.quiet_min_s)
        running.cancel()

    asyncio.run(main())
    assert len(said) == 2


@given(st.lists(st.tuples(st.floats(0, 0.3), st.floats(0, 0.5)), max_size=40))
def test_every_change_is_pushed_within_the_maximum_after_it_or_the_rest_of_the_push_before(
    steps: list[tuple[float, float]],
) -> None:
    schedule, now, free = Schedule(SETTINGS), 0.0, 0.0
    waiting: list[float] = []
    for gap, cost in steps:
        now += gap
        while (due := schedule.due()) is not None and max(due, free) <= now:
            began = max(due, free)
            most = SETTINGS.most_quiets * SETTINGS.quiet_max_s
            latest = max(waiting[0] + most, free + SETTINGS.quiet_max_s)
            assert began <= latest + 1e-9
            free = began + cost
            assert push(schedule, began, free) == waiting[0]
            waiting = []
        schedule.changed(now)
        waiting.append(now)
    assert not steps or schedule.due() is not None
