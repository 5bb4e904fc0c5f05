from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhumb.base.errors import RhumbError
from rhumb.ca import rotation
from rhumb.ca.rotation import Phase

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def test_a_rotation_from_beginning_to_end() -> None:
    state = rotation.issued(rotation.start("old", now=NOW), NOW + DAY, by="old")
    state = rotation.begin(state, "new", now=NOW)
    assert (state.phase, state.signing, state.trusted) == (Phase.TRUSTING, "old", ("old", "new"))
    state = rotation.issued(state, NOW + DAY + 23 * HOUR, by="old")

    assert rotation.step(state, now=NOW + DAY - HOUR, trust_period=DAY) is state
    state = rotation.step(state, now=NOW + DAY, trust_period=DAY)
    assert (state.phase, state.signing, state.trusted) == (Phase.SIGNING, "new", ("old", "new"))
    assert state.serving == "old"  # for who slept through the trust period

    assert rotation.step(state, now=NOW + DAY + 22 * HOUR, trust_period=DAY) is state
    state = rotation.step(state, now=NOW + DAY + 23 * HOUR, trust_period=DAY)
    assert (state.phase, state.trusted, state.serving) == (Phase.STEADY, ("new",), "new")
    assert rotation.step(state, now=NOW + 99 * DAY, trust_period=DAY) is state


def test_only_one_rotation_at_a_time() -> None:
    state = rotation.begin(rotation.start("old", now=NOW), "new", now=NOW)
    with pytest.raises(RhumbError, match="under way"):
        rotation.begin(state, "newer", now=NOW)


def test_nothing_to_rotate() -> None:
    state = rotation.start("old", now=NOW)
    with pytest.raises(RhumbError, match="signs already"):
        rotation.begin(state, "old", now=NOW)
    with pytest.raises(RhumbError, match="no rotation"):
        rotation.advance(state, now=NOW)


def test_a_clock_that_goes_back_only_waits() -> None:
    state = rotation.begin(rotation.start("old", now=NOW), "new", now=NOW)
    assert rotation.step(state, now=NOW - 9 * DAY, trust_period=DAY) is state


@given(st.lists(st.tuples(st.integers(0, 80), st.integers(1, 72)), max_size=30), st.integers(0, 40))
def test_no_certificate_outlives_the_trust_in_its_root(
    issues: list[tuple[int, int]], begin_at: int
) -> None:
    """At every moment, whoever signed a certificate that is still valid is trusted."""
    state = rotation.start("old", now=NOW)
    alive: list[tuple[datetime, str]] = []
    by_hour = sorted(issues)
    for hour in range(200):
        now = NOW + hour * HOUR
        if hour == begin_at:
            state = rotation.begin(state, "new", now=now)
        state = rotation.step(state, now=now, trust_period=DAY)
        for at, life in by_hour:
            if at == hour:
                alive.append((now + life * HOUR, state.signing))
                state = rotation.issued(state, now + life * HOUR, by=state.signing)
        assert {signer for expires, signer in alive if expires > now} <= set(state.trusted)
    assert state.trusted == ("new",)
