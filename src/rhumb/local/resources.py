"""A topology with addresses as the Kubernetes and Istio objects that the control plane reads."""

from collections.abc import Iterable, Mapping

import yaml

from rhumb.local.topology import ServicePlan, Topology, WorkloadPlan
from rhumb.registry.workloads import HEALTH_CHECKED

Json = dict[str, object]


def documents(
    topology: Topology,
    workload_addresses: Mapping[str, str],
    service_addresses: Mapping[str, str],
) -> dict[str, str]:
    """Return file name -> YAML: one file for all services, one for each workload.

    Addresses are by `NAME.NAMESPACE`. A workload's file is its own, so that one that comes or goes
    touches nothing else.
    """
    found = {"services.yaml": _text(_services(topology, service_addresses))}
    for plan in topology.workloads:
        if not plan.gateway:
            found[file_name(plan)] = entry_text(plan, workload_addresses[plan.id])
    return found


def file_name(plan: WorkloadPlan) -> str:
    """Return the name of the file that describes a workload."""
    return f"workload-{plan.name}.{plan.namespace}.yaml"


def _services(topology: Topology, addresses: Mapping[str, str]) -> Iterable[Json]:
    namespaces = {s.namespace for s in topology.services} | {
        w.namespace for w in topology.workloads
    }
    for namespace in sorted(namespaces):
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    for service in topology.services:
        yield _service(service, addresses[f"{service.name}.{service.namespace}"])


def _service(service: ServicePlan, address: str) -> Json:
    ports: list[Json] = []
    for port in service.ports:
        one: Json = {
            "name": port.name or "http",
            "port": port.port,
            "targetPort": port.target_port or port.port,
        }
        if port.protocol:
            one["appProtocol"] = port.protocol.lower()
        ports.append(one)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": service.name, "namespace": service.namespace},
        "spec": {"clusterIP": address, "selector": {"app": service.name}, "ports": ports},
    }


def entry_text(plan: WorkloadPlan, address: str) -> str:
    """Return the text of a workload's file."""
    return _text([workload_entry(plan, address)])


def workload_entry(
    plan: WorkloadPlan, address: str, ports: Mapping[str, int] | None = None
) -> Json:
    """Return the WorkloadEntry of one instance; `ports` where it cannot have the service's own."""
    spec: Json = {
        "address": address,
        "labels": {**dict(plan.labels), "service.istio.io/workload-name": plan.workload},
        "serviceAccount": plan.service_account,
    }
    if ports:
        spec["ports"] = dict(ports)
    metadata: Json = {"name": plan.name, "namespace": plan.namespace}
    if plan.probe is not None:
        # No traffic before the first good report.
        metadata["annotations"] = {HEALTH_CHECKED: "true"}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadEntry",
        "metadata": metadata,
        "spec": spec,
    }


def _text(objects: Iterable[Json]) -> str:
    return yaml.dump_all(objects, Dumper=yaml.CSafeDumper, sort_keys=False)
