"""Configuration changes under requests through two sidecars: none of them may fail.

Twice a second the route goes to the other version, a subset of another name takes the place of the one in use,
and weights move: clusters, endpoints and routes come and go under the requests.
"""

import json
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from benchmarks import localmesh
from benchmarks.controlplane.mesh import replace
from benchmarks.dataplane import handwritten
from benchmarks.dataplane.run import load_command
from benchmarks.report import Report, Row
from rhumb.agent import binary
from rhumb.agent.settings import Environment

RATE = 2000
_PORT = 8000
_PAUSE_S = 0.5
_WARM_S = 1.0
_MARGIN_S = 1.0
"""Of the load, before the first change and after the last one."""

_RHUMB_YAML = """
config: mesh
services:
  server:
    ports: [{name: http, port: %(port)d}]
    versions:
      v1: {command: [%(envoy)s, -c, %(folder)s/v1.json, --disable-hot-restart, --concurrency, "1"]}
      v2: {command: [%(envoy)s, -c, %(folder)s/v2.json, --disable-hot-restart, --concurrency, "1"]}
  client:
    ports: [{name: http, port: 8001}]
    command: [sleep, infinity]
"""
_ROUTES = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: server}
spec:
  host: server
  subsets:
  - {name: v1-%(number)d, labels: {version: v1}}
  - {name: v2-%(number)d, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: server}
spec:
  hosts: [server]
  http:
  - route:
    - {destination: {host: server, subset: v1-%(number)d}, weight: %(first)d}
    - {destination: {host: server, subset: v2-%(number)d}, weight: %(second)d}
"""


class Outcome(msgspec.Struct):
    """What the requests met."""

    requests: int
    errors: int
    rps: float
    p50_ms: float
    p99_ms: float
    answers: dict[str, int]
    """By version."""


def run(*, seconds: float = 20.0, connections: int = 16) -> Report:
    """Measure the requests and how many of them failed."""
    with tempfile.TemporaryDirectory() as name, _mesh(Path(name)) as mesh:
        routes = Path(name) / "mesh" / "routes.yaml"
        _load(mesh, connections, _WARM_S)
        still = _load(mesh, connections, seconds / 2)
        done = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            changing = pool.submit(_change, routes, done)
            try:
                found = _load(mesh, connections, seconds)
            finally:
                done.set()
            changes = changing.result()
    assert set(found.answers) == {"1", "2"}, "the changes did not arrive"
    how = f"{changes} changes in {seconds:g} s, {RATE} requests/s, {connections} connections"
    rows = (
        Row(what="requests", value=found.rps, unit="req/s", peer="wanted", ratio=found.rps / RATE),
        Row(what="p50", value=found.p50_ms, unit="ms", peer="no change", ratio=found.p50_ms / still.p50_ms),
        Row(what="p99", value=found.p99_ms, unit="ms", peer="no change", ratio=found.p99_ms / still.p99_ms),
        Row(what="failed", value=found.errors, at_most=0),
    )  # fmt: skip
    return Report(scenario="dataplane-changes", how=how, rows=rows)


def _change(routes: Path, done: threading.Event) -> int:
    """Change the routes until told to stop; return how often."""
    number = 0
    done.wait(_MARGIN_S)
    while not done.wait(_PAUSE_S):
        number += 1
        first = (0, 100, 50)[number % 3]
        # Subsets stay for one change and have other names after two: the weights move alone, too.
        replace(routes, _ROUTES % {"number": number // 2, "first": first, "second": 100 - first})
    return number


def _load(mesh: localmesh.LocalMesh, connections: int, seconds: float) -> Outcome:
    argv = load_command(f"http://server:{_PORT}/", connections, seconds)
    return msgspec.json.decode(mesh.inside("client", *argv, f"--rate={RATE}"), type=Outcome)


def _mesh(folder: Path) -> AbstractContextManager[localmesh.LocalMesh]:
    for version in ("1", "2"):
        config = handwritten.server(_PORT, version * 1024)
        (folder / f"v{version}.json").write_text(json.dumps(config))
    (folder / "mesh").mkdir()
    replace(folder / "mesh" / "routes.yaml", _ROUTES % {"number": 0, "first": 50, "second": 50})
    envoy = str(binary.find("", Environment()))
    file = folder / "rhumb.yaml"
    file.write_text(_RHUMB_YAML % {"port": _PORT, "envoy": envoy, "folder": folder})
    return localmesh.running(file)
