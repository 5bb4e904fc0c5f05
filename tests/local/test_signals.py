"""SIGTERM, SIGINT and SIGKILL for each process of a mesh: it comes back, or all of it is gone."""

import http.client
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.local.mesh import WHOLE_MESH, Load, Mesh, free_port, until

pytestmark = [*WHOLE_MESH, pytest.mark.timeout(60)]

SIGNALS = pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name
)


def process_of(mesh: Mesh, part: str) -> int | None:
    """Return a part's process, as numbered inside."""
    if part == "control plane":
        pid = mesh.status()["control_plane"]
        assert pid is None or isinstance(pid, int)
        return pid
    return mesh.pids()["web-v1"][part]


def answers(mesh: Mesh) -> bool:
    """Tell whether web-v1 is there for the gateway."""
    try:
        return bool(mesh.get()["name"] == "web-v1")
    except (AssertionError, OSError, http.client.HTTPException):
        return False


def end(mesh: Mesh, part: str, number: signal.Signals) -> None:
    """Send a signal to a part and wait until another process does its work."""
    before = process_of(mesh, part)
    assert before is not None
    os.kill(mesh.outside(before), number)
    until(lambda: process_of(mesh, part) not in (before, None))


@SIGNALS
def test_the_control_plane_costs_no_request(mesh: Mesh, number: signal.Signals) -> None:
    count = len(mesh.processes())
    with Load(mesh).running() as load:
        end(mesh, "control plane", number)
        load.more(50)
        mesh.route(0, 100)  # the new one serves the same proxies
        until(lambda: load.names[-1] == "web-v2")
        mesh.route(100, 0)
        until(lambda: load.names[-1] == "web-v1")
    assert load.failures == []
    until(lambda: len(mesh.processes()) <= count)


@SIGNALS
@pytest.mark.parametrize("part", ["envoy", "application"])
def test_what_a_workload_needs_comes_back(mesh: Mesh, part: str, number: signal.Signals) -> None:
    until(lambda: answers(mesh))
    count, before = len(mesh.processes()), restarts(mesh, part)
    end(mesh, part, number)
    until(lambda: answers(mesh))
    until(lambda: len(mesh.processes()) <= count)
    assert restarts(mesh, part) == before + 1, mesh.logs()


def restarts(mesh: Mesh, part: str) -> int:
    """Return how often a part of web-v1 was started again, as `rhumb ps` says."""
    (row,) = (one for one in mesh.status()["workloads"] if one["name"] == "web-v1")
    if part == "envoy":
        return int(row["proxy_restarts"])
    told = re.fullmatch(r"running(?: \((\d+) restarts\))?", row["application"])
    assert told is not None, row["application"]
    return int(told[1] or 0)


def test_an_envoy_that_is_started_again_has_the_same_access_log(mesh: Mesh) -> None:
    def output() -> str:
        pid = process_of(mesh, "envoy")
        assert pid is not None
        return str(Path(f"/proc/{mesh.outside(pid)}/fd/1").readlink())

    until(lambda: answers(mesh))
    before = output()
    assert before.endswith("/web-v1.default.proxy.log")
    end(mesh, "envoy", signal.SIGKILL)
    assert output() == before
    until(lambda: answers(mesh))


def test_an_end_by_a_signal_is_told_with_its_name(mesh: Mesh) -> None:
    end(mesh, "envoy", signal.SIGABRT)
    until(lambda: answers(mesh))
    said = mesh.command("logs", "--tail", "200").stdout
    assert "Envoy ended by itself (SIGABRT); it is started again" in said
    assert "workload=web-v1" in said


@SIGNALS
@pytest.mark.parametrize("part", ["host", "supervisor"])
def test_nothing_is_left_of_a_mesh(part: str, number: signal.Signals) -> None:
    namespaces = set(named_namespaces())
    with Mesh() as mesh:
        mesh.up()
        assert len(mesh.processes()) > 8
        victim = mesh.host if part == "host" else mesh.outside(mesh.status()["pid"])
        os.kill(victim, number)
        until(lambda: not mesh.processes())
        if number is signal.SIGKILL:
            mesh.up()  # cleans up, and starts as if nothing had been
            assert mesh.get()["name"] == "web-v1"
            os.kill(mesh.host, number)
            until(lambda: not mesh.processes())
            assert mesh.command("down").returncode == 0
        until(lambda: mesh.states == [])
        assert not [line for line in mounts() if str(mesh.home) in line]
    assert set(named_namespaces()) <= namespaces


@contextmanager
def demo(mesh: Mesh, *options: str, sign: str) -> Iterator["subprocess.Popen[str]"]:
    """Run `rhumb demo` on other ports; go on when it has printed a sign of life."""
    variables = {
        "BOOKINFO_HTTP_PORT": str(mesh.port),
        "BOOKINFO_HTTPS_PORT": str(free_port()),
        "TMPDIR": str(mesh.home),
    }
    process = subprocess.Popen(
        mesh.argv("demo", *options),
        env={**mesh.environment, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert any(sign in line for line in process.stdout)
        assert len(mesh.processes()) > 8
        yield process
    finally:
        process.kill()
        process.communicate()


@SIGNALS
def test_nothing_is_left_of_the_demo(number: signal.Signals) -> None:
    with Mesh() as mesh:
        with demo(mesh, "--quiet", sign=f"127.0.0.1:{mesh.port}/productpage") as process:
            process.send_signal(number)
            process.communicate(timeout=30)
            until(lambda: not mesh.processes())
        if number is not signal.SIGKILL:
            assert mesh.states == []


def test_nothing_is_left_of_a_check_that_is_stopped() -> None:
    with Mesh() as mesh:
        with demo(mesh, "--check", sign="ok    start") as process:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
            assert process.returncode == 130  # as a shell says: interrupted
            until(lambda: not mesh.processes())
        assert mesh.states == []
        assert list(mesh.home.glob("rhumb-check-*")) == []


def named_namespaces() -> list[str]:
    """Return network namespaces that have a file."""
    return [path.name for path in Path("/run/netns").glob("*")]


def mounts() -> list[str]:
    """Return what is mounted for us."""
    return Path("/proc/self/mounts").read_text().splitlines()
