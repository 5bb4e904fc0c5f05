"""When pushes happen, with times as numbers."""

from hypothesis import given
from hypothesis import strategies as st

from rhumb.ads.debounce import Schedule
from rhumb.ads.settings import DebounceSettings

SETTINGS = DebounceSettings(quiet_min_s=0.01, quiet_max_s=0.1, max_delay_s=1.0)


def test_without_a_change_nothing_is_due() -> None:
    assert Schedule(SETTINGS).due() is None


def test_the_first_change_goes_at_once() -> None:
    schedule = Schedule(SETTINGS)
    schedule.changed(5.0)
    assert schedule.due() == 5.0
    schedule.pushed(5.0, 5.02)
    assert schedule.due() is None


def test_a_change_after_a_rest_goes_at_once_too() -> None:
    schedule = Schedule(SETTINGS)
    schedule.changed(5.0)
    schedule.pushed(5.0, 5.02)
    schedule.changed(5.5)
    assert schedule.due() == 5.5


def test_a_change_right_after_a_push_waits_as_long_as_the_push_took() -> None:
    schedule = Schedule(SETTINGS)
    schedule.changed(5.0)
    schedule.pushed(5.0, 5.05)
    schedule.changed(5.06)
    due = schedule.due()
    assert due is not None
    assert abs(due - 5.11) < 1e-9


def test_a_storm_is_merged_but_nothing_waits_longer_than_the_maximum() -> None:
    schedule = Schedule(SETTINGS)
    schedule.changed(5.0)
    schedule.pushed(5.0, 5.05)
    for step in range(200):
        schedule.changed(5.06 + step * 0.01)
    assert schedule.due() == 5.06 + SETTINGS.max_delay_s


def test_a_change_during_a_push_is_not_lost() -> None:
    schedule = Schedule(SETTINGS)
    schedule.changed(5.0)
    schedule.changed(5.03)
    schedule.pushed(5.01, 5.05)
    assert schedule.since == 5.03
    assert schedule.due() is not None


@given(st.lists(st.tuples(st.floats(0, 0.3), st.floats(0, 0.5)), max_size=40))
def test_every_change_is_pushed_within_the_maximum_after_it_or_the_push_before(
    steps: list[tuple[float, float]],
) -> None:
    schedule, now, free = Schedule(SETTINGS), 0.0, 0.0
    for gap, cost in steps:
        now += gap
        while (due := schedule.due()) is not None and max(due, free) <= now:
            began = max(due, free)
            assert schedule.since is not None
            assert began <= max(schedule.since + SETTINGS.max_delay_s, free) + 1e-9
            free = began + cost
            schedule.pushed(began, free)
        schedule.changed(now)
    assert not steps or schedule.due() is not None
