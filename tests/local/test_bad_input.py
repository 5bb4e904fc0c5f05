"""What bad configuration gets in a mesh that runs: a clear finding, and nobody else is hurt."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.local.mesh import ROUTES, WHOLE_MESH, Load, Mesh, until

from rhumb.local import control

pytestmark = [*WHOLE_MESH, pytest.mark.timeout(60)]

ROUTE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: %(name)s}
spec:
  hosts: [%(name)s.example]
  gateways: [gw]
  http:
    - route: [{destination: %(destination)s}]
"""
WEB = "{host: web, port: {number: 8000}}"
INSIDE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: inside}
spec:
  hosts: [web]
  http:
    - match: [{uri: {prefix: /nobody}}]
      route: [{destination: %s}]
    - route: [{destination: {host: web, subset: v1}}]
"""
ASK = """
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=5).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


@pytest.fixture
def extra(mesh: Mesh) -> Iterator[Path]:
    """Return a file of the configuration that is not there yet; it goes after the test."""
    path = mesh.home / "mesh" / "extra.yaml"
    yield path
    path.unlink(missing_ok=True)
    until(lambda: not any(str(path) in str(one["location"]) for one in page(mesh, "configz")))


def page(mesh: Mesh, name: str) -> list[dict[str, Any]]:
    """Return a debug page of the control plane."""
    (state,) = (path for path in mesh.states if path.is_dir())
    request: control.Json = {"do": "get", "path": f"/debug/{name}"}
    rows: list[dict[str, Any]] = json.loads(
        str(control.call(state / "control.sock", request)["body"])
    )
    return rows


def finding(mesh: Mesh, path: Path) -> dict[str, Any]:
    """Wait for a finding of a file; return the first."""
    found: list[dict[str, Any]] = []

    def told() -> bool:
        found[:] = [one for one in page(mesh, "findings") if one["file"] == str(path)]
        return bool(found)

    until(told)
    return found[0]


def ask(mesh: Mesh, host: str, path: str = "/") -> tuple[int, str]:
    """Ask the gateway for a host; return status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", mesh.port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_broken_yaml_keeps_what_the_file_had(mesh: Mesh, extra: Path) -> None:
    routes = mesh.home / "mesh" / "routes.yaml"
    broken = ROUTES % (0, 100) + "    - route: [unclosed\n"
    with Load(mesh).running() as load:
        routes.write_text(broken)
        found = finding(mesh, routes)
        extra.write_text(ROUTE % {"name": "other", "destination": WEB})
        until(lambda: ask(mesh, "other.example")[0] == 200)
        load.more(20)
        mesh.route(100, 0)
        until(lambda: not page(mesh, "findings"))
        load.more(20)
    assert load.failures == []
    assert set(load.names) == {"web-v1"}
    assert found["level"] == "error"
    assert found["line"] == len(broken.splitlines()) + 1
    assert found["message"].startswith("no valid YAML: ")
    assert found["fix"]


@pytest.mark.parametrize(
    ("group", "document", "field", "fix"),
    [
        ("networking", "kind: VirtualServce\nspec: {}", "kind", "VirtualService"),
        ("networking", "kind: VirtualService\nspec: {hots: [web]}", "spec.hots", "hosts"),
        (
            "security",
            "kind: PeerAuthentication\nspec: {mtls: {mode: STRIKT}}",
            "spec.mtls.mode",
            "STRICT",
        ),
    ],
    ids=["kind", "field", "enum"],
)
def test_what_nobody_knows_is_told_and_the_rest_of_the_file_counts(
    mesh: Mesh, extra: Path, group: str, document: str, field: str, fix: str
) -> None:
    good = ROUTE % {"name": "good", "destination": WEB}
    bad = f"apiVersion: {group}.istio.io/v1\nmetadata: {{name: bad}}\n{document}\n"
    with Load(mesh).running() as load:
        extra.write_text(f"{bad}---{good}")
        found = finding(mesh, extra)
        until(lambda: ask(mesh, "good.example")[0] == 200)
        told = mesh.command("up").stderr
        load.more(20)
    assert load.failures == []
    assert found["level"] == "error"
    assert f"{extra}:{found['line']}: error: {found['object']}: {field}: " in told
    assert found["object"].endswith(" default/bad")
    assert (found["field"], found["fix"]) == (field, f'did you mean "{fix}"?')
    assert 3 <= found["line"] <= 4


@pytest.mark.parametrize(
    "destination", ["{host: nobody, port: {number: 80}}", "{host: web, subset: v9}"]
)
def test_a_route_to_nobody_fails_its_own_requests_only(
    mesh: Mesh, extra: Path, destination: str
) -> None:
    with Load(mesh).running() as load:
        extra.write_text(
            ROUTE % {"name": "nobody", "destination": destination} + "---" + INSIDE % destination
        )
        until(lambda: ask(mesh, "nobody.example")[0] != 200)
        load.more(50)
        assert [ask(mesh, "nobody.example")[0] for _ in range(5)] == [503] * 5
        assert from_inside(mesh, "http://web:8000/nobody") == 503
        assert from_inside(mesh, "http://web:8000/") == 200
    assert load.failures == []


def from_inside(mesh: Mesh, url: str) -> int:
    """Ask as the program of `client` would, once its proxy knows the routes of the test."""
    seen: list[int] = []

    def told() -> bool:
        done = mesh.command("exec", "client-v1", "--", "python3", "-c", ASK, url)
        assert done.returncode == 0, done.stderr
        seen.append(int(done.stdout))
        return seen[-2:] == seen[-1:] * 2

    until(told)
    return seen[-1]


GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: %s}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: p, protocol: %s}, hosts: ["%s"]}]
"""
SECOND = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: second}
spec:
  hosts: [second.example]
  gateways: [second]
  http:
    - route: [{destination: {host: web, subset: v2}}]
"""


def test_two_gateways_of_one_port_share_it(mesh: Mesh, extra: Path) -> None:
    with Load(mesh).running() as load:
        extra.write_text(GATEWAY % ("second", "HTTP", "second.example") + "---" + SECOND)
        until(lambda: "web-v2" in ask(mesh, "second.example")[1])
        load.more(20)
    assert load.failures == []
    assert set(load.names) == {"web-v1"}


def test_two_gateways_that_want_a_port_otherwise(mesh: Mesh, extra: Path) -> None:
    """The port stays with the gateway that was there; the other one is told."""
    with Load(mesh).running() as load:
        extra.write_text(GATEWAY % ("tcp", "TCP", "*"))
        found = finding(mesh, extra)
        load.more(50)
    assert load.failures == []
    assert found["object"] == "Gateway default/tcp"
    assert found["message"] == "not in force: port 80 already serves HTTP for default/gw"
    assert found["fix"]


MESH_CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "accessLogFile: %s"}
"""


def test_a_log_file_that_no_proxy_can_open_is_told_in_envoys_words(mesh: Mesh, extra: Path) -> None:
    log = mesh.home / "nowhere" / "access.log"
    told = ""

    def refused() -> bool:
        nonlocal told
        told = mesh.command("up").stderr
        return "and 3 more proxies rejected something: see `rhumb status`" in told

    with Load(mesh).running() as load:
        extra.write_text(MESH_CONFIG % log)
        until(refused)
        load.more(20)
        extra.unlink()
        until(lambda: " rejected " not in mesh.command("up").stderr)
        load.more(20)
    assert load.failures == []
    assert " rejected LDS: " in told
    assert f"unable to open file '{log}': No such file or directory" in told
