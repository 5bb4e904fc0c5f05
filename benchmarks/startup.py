"""How long it takes from `rhumb up` to the first page of Bookinfo through the gateway."""

import time
from collections.abc import Iterator, Mapping

from benchmarks import localmesh
from benchmarks.memory import BOOKINFO
from benchmarks.report import Report, Row, median

LIMIT_S = 6.0


def run(*, rounds: int = 5) -> Report:
    """Measure meshes that start from nothing; the first start compiles and is not counted."""
    found = [_round() for _ in range(rounds + 1)][1:]
    how = f"{rounds} starts, each after another mesh has ended"
    return Report(scenario="startup", how=how, rows=tuple(_rows(found)))


def _rows(found: list[Mapping[str, float]]) -> Iterator[Row]:
    for what in ("rhumb up returns", "rhumb down returns"):
        yield Row(what=what, value=median([each[what] for each in found]), unit="s")
    first = [each["first page"] for each in found]
    yield Row(what="slowest first page", value=max(first), unit="s")
    yield Row(what="first page", value=median(first), unit="s", at_most=LIMIT_S)


def _round() -> Mapping[str, float]:
    ports = localmesh.bookinfo_ports()
    began = time.perf_counter()
    with localmesh.running(BOOKINFO, ports):
        up = time.perf_counter()
        localmesh.pages(f"http://127.0.0.1:{ports['BOOKINFO_HTTP_PORT']}/productpage", 1)
        page = time.perf_counter()
    return {
        "rhumb up returns": up - began,
        "first page": page - began,
        "rhumb down returns": time.perf_counter() - page,
    }
