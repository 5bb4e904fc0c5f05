"""What Bookinfo's mesh takes without its applications, and where it goes."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks import localmesh, processes
from benchmarks.report import Report, Row, median

BOOKINFO = Path(__file__).resolve().parent.parent / "samples" / "bookinfo" / "rhumb.yaml"
LIMIT_MB = 260
_PARTS = (
    ("host process", "rhumb.local.host"),
    ("supervisor and agents", "rhumb.local.in_namespaces"),
    ("control plane", " serve "),
    ("Envoy", "--config-path"),
)
_REQUESTS = 50


def run(*, rounds: int = 3, settle: float = 5.0) -> Report:
    """Measure a mesh that has carried some requests; proportional set sizes, nothing else running."""
    found = [_round(settle) for _ in range(rounds)]
    how = f"{rounds} meshes, {settle:g} s after {_REQUESTS} pages, shared pages counted once"
    return Report(scenario="memory", how=how, rows=tuple(_rows(found)))


def _rows(found: list[Mapping[str, list[int]]]) -> Iterator[Row]:
    for part, _ in _PARTS:
        count = len(found[0][part])
        name = part if count == 1 else f"{part} ({count})"
        yield Row(what=name, value=_mb([sum(each[part]) for each in found]), unit="MB")
        if count > 1:
            sizes = [size for each in found for size in each[part]]
            yield Row(what=f"each {part}", value=_mb(sizes), unit="MB")
    totals = [sum(sum(sizes) for sizes in each.values()) for each in found]
    yield Row(what="together", value=_mb(totals), unit="MB", at_most=LIMIT_MB)


def _mb(sizes: list[int]) -> float:
    return median([size / 1e6 for size in sizes])


def _round(settle: float) -> Mapping[str, list[int]]:
    ports = localmesh.bookinfo_ports()
    with localmesh.running(BOOKINFO, ports) as mesh:
        url = f"http://127.0.0.1:{ports['BOOKINFO_HTTP_PORT']}/productpage"
        localmesh.pages(url, _REQUESTS)
        time.sleep(settle)
        return _sizes(mesh.host)


def _sizes(host: int) -> Mapping[str, list[int]]:
    parts: dict[str, list[int]] = {part: [] for part, _ in _PARTS}
    # The applications bear their share of what they have in common with the mesh: the interpreter.
    for pid, size in processes.footprint(processes.descendants(host)).items():
        part = _part(processes.command(pid))
        if part:
            parts[part].append(size)
    assert all(parts.values()), f"not all is there: {parts}"
    return parts


def _part(command: str) -> str:
    return next((part for part, word in _PARTS if word in command), "")
