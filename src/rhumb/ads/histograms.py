"""Histograms that cost next to nothing to add to: the push path adds to several for each response."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily

SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 3, 5, 10, 20, 30)
BYTES = (1_000, 10_000, 100_000, 1_000_000, 4_000_000, 10_000_000, 40_000_000)


class Values:
    """How many values fell into each bucket, and their sum."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """Return (upper bound, how many are not above it), the last one for all."""
        bounds = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        return list(zip(bounds, map(float, accumulate(self._counts)), strict=True))

    @property
    def count(self) -> int:
        """Return how many values there are."""
        return sum(self._counts)

    @property
    def sum(self) -> float:
        """Return the sum of all values."""
        return self._sum


class Histogram:
    """Values under one name; by type, where there are types."""

    def __init__(self, name: str, text: str, bounds: Sequence[float]) -> None:
        self._name = name
        self._text = text
        self._bounds = bounds
        self._by_type: dict[str, Values] = {}

    def add(self, value: float, kind: str = "") -> None:
        """Count a value."""
        self.values(kind).add(value)

    def values(self, kind: str = "") -> Values:
        """Return the values of a type, to add to."""
        found = self._by_type.get(kind)
        if found is None:
            found = self._by_type[kind] = Values(self._bounds)
        return found

    @property
    def by_type(self) -> Mapping[str, Values]:
        """Return all values by type."""
        return self._by_type

    def families(self) -> Iterator[HistogramMetricFamily]:
        """Yield what a scrape shows."""
        labels = ("type",) if any(self._by_type) else ()
        family = HistogramMetricFamily(self._name, self._text, labels=labels)
        for kind, values in sorted(self._by_type.items() or [("", Values(self._bounds))]):
            family.add_metric((kind,) if labels else (), values.buckets(), values.sum)
        yield family
