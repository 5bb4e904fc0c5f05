"""A topology as Kubernetes and Istio objects: what the control plane reads must hold."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from rhumb.local import resources, topology
from rhumb.local.ground import Seat
from rhumb.local.loopback import Loopback
from rhumb.local.resources import Seated
from rhumb.local.topology import ServicePlan, Topology, WorkloadPlan
from rhumb.validation.load import Loader

TEXT = """
namespace: store
services:
  web:
    ports: [{name: http, port: 80, targetPort: 8080}, {name: db, port: 5432, protocol: TCP}]
    command: x
    replicas: 2
  other: {ports: [{port: 81}], command: x, namespace: side, serviceAccount: robot}
gateways: {ingressgateway: {publish: ["8080:80"]}}
"""

MESH = topology.parse(TEXT, Path("/srv/rhumb.yaml"), {})
ADDRESSES = {plan.id: f"100.64.0.{n}" for n, plan in enumerate(MESH.workloads, 2)}
SERVICES = {"web.store": "100.65.0.1", "other.side": "100.65.0.2"}


def service_of(plan: WorkloadPlan, mesh: Topology) -> ServicePlan | None:
    return next((s for s in mesh.services if s.name == plan.service and not plan.gateway), None)


def documents(mesh: Topology) -> dict[str, str]:
    seated = [
        Seated(plan=p, service=service_of(p, mesh), seat=Seat(address=ADDRESSES[p.id]))
        for p in mesh.workloads
    ]
    return everything(mesh, seated)


def everything(mesh: Topology, seated: list[Seated]) -> dict[str, str]:
    """Return all files of a mesh in which every workload takes traffic."""
    entries = {
        resources.entry_file(s.plan): resources.entry_text(s) for s in seated if not s.plan.gateway
    }
    return resources.documents(mesh, seated, SERVICES) | entries


def objects() -> dict[str, list[dict[str, Any]]]:
    return {name: list(yaml.safe_load_all(text)) for name, text in documents(MESH).items()}


def test_one_file_for_services_one_for_each_workload() -> None:
    assert set(objects()) == {
        "services.yaml",
        "workload-web-v1.store.yaml",
        "workload-web-v1-1.store.yaml",
        "workload-other-v1.side.yaml",
    }


def test_a_service_has_address_selector_and_ports() -> None:
    services = {o["metadata"]["name"]: o for o in objects()["services.yaml"]}
    assert {"store", "side"} <= set(services)
    assert services["web"]["spec"] == {
        "clusterIP": "100.65.0.1",
        "selector": {"app": "web"},
        "ports": [
            {"name": "http", "port": 80, "targetPort": 8080},
            {"name": "db", "port": 5432, "targetPort": 5432, "appProtocol": "tcp"},
        ],
    }


def test_a_workload_entry_has_the_labels_that_select_it() -> None:
    (entry,) = objects()["workload-web-v1-1.store.yaml"]
    assert entry["metadata"] == {"name": "web-v1-1", "namespace": "store"}
    assert entry["spec"] == {
        "address": ADDRESSES["web-v1-1.store"],
        "labels": {"app": "web", "version": "v1", "service.istio.io/workload-name": "web-v1"},
        "serviceAccount": "web",
    }
    (other,) = objects()["workload-other-v1.side.yaml"]
    assert other["spec"]["serviceAccount"] == "robot"


def test_a_workload_that_comes_changes_no_other_file() -> None:
    fewer = topology.parse(TEXT.replace("replicas: 2", "replicas: 1"), Path("/srv/rhumb.yaml"), {})
    one, two = documents(fewer), documents(MESH)
    assert one.items() <= two.items()
    assert set(two) - set(one) == {"workload-web-v1-1.store.yaml"}


# --- where workloads share an address ------------------------------------------------------


@pytest.fixture(name="shared")
def shared_() -> dict[str, list[dict[str, Any]]]:
    """Return the objects of the mesh on loopback, each file read by the control plane's own reader."""
    ground = Loopback("/somewhere")
    seated = []
    for plan in MESH.workloads:
        service = service_of(plan, MESH)
        seat, doors = ground.seat(plan, service), ground.doors(plan, MESH.services)
        seated.append(Seated(plan=plan, service=service, seat=seat, shared=True, doors=doors))
    ground.close()
    found = everything(MESH, seated)
    for name, text in found.items():
        assert [f for d in Loader().load(text, name) for f in d.findings] == []
    return {name: list(yaml.safe_load_all(text)) for name, text in found.items()}


def test_each_workload_has_a_sidecar_of_its_own(shared: dict[str, list[dict[str, Any]]]) -> None:
    (entry,), (sidecar,) = (
        shared[f"{kind}-web-v1-1.store.yaml"] for kind in ("workload", "sidecar")
    )
    (label,) = sidecar["spec"]["workloadSelector"]["labels"].items()
    assert label in entry["spec"]["labels"].items()
    (twin,) = shared["workload-web-v1.store.yaml"]
    assert label not in twin["spec"]["labels"].items()


def test_a_sidecar_listens_where_the_entry_says(shared: dict[str, list[dict[str, Any]]]) -> None:
    (entry,), (sidecar,) = (shared[f"{kind}-web-v1.store.yaml"] for kind in ("workload", "sidecar"))
    said = {i["port"]["name"]: i["port"]["number"] for i in sidecar["spec"]["ingress"]}
    assert said == entry["spec"]["ports"]
    assert entry["spec"]["address"] == "127.0.0.1"
    assert {i["bind"] for i in sidecar["spec"]["ingress"]} == {"127.0.0.1"}
    assert {i["port"]["protocol"] for i in sidecar["spec"]["ingress"]} == {"HTTP", "TCP"}


@pytest.mark.skipif(sys.platform != "linux", reason="a single loopback address")
def test_tcp_services_have_a_door_in_each_sidecar(
    shared: dict[str, list[dict[str, Any]]],
) -> None:
    doors = []
    for name in ("web-v1.store", "other-v1.side"):
        (sidecar,) = shared[f"sidecar-{name}.yaml"]
        door, proxy = sidecar["spec"]["egress"]
        assert door["port"] == {"number": 5432, "protocol": "TCP", "name": "db"}
        assert door["hosts"] == ["store/web.store.svc.cluster.local"]
        assert (proxy["port"]["protocol"], proxy["hosts"]) == ("HTTP_PROXY", ["*/*"])
        doors.append(door["bind"])
    assert len(set(doors)) == 2


def test_a_gateway_has_a_service_that_says_where_its_ports_are(
    shared: dict[str, list[dict[str, Any]]],
) -> None:
    (entry,) = shared["workload-ingressgateway.store.yaml"]
    services = {o["metadata"]["name"]: o for o in shared["services.yaml"] if o["kind"] == "Service"}
    spec = services["ingressgateway"]["spec"]
    assert spec["selector"].items() <= entry["spec"]["labels"].items()
    assert [p["port"] for p in spec["ports"]] == [80]
    assert entry["spec"]["ports"] == {spec["ports"][0]["name"]: entry["spec"]["ports"]["tcp-80"]}
    assert "sidecar-ingressgateway.store.yaml" not in shared
