"""Two sidecars with mutual TLS against no mesh and against two hops that a person wrote.

All four paths stand at the same time on bridges of the same shape; the load goes over them in turn, so that
what else the machine does falls on all of them.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import cast

import msgspec

from benchmarks import localmesh, processes
from benchmarks.dataplane import certificates, handwritten, hub
from benchmarks.report import Report, Row, median
from rhumb.agent import binary
from rhumb.agent.settings import Environment

LOAD = str(Path(__file__).with_name("load.py"))
BODY = "x" * 1024
PORT = 8000
_INBOUND, _OUTBOUND = {False: 15106, True: 15206}, {False: 15101, True: 15201}

_RHUMB_YAML = """
config: mesh
services:
  server:
    ports: [{name: http, port: %(port)d}]
    command: [%(envoy)s, -c, %(server)s, --disable-hot-restart, --concurrency, "1", --log-level, "off"]
  client:
    ports: [{name: http, port: 8001}]
    command: [sleep, infinity]
"""


class Route(msgspec.Struct, frozen=True):
    """One way from the client to the server."""

    name: str
    load: Callable[[int, float], Mapping[str, float]]
    """(connections, seconds) -> requests, errors, rps, p50_ms, p99_ms."""
    proxies: tuple[int, ...]


class Hub:
    """The bridge without a mesh, in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._answer()

    def order(self, **order: object) -> dict[str, object]:
        """Have it start or run something."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, object]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the bridge for the peers ended")
        found: dict[str, object] = json.loads(line)
        return found


def run(*, rounds: int = 7, seconds: float = 3.0, connections: int = 16) -> Report:
    """Measure; the ratio of each round is taken within the round, and the middle one is reported."""
    results: dict[str, list[Mapping[str, float]]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        paths = [*stack.enter_context(_peers(folder)), stack.enter_context(_mesh(folder))]
        for path in paths:
            path.load(connections, 1.0)
        for _ in range(rounds):
            for path in paths:
                results.setdefault(path.name, []).append(_one(path, connections, seconds))
    how = f"{rounds} rounds of {seconds:g} s, {connections} connections, {len(BODY)} byte answers"
    return Report(scenario="dataplane", how=how, rows=tuple(_rows(results)))


def _one(path: Route, connections: int, seconds: float) -> Mapping[str, float]:
    before = processes.cpu_seconds(list(path.proxies))
    found = dict(path.load(connections, seconds))
    used = processes.cpu_seconds(list(path.proxies)) - before
    return {**found, "cpu_us": 1e6 * used / found["requests"]}


def _rows(results: Mapping[str, list[Mapping[str, float]]]) -> Iterator[Row]:
    for name, runs in results.items():
        for key, unit in (("rps", "req/s"), ("p50_ms", "ms"), ("p99_ms", "ms"), ("cpu_us", "us")):
            if key != "cpu_us" or name != "no mesh":
                yield Row(what=f"{name}: {key}", value=median([r[key] for r in runs]), unit=unit)
        yield Row(what=f"{name}: failed", value=sum(r["errors"] for r in runs), at_most=0)

    def against(peer: str, key: str) -> float:
        return median(
            [m[key] / p[key] for m, p in zip(results["mesh"], results[peer], strict=True)]
        )

    def row(peer: str, key: str, unit: str, **goal: float) -> Row:
        value = median([r[key] for r in results["mesh"]])
        return Row(
            what=f"mesh {key}", value=value, unit=unit, peer=peer, ratio=against(peer, key), **goal
        )

    with_metrics, without = "by hand, metrics", "by hand"
    yield row("no mesh", "rps", "req/s")
    yield row(with_metrics, "rps", "req/s", at_least=0.95)
    yield row(without, "rps", "req/s", at_least=0.85)
    yield row(with_metrics, "p99_ms", "ms", at_most=1.15)
    yield row(with_metrics, "cpu_us", "us")
    yield row(without, "cpu_us", "us")


@contextmanager
def _peers(folder: Path) -> Iterator[list[Route]]:
    """Start the server and two pairs of hand-written hops; give their paths and the direct one."""
    envoy = str(binary.find("", Environment()))
    certificates.write(folder)
    with subprocess.Popen(
        [sys.executable, "-m", hub.__name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        bridge = Hub(process)

        def start(name: str, where: str, config: object) -> int:
            file = folder / f"{name}.json"
            file.write_text(json.dumps(config))
            argv = [envoy, "-c", str(file), "--disable-hot-restart", "--concurrency", "1"]
            answer = bridge.order(start=[*argv, "--log-level", "off"], **{"in": where})
            return cast("int", answer["pid"])

        def path(name: str, address: str, port: int, proxies: tuple[int, ...]) -> Route:
            def load(connections: int, seconds: float) -> Mapping[str, float]:
                argv = load_command(f"http://{address}:{port}/", connections, seconds)
                answer = bridge.order(run=argv, **{"in": "client"})
                return _figures(str(answer["stdout"]))

            return Route(name, load, proxies)

        server = hub.ADDRESSES["server"]
        start("server", "server", handwritten.server(PORT, BODY))
        paths = [path("no mesh", server, PORT, ())]
        for metrics in (False, True):
            there = handwritten.proxy(
                listen=("0.0.0.0", _INBOUND[metrics]),
                upstream=("127.0.0.1", PORT),
                certificates=str(folder),
                inbound=True,
                metrics=metrics,
            )
            here = handwritten.proxy(
                listen=("127.0.0.1", _OUTBOUND[metrics]),
                upstream=(server, _INBOUND[metrics]),
                certificates=str(folder),
                inbound=False,
                metrics=metrics,
            )
            pids = (
                start(f"in-{metrics}", "server", there),
                start(f"out-{metrics}", "client", here),
            )
            name = "by hand, metrics" if metrics else "by hand"
            paths.append(path(name, "127.0.0.1", _OUTBOUND[metrics], pids))
        try:
            yield paths
        finally:
            assert process.stdin is not None
            process.stdin.close()


@contextmanager
def _mesh(folder: Path) -> Iterator[Route]:
    envoy = str(binary.find("", Environment()))
    server = folder / "mesh-server.json"
    server.write_text(json.dumps(handwritten.server(PORT, BODY)))
    (folder / "mesh").mkdir()
    file = folder / "rhumb.yaml"
    file.write_text(_RHUMB_YAML % {"port": PORT, "envoy": envoy, "server": server})
    with localmesh.running(file) as mesh:

        def load(connections: int, seconds: float) -> Mapping[str, float]:
            argv = load_command(f"http://server:{PORT}/", connections, seconds)
            return _figures(mesh.inside("client", *argv))

        everyone = processes.descendants(mesh.host)
        proxies = tuple(p for p in everyone if "--config-path" in processes.command(p))
        yield Route("mesh", load, proxies)


def load_command(url: str, connections: int, seconds: float) -> list[str]:
    """Return what runs the load, from any namespace."""
    return [sys.executable, LOAD, url, f"--connections={connections}", f"--seconds={seconds}"]


def _figures(printed: str) -> Mapping[str, float]:
    found: dict[str, float] = json.loads(printed)
    if not found["requests"]:
        raise RuntimeError("no request was answered")
    return found
