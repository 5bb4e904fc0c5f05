"""Programs that do not start, crash or listen late, and an Envoy that cannot run."""

import http.client
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.agent.test_binary import ALIEN
from tests.local.mesh import WHOLE_MESH, Json, Load, Mesh, until

pytestmark = [*WHOLE_MESH, pytest.mark.timeout(60)]

SERVICES = """
services:
  absent:
    ports: [{{name: http, port: 8010}}]
    command: [/no/such/program]
  crashing:
    ports: [{{name: http, port: 8011}}]
    command: "echo the database is gone >&2; exit 3"
  late:
    ports: [{{name: http, port: 8012}}]
    command: "while ! test -e go; do sleep 0.1; done; exec {python} app.py"
    environment: {{NAME: late}}
"""
ROUTES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge}
spec:
  hosts: ["*"]
  gateways: [gw]
  http:
    - match: [{uri: {prefix: /absent}}]
      route: [{destination: {host: absent}}]
    - match: [{uri: {prefix: /crashing}}]
      route: [{destination: {host: crashing}}]
    - match: [{uri: {prefix: /late}}]
      route: [{destination: {host: late}}]
    - route: [{destination: {host: web}}]
"""


class Troubled(Mesh):
    """web is well; three other services are not."""

    def __init__(self) -> None:
        super().__init__()
        services = SERVICES.format(python=sys.executable)
        self.describe(lambda text: text.replace("\nservices:\n", services))
        (self.home / "mesh" / "routes.yaml").write_text(ROUTES)

    def status_of(self, path: str) -> int:
        """Ask through the gateway; return the status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()

    def row(self, name: str) -> Json:
        """Return what `rhumb ps` knows of a workload."""
        found: Json = next(row for row in self.status()["workloads"] if row["name"] == name)
        return found


@pytest.fixture(scope="module")
def mesh() -> Iterator[Troubled]:
    """One mesh: programs that fail hinder neither its start nor each other."""
    with Troubled() as made:
        yield made.up()


def test_a_program_that_is_not_there(mesh: Troubled) -> None:
    assert mesh.status_of("/absent") == 503
    # It is tried again all the time, and looks as if it ran then.
    until(lambda: "crashed (exit code 127)" in mesh.command("ps").stdout)
    advice = "absent-v1.default: its program ends by itself; see `rhumb logs absent`"
    until(lambda: advice in mesh.command("ps").stdout)
    logs = mesh.command("logs", "absent").stdout
    assert "/no/such/program: no such file or command" in logs


def test_a_program_that_crashes_is_started_again_with_growing_pauses(mesh: Troubled) -> None:
    told = mesh.home / "s"
    (log,) = told.glob("rhumb/*/logs/crashing-v1.default.log")
    until(lambda: len(log.read_text().splitlines()) >= 3)
    assert set(log.read_text().splitlines()) == {"the database is gone"}
    until(lambda: mesh.row("crashing-v1")["application"] == "crashed (exit code 3)")
    with Load(mesh).running() as load:
        assert mesh.status_of("/crashing") == 503
        load.more(20)
    assert load.failures == []


def test_a_program_that_listens_late_is_found_when_it_does(mesh: Troubled) -> None:
    assert mesh.status_of("/late") == 503
    assert mesh.row("late-v1")["application"] == "running"
    with Load(mesh).running() as load:
        (mesh.home / "go").touch()
        until(lambda: mesh.status_of("/late") == 200)
        load.more(20)
    assert load.failures == []
    assert mesh.row("late-v1")["proxy_restarts"] == 0


def missing(path: Path) -> None:
    assert not path.exists()


def alien(path: Path) -> None:
    path.write_bytes(ALIEN)
    path.chmod(0o755)


def forbidden(path: Path) -> None:
    path.write_text("")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (missing, "Envoy is not at {} (ENVOY_PATH)"),
        (alien, "{} was built for another platform than Linux"),
        (forbidden, "{} is not executable"),
    ],
    ids=["missing", "alien", "forbidden"],
)
def test_without_a_fit_envoy_nothing_starts(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], why: str
) -> None:
    with Mesh() as mesh:
        path = mesh.home / "envoy"
        make(path)
        monkeypatch.setenv("ENVOY_PATH", str(path))
        done = mesh.command("up")
        assert done.returncode == 2
        assert f"error: {why.format(path)}" in done.stderr
        assert "hint: " in done.stderr
        assert mesh.processes() == []
        assert [path for path in mesh.states if path.is_dir()] == []


DYING = """#!/bin/sh
test "$1" = --version && echo "envoy  version: 0/1.40.0/Clean/RELEASE/BoringSSL" && exit
echo "critical main cannot reserve memory" >&2
exit 7
"""


def test_an_envoy_that_ends_at_once_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with Mesh() as mesh:
        path = mesh.home / "envoy"
        path.write_text(DYING)
        path.chmod(0o755)
        monkeypatch.setenv("ENVOY_PATH", str(path))
        done = mesh.command("up")
        assert done.returncode == 2
        assert "error: the mesh did not start: the Envoy of " in done.stderr
        assert " ends again and again\nhint: see `rhumb logs`" in done.stderr
        logs = mesh.command("logs", "--tail", "200").stdout
        assert "cannot reserve memory" in logs
        assert "Envoy ended by itself (exit code 7); it is started again" in logs
        monkeypatch.delenv("ENVOY_PATH")
        assert mesh.up().get()["name"] == "web-v1"
