"""Workloads that end while they are called: no request is lost."""

import asyncio
import http.client
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from tests.local.mesh import WHOLE_MESH, Load, Mesh, free_port, until

from rhumb.local.ground import Plane
from rhumb.local.hearing import heard

pytestmark = [*WHOLE_MESH, pytest.mark.timeout(90)]

ROUTES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge}
spec:
  hosts: ["*"]
  gateways: [gw]
  http:
    - match: [{uri: {prefix: /call/}}]
      route: [{destination: {host: client, port: {number: 8001}}}]
    - match: [{uri: {prefix: /v1}}]
      route: [{destination: {host: web, subset: v1}}]
      retries: {attempts: 0}
    - route: [{destination: {host: web}}]
      retries: {attempts: 0}
"""


@pytest.fixture(params=["redirect", "none"])
def mesh(request: pytest.FixtureRequest) -> Iterator[Mesh]:
    """All versions of web are one set; nothing that fails is tried again."""
    with Mesh() as made:
        (made.home / "mesh" / "routes.yaml").write_text(ROUTES)
        done = made.command("up", "--capture", request.param)
        assert done.returncode == 0, done.stderr + made.logs()
        yield made


class Slow:
    """One request that is in flight until it is told to go on."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.file = mesh.home / "wait"
        self.file.touch()
        self.status = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        until((mesh.home / "waiting").exists)

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.mesh.port, timeout=20)
        connection.request("GET", "/v1/wait")
        answer = connection.getresponse()
        answer.read()
        self.status = answer.status
        connection.close()

    def finish(self) -> int:
        self.file.unlink()
        self._thread.join()
        return self.status


def test_a_restart_by_up_loses_nothing(mesh: Mesh) -> None:
    before = mesh.pids()
    with Load(mesh).running() as load:
        mesh.describe(lambda text: text.replace("NAME: web-v1", "NAME: web-one"))
        mesh.up()
        until(lambda: "web-one" in load.names)
        load.more(20)
    assert load.failures == [], mesh.logs()
    assert "not known whether" not in mesh.logs()
    after = mesh.pids()
    assert {name for name in after if after[name] != before[name]} == {"web-v1"}


def test_a_gateway_that_restarts_loses_nobody_who_connects(mesh: Mesh) -> None:
    before = mesh.pids()
    with Load(mesh).running() as load:
        labels = "labels: {istio: ingressgateway, another: one}"
        mesh.describe(
            lambda text: text.replace("ingressgateway:\n", f"ingressgateway:\n    {labels}\n")
        )
        mesh.up()
        load.more(20)
    assert load.failures == [], mesh.logs()
    after = mesh.pids()
    assert {name for name in after if after[name] != before[name]} == {"ingressgateway"}


def test_a_removal_by_up_loses_nothing(mesh: Mesh) -> None:
    slow = Slow(mesh)
    with Load(mesh).running() as load:
        mesh.describe(lambda text: text.replace("v1: {", "v1: {replicas: 0, "))
        removing = subprocess.Popen(mesh.argv("up"), env=mesh.environment, cwd=mesh.home)
        with removing:
            until(lambda: load.names[-20:] == ["web-v2"] * 20)
            assert "web-v1" in mesh.pids(), "it waits for what is in flight"
            assert slow.finish() == 200
            assert removing.wait(30) == 0
        assert "web-v1" not in mesh.pids()
        load.more(20)
    assert load.failures == [], mesh.logs()


def test_a_guest_that_is_interrupted_loses_nothing(mesh: Mesh) -> None:
    script = f"NAME=web-v9 exec {sys.executable} {mesh.home}/app.py"
    argv = mesh.argv("run", "--service", "web", "--version", "v9", "--", "sh", "-c", script)
    with (
        Load(mesh).running() as load,
        subprocess.Popen(argv, env=mesh.environment, cwd=mesh.home) as guest,
    ):
        until(lambda: "web-v9" in load.names)
        guest.send_signal(signal.SIGTERM)
        assert guest.wait(30) == 128 + signal.SIGTERM
        load.more(20)
    assert load.failures == [], mesh.logs()


def test_a_program_that_crashed_gets_no_traffic_before_it_listens_again(mesh: Mesh) -> None:
    pid = mesh.pids()["web-v1"]["application"]
    assert pid is not None
    inside = mesh.status()["capture"] == "redirect"
    os.kill(mesh.outside(pid) if inside else pid, signal.SIGKILL)
    generated = "rhumb/*/generated/workload-web-v1.default.yaml"
    until(lambda: not list((mesh.home / "s").glob(generated)))
    until(lambda: list((mesh.home / "s").glob(generated)))

    def answers() -> bool:
        try:
            return bool(mesh.get("/v1")["name"] == "web-v1")
        except AssertionError:
            return False

    until(answers)


def test_nobody_waits_for_a_control_plane_that_is_away() -> None:
    plane = Plane(address="127.0.0.1", monitoring=free_port())
    assert asyncio.run(heard(plane, gone=[("web-v1", "default")])) is False
