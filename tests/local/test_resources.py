"""A topology as Kubernetes and Istio objects: what the control plane reads must hold."""

from pathlib import Path

import yaml

from rhumb.local import resources, topology

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


def objects() -> dict[str, list[dict[str, object]]]:
    found = resources.documents(MESH, ADDRESSES, SERVICES)
    return {name: list(yaml.safe_load_all(text)) for name, text in found.items()}


def test_one_file_for_services_one_for_each_workload() -> None:
    assert set(objects()) == {
        "services.yaml",
        "workload-web-v1.store.yaml",
        "workload-web-v1-1.store.yaml",
        "workload-other-v1.side.yaml",
    }


def test_a_service_has_address_selector_and_ports() -> None:
    services = {o["metadata"]["name"]: o for o in objects()["services.yaml"]}  # type: ignore[index]
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
    assert other["spec"]["serviceAccount"] == "robot"  # type: ignore[index]


def test_a_workload_that_comes_changes_no_other_file() -> None:
    fewer = topology.parse(TEXT.replace("replicas: 2", "replicas: 1"), Path("/srv/rhumb.yaml"), {})
    one = resources.documents(fewer, ADDRESSES, SERVICES)
    two = resources.documents(MESH, ADDRESSES, SERVICES)
    assert one.items() <= two.items()
    assert set(two) - set(one) == {"workload-web-v1-1.store.yaml"}
