"""A whole mesh on this machine: real namespaces, real Envoys, real processes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.local.mesh import UNPRIVILEGED, WHOLE_MESH, Load, Mesh, until

pytestmark = [*WHOLE_MESH, pytest.mark.timeout(60)]


def test_the_gateway_answers(mesh: Mesh) -> None:
    assert mesh.get()["name"] == "web-v1"


def test_applications_run_as_their_user(mesh: Mesh) -> None:
    assert mesh.get()["uid"] == os.getuid()


def test_applications_call_by_short_name_over_mtls(mesh: Mesh) -> None:
    found = mesh.get("/call/web:8000/")
    assert found["name"].startswith("web-")
    certificate = found["headers"]["x-forwarded-client-cert"]
    assert "URI=spiffe://cluster.local/ns/default/sa/client" in certificate
    assert "By=spiffe://cluster.local/ns/default/sa/web" in certificate


@pytest.mark.parametrize("name", ["web.default", "web.default.svc.cluster.local"])
def test_longer_names_lead_to_the_same(mesh: Mesh, name: str) -> None:
    assert mesh.get(f"/call/{name}:8000/")["name"].startswith("web-")


def test_up_again_is_harmless(mesh: Mesh) -> None:
    before = mesh.pids(), mesh.status()["control_plane"], mesh.host
    mesh.up()
    assert (mesh.pids(), mesh.status()["control_plane"], mesh.host) == before


def test_a_taken_port_is_told_with_its_holder(mesh: Mesh) -> None:
    with Mesh() as second:
        second.describe(lambda text: text.replace(str(second.port), str(mesh.port)))
        done = second.command("up")
        assert done.returncode == 2
        told = f"error: cannot publish ingressgateway on 127.0.0.1:{mesh.port}: process "
        assert told in done.stderr
        assert "(" in done.stderr.partition(told)[2]
        assert f"publish another port in {second.file}" in done.stderr
        assert second.processes() == []
        assert [path for path in second.states if path.is_dir()] == []


def test_two_meshes_side_by_side(mesh: Mesh) -> None:
    with Mesh() as second:
        second.up()
        second.route(0, 100)
        until(lambda: second.get()["name"] == "web-v2")
        assert mesh.get()["name"] == "web-v1"
        assert second.command("down", "-f", str(second.file)).returncode == 0
        assert second.processes() == []
    assert mesh.get()["name"] == "web-v1"


def test_weights_change_under_load(mesh: Mesh) -> None:
    with Load(mesh).running() as load:
        mesh.route(0, 100)
        until(lambda: load.names[-1] == "web-v2", seconds=10)
        load.more(50)
        changed = load.names.index("web-v2")
        mesh.route(100, 0)
        until(lambda: load.names[-1] == "web-v1", seconds=10)
    assert load.failures == []
    assert set(load.names[:changed]) == {"web-v1"}


def test_a_changed_command_restarts_that_workload_alone(fresh: Mesh) -> None:
    before = fresh.pids()
    fresh.describe(lambda text: text.replace("NAME: web-v1", "NAME: web-one"))
    fresh.up()
    after = fresh.pids()
    assert {name for name in after if after[name] != before[name]} == {"web-v1"}
    until(lambda: fresh.get()["name"] == "web-one")


def test_a_workload_that_left_the_file_ends(fresh: Mesh) -> None:
    fresh.describe(lambda text: text.replace("v2:", "v2: {replicas: 0} #"))
    fresh.up()
    assert set(fresh.pids()) == {"web-v1", "client-v1", "ingressgateway"}
    fresh.describe()
    fresh.up()
    fresh.route(0, 100)
    until(lambda: fresh.get()["name"] == "web-v2")


def test_down_leaves_nothing(fresh: Mesh) -> None:
    assert fresh.processes()
    assert fresh.command("down").returncode == 0
    assert fresh.processes() == []
    assert fresh.states == []


def readable_for_others() -> bool:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return False
    done = subprocess.run(
        [*UNPRIVILEGED, sys.executable, "-c", "import rhumb.local.supervisor"],
        env={"PATH": os.defpath, "HOME": "/tmp"},
        cwd="/",
        capture_output=True,
        timeout=20,
    )
    return done.returncode == 0


def test_no_root_is_needed() -> None:
    if not readable_for_others():
        pytest.skip("needs root to give up, setpriv, and an installation that others may read")
    with Mesh(prefix=UNPRIVILEGED) as mesh:
        mesh.up()
        assert mesh.get("/call/web:8000/")["uid"] == 65534
        owners = {Path(f"/proc/{pid}").stat().st_uid for pid in mesh.processes()}
        assert owners == {65534}
        assert mesh.command("down").returncode == 0
        assert mesh.processes() == []
