"""proxy-config and proxy-status of a mesh that runs: real Envoys behind the control socket."""

import json

import pytest
from tests.local.mesh import WHOLE_MESH, Mesh

pytestmark = [*WHOLE_MESH, pytest.mark.timeout(60)]


def said(mesh: Mesh, *arguments: str) -> str:
    done = mesh.command(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def line_of(mesh: Mesh, file: str, text: str) -> str:
    path = mesh.home / "mesh" / file
    lines = path.read_text().splitlines()
    return f"{path}:{next(n for n, line in enumerate(lines, 1) if text in line)}"


def test_routes_of_a_gateway_name_the_rule_and_its_line(mesh: Mesh) -> None:
    found = said(mesh, "pc", "routes", "ingressgateway", "--name", "http.80")
    (call,) = (row for row in found.splitlines() if "/call/*" in row)
    assert "edge.default" in call
    assert f"VirtualService default/edge ({line_of(mesh, 'routes.yaml', '- match')})" in call
    listeners = said(mesh, "pc", "listeners", "ingressgateway", "--port", "80")
    assert f"Gateway default/gw ({line_of(mesh, 'gateway.yaml', 'servers:')})" in listeners


def test_a_service_stands_for_its_first_workload(mesh: Mesh) -> None:
    for name in ("web", "web-v1", "web-v1.default"):
        found = json.loads(said(mesh, "proxy-config", "bootstrap", name))["bootstrap"]
        assert "~web-v1.default~" in found["node"]["id"]


def test_endpoints_are_those_that_envoy_balances_to(mesh: Mesh) -> None:
    cluster = "outbound|8000|v2|web.default.svc.cluster.local"
    found = said(mesh, "pc", "endpoints", "client", "--cluster", cluster)
    (row,) = found.splitlines()[1:]
    assert "HEALTHY" in row
    assert "WorkloadEntry default/web-v2" in row


def test_certificates_are_valid(mesh: Mesh) -> None:
    rows = said(mesh, "pc", "secrets", "client").splitlines()[1:]
    assert sorted(row.split()[0] for row in rows) == ["ROOTCA", "default"]
    assert all("ACTIVE     true" in row for row in rows)


def test_levels_of_loggers_change_in_that_envoy_alone(mesh: Mesh) -> None:
    said(mesh, "pc", "log", "client", "--level", "redis:debug")
    assert json.loads(said(mesh, "pc", "log", "client", "-o", "json"))["redis"] == "debug"
    assert json.loads(said(mesh, "pc", "log", "web", "-o", "json"))["redis"] == "warning"
    said(mesh, "pc", "log", "client", "-r")
    assert json.loads(said(mesh, "pc", "log", "client", "-o", "json"))["redis"] == "warning"


def test_every_envoy_has_what_it_should_have(mesh: Mesh) -> None:
    rows = said(mesh, "proxy-status").splitlines()
    assert [row.split()[0] for row in rows[1:]] == [
        "client-v1.default",
        "ingressgateway.default",
        "web-v1.default",
        "web-v2.default",
    ]
    assert all(row.split()[2:6] == ["SYNCED"] * 4 for row in rows[1:])
    for name in ("client", "ingressgateway", "web-v2"):
        assert said(mesh, "proxy-status", name) == "Clusters match\nListeners match\nRoutes match\n"


def test_a_name_that_nobody_has(mesh: Mesh) -> None:
    done = mesh.command("pc", "routes", "wbe")
    assert done.returncode == 2
    assert 'there is no workload "wbe"' in done.stderr
    assert "web-v1" in done.stderr
