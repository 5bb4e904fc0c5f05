"""How far chance may go, against exact sums."""

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhumb.local.check import luck


def below(count: int, share: float, k: int) -> float:
    """Return the chance of fewer than k of count."""
    return sum(comb(count, i) * share**i * (1 - share) ** (count - i) for i in range(k))


@given(st.integers(1, 120), st.floats(0.01, 0.99))
def test_what_lies_outside_is_rarer_than_said(count: int, share: float) -> None:
    fewest, most = luck.bounds(count, share)
    assert 0 <= fewest <= most <= count
    assert below(count, share, fewest) < luck.RARE * 1.001
    assert 1 - below(count, share, most + 1) < luck.RARE * 1.001 + 1e-12


@given(st.integers(1, 120), st.floats(0.01, 0.99))
def test_the_bounds_are_no_wider_than_needed(count: int, share: float) -> None:
    fewest, _ = luck.bounds(count, share)
    assert below(count, share, fewest + 1) >= luck.RARE * 0.999


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (1.0, 600)])
def test_certainty_has_no_room(share: float, count: int) -> None:
    assert luck.bounds(600, share) == (count, count)


@pytest.mark.parametrize(
    ("asked", "other"), [(0.1, 1 / 3), (0.05, 0.1 + 0.1), (0.1, 0.001), (0.8, 0.5)]
)
def test_the_splits_of_the_sample_do_not_overlap(asked: float, other: float) -> None:
    """600 pages tell a right split from the likely wrong ones."""
    (low, high), (other_low, other_high) = luck.bounds(600, asked), luck.bounds(600, other)
    assert high < other_low or other_high < low
