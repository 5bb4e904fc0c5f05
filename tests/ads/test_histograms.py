"""Histograms add up, and read as Prometheus reads them."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from rhumb.ads.histograms import Histogram


class Shown(Collector):
    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram

    def collect(self) -> Iterator[Metric]:
        yield from self._histogram.families()


def text(histogram: Histogram) -> list[str]:
    registry = CollectorRegistry()
    registry.register(Shown(histogram))
    return generate_latest(registry).decode().splitlines()


def test_buckets_count_what_is_not_above_them() -> None:
    histogram = Histogram("pushed", "What.", (1, 10))
    for value in (0.5, 1, 5, 10, 11):
        histogram.add(value)
    lines = text(histogram)
    assert 'pushed_bucket{le="1.0"} 2.0' in lines
    assert 'pushed_bucket{le="10.0"} 4.0' in lines
    assert 'pushed_bucket{le="+Inf"} 5.0' in lines
    assert "pushed_count 5.0" in lines
    assert "pushed_sum 27.5" in lines


def test_each_type_has_its_own_and_nothing_counted_is_shown_as_zero() -> None:
    histogram = Histogram("size", "What.", (1,))
    assert "size_count 0.0" in text(histogram)
    histogram.add(2, "cds")
    assert 'size_bucket{le="+Inf",type="cds"} 1.0' in text(histogram)


@given(st.lists(st.floats(0, 100)), st.lists(st.integers(1, 99), min_size=1, unique=True))
def test_no_value_is_lost(values: list[float], bounds: list[int]) -> None:
    histogram = Histogram("x", "What.", sorted(bounds))
    for value in values:
        histogram.add(value)
    assert f"x_count {float(len(values))}" in text(histogram)
