"""How long a change of weights in a file takes until all sidecars of Bookinfo have acknowledged it.

From the rename to the first answer of the control plane's sync page that shows all of them in step with a
push later than before; asking takes a few milliseconds, which count.
"""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks import localmesh
from benchmarks.memory import BOOKINFO
from benchmarks.report import Report, Row, median
from rhumb.local import control

LIMIT_MS = 30.0
_PATIENCE_S = 5.0
_PAUSE_S = 0.3
"""Between two changes: a user's, not a storm's."""
_CHANGE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: weights}
spec:
  hosts: [reviews]
  http:
  - route:
    - {destination: {host: reviews, subset: v1}, weight: %d}
    - {destination: {host: reviews, subset: v3}, weight: %d}
"""


class _Type(msgspec.Struct):
    state: str


class _Stream(msgspec.Struct):
    proxy: str
    role: str
    pushes: int
    types: dict[str, _Type]


def run(*, changes: int = 40) -> Report:
    """Measure one change after the other on one mesh."""
    with localmesh.home() as folder:
        # A copy, for the file that changes.
        shutil.copytree(BOOKINFO.parent, folder / "bookinfo")
        file = folder / "bookinfo" / BOOKINFO.name
        with localmesh.running(file, localmesh.bookinfo_ports()) as mesh:
            (socket,) = (mesh.home / "s" / "rhumb").glob("*/control.sock")
            found = list(_measure(folder / "bookinfo" / "mesh", socket, changes))
    sidecars = int(found[0][1])
    times = sorted(1e3 * seconds for seconds, _ in found)
    rows = (
        Row(what="slowest of ten", value=times[len(times) * 9 // 10], unit="ms"),
        Row(what="slowest", value=times[-1], unit="ms"),
        Row(what="median", value=median(times), unit="ms", at_most=LIMIT_MS),
    )
    return Report(scenario="convergence", how=f"{changes} changes, {sidecars} sidecars", rows=rows)


def _measure(folder: Path, socket: Path, changes: int) -> Iterator[tuple[float, int]]:
    """Yield seconds and number of sidecars for each change, without the first: it makes the route."""
    new = folder.parent / "new.yaml"
    for number in range(changes + 1):
        before = _pushes(socket)
        weight = 10 + number % 80
        new.write_text(_CHANGE % (weight, 100 - weight))
        began = time.perf_counter()
        new.replace(folder / "weights.yaml")
        while not _agree(_streams(socket), before):
            if time.perf_counter() - began > _PATIENCE_S:
                raise TimeoutError("the sidecars do not acknowledge the change")
        taken = time.perf_counter() - began
        if number:
            yield taken, len(before)
        time.sleep(_PAUSE_S)


def _streams(socket: Path) -> list[_Stream]:
    answer = control.call(socket, {"do": "get", "path": "/debug/syncz"})
    found = msgspec.json.decode(str(answer["body"]), type=list[_Stream])
    return [stream for stream in found if stream.role == "sidecar"]


def _pushes(socket: Path) -> dict[str, int]:
    return {stream.proxy: stream.pushes for stream in _streams(socket)}


def _agree(streams: list[_Stream], before: dict[str, int]) -> bool:
    """Tell whether every sidecar has been sent something since, and has acknowledged it."""
    return len(streams) == len(before) and all(
        stream.pushes > before[stream.proxy]
        and all(each.state == "SYNCED" for each in stream.types.values())
        for stream in streams
    )
