"""A changed rhumb.yaml restarts what it changes, and nothing else."""

import shutil

import pytest
from tests.local.mesh import ROUTES, WHOLE_MESH, Load, Mesh, until

pytestmark = [*WHOLE_MESH, pytest.mark.timeout(60)]


def test_another_directory_of_configuration_restarts_the_control_plane_alone(
    fresh: Mesh,
) -> None:
    shutil.copytree(fresh.home / "mesh", fresh.home / "other")
    routes = fresh.home / "other" / "routes.yaml"
    routes.write_text(ROUTES % (0, 100))
    fresh.describe(lambda text: text.replace("config: mesh", "config: other"))
    pids, plane = fresh.pids(), fresh.status()["control_plane"]
    with Load(fresh).running() as load:
        fresh.up()
        assert fresh.pids() == pids
        assert fresh.status()["control_plane"] not in (plane, None)
        until(lambda: load.names[-1] == "web-v2")
    assert load.failures == []


def test_a_directory_that_is_not_there_is_told_and_changes_nothing(fresh: Mesh) -> None:
    pids, plane = fresh.pids(), fresh.status()["control_plane"]
    fresh.describe(lambda text: text.replace("config: mesh", "config: gone"))
    done = fresh.command("up")
    assert done.returncode == 2
    assert f"rhumb.yaml: config: {fresh.home}/gone does not exist" in done.stderr
    assert (fresh.pids(), fresh.status()["control_plane"]) == (pids, plane)


def test_a_workload_that_comes_restarts_nothing_else(fresh: Mesh) -> None:
    pids, plane = fresh.pids(), fresh.status()["control_plane"]
    fresh.describe(lambda text: text.replace("v2: {", "v3: {environment: {NAME: x}}\n      v2: {"))
    done = fresh.command("up")
    assert "started: web-v3.default\n" in done.stderr
    after = fresh.pids()
    assert {name: after[name] for name in pids} == pids
    assert set(after) - set(pids) == {"web-v3"}
    assert fresh.status()["control_plane"] == plane


def test_another_port_of_the_program_restarts_the_workloads_of_its_service(fresh: Mesh) -> None:
    pids = fresh.pids()
    fresh.describe(lambda text: text.replace("port: 8000}", "port: 8000, targetPort: 8100}"))
    assert "restarted: web-v1.default, web-v2.default\n" in fresh.command("up").stderr
    after = fresh.pids()
    assert "no workload has changed\n" in fresh.command("up").stderr
    assert {name for name in pids if after[name] != pids[name]} == {"web-v1", "web-v2"}
    assert list(after) == list(pids), "in another order"
    until(lambda: answers(fresh))


def answers(mesh: Mesh) -> bool:
    try:
        return bool(mesh.get()["name"])
    except AssertionError:
        return False
