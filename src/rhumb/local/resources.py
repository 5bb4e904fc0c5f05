"""A topology with its seats as the Kubernetes and Istio objects that the control plane reads."""

from collections.abc import Iterable, Mapping

import msgspec
import yaml

from rhumb.local.ground import DOMAIN, Door, Seat
from rhumb.local.topology import PortSpec, ServicePlan, Topology, WorkloadPlan
from rhumb.model.service import Protocol
from rhumb.registry.workloads import HEALTH_CHECKED

Json = dict[str, object]

INSTANCE = "rhumb.dev/workload"
"""Label that tells a workload from its replicas, where a Sidecar must mean one of them."""


class Seated(msgspec.Struct, frozen=True, kw_only=True):
    """One workload with its seat, on a ground where it shares its address or one where it does not."""

    plan: WorkloadPlan
    service: ServicePlan | None
    seat: Seat
    shared: bool = False
    doors: tuple[Door, ...] = ()

    @property
    def essence(self) -> object:
        """Return what its proxy and its program are started with."""
        ports = self.service.ports if self.service else ()
        plan = msgspec.structs.replace(self.plan, publish=())  # led to it from elsewhere
        return plan, self.seat, tuple((port.label, port.target) for port in ports)

    @property
    def labels(self) -> tuple[tuple[str, str], ...]:
        """Return the labels that its proxy and its WorkloadEntry have."""
        own = ((INSTANCE, self.plan.name),) if self.shared else ()
        return tuple(sorted((*self.plan.labels, *own)))


def documents(
    topology: Topology, seated: Iterable[Seated], service_addresses: Mapping[str, str]
) -> dict[str, str]:
    """Return file name -> YAML: one file for all services, one for each workload that needs a Sidecar.

    Addresses of services are by `NAME.NAMESPACE`. A workload's files are its own, so that one that comes
    or goes touches nothing else; its entry comes and goes with its traffic (`entry_text`).
    """
    gateways: list[Json] = []
    found: dict[str, str] = {}
    for one in seated:
        if one.shared and one.plan.gateway:
            gateways.append(_gateway_service(one))
            # Says where its servers listen, besides: it is there for as long as the gateway.
            found[entry_file(one.plan)] = entry_text(one)
        if one.shared and not one.plan.gateway:
            found[sidecar_file(one.plan)] = sidecar_text(one)
    services = (*_services(topology, service_addresses), *gateways)
    return {"services.yaml": _text(services), **found}


def entry_file(plan: WorkloadPlan) -> str:
    """Return the name of the file with a workload's WorkloadEntry: while it is there, traffic comes."""
    return f"workload-{plan.name}.{plan.namespace}.yaml"


def sidecar_file(plan: WorkloadPlan) -> str:
    """Return the name of the file with a workload's Sidecar."""
    return f"sidecar-{plan.name}.{plan.namespace}.yaml"


def _services(topology: Topology, addresses: Mapping[str, str]) -> Iterable[Json]:
    namespaces = {s.namespace for s in topology.services} | {
        w.namespace for w in topology.workloads
    }
    for namespace in sorted(namespaces):
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    for service in topology.services:
        yield _service(service, addresses[service.id])


def _service(service: ServicePlan, address: str) -> Json:
    ports: list[Json] = []
    for port in service.ports:
        one: Json = {"name": port.label, "port": port.port, "targetPort": port.target}
        if port.protocol:
            one["appProtocol"] = port.protocol.lower()
        ports.append(one)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": service.name, "namespace": service.namespace},
        "spec": {"clusterIP": address, "selector": {"app": service.name}, "ports": ports},
    }


def _gateway_service(one: Seated) -> Json:
    """Return the Service that tells a gateway where its servers' ports are bound."""
    plan = one.plan
    ports = [{"name": f"tcp-{port}", "port": port} for port in sorted(one.seat.received)]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": plan.name, "namespace": plan.namespace},
        "spec": {"clusterIP": "None", "selector": {INSTANCE: plan.name}, "ports": ports},
    }


def entry_text(one: Seated) -> str:
    """Return the text of the file with a workload's WorkloadEntry."""
    plan, seat = one.plan, one.seat
    spec: Json = {
        "address": seat.address,
        "labels": {**dict(one.labels), "service.istio.io/workload-name": plan.workload},
        "serviceAccount": plan.service_account,
    }
    ports = _entry_ports(one)
    if ports:
        spec["ports"] = ports
    metadata: Json = {"name": plan.name, "namespace": plan.namespace}
    if plan.probe is not None:
        # No traffic before the first good report.
        metadata["annotations"] = {HEALTH_CHECKED: "true"}
    return _text([_object("WorkloadEntry", metadata, spec)])


def _entry_ports(one: Seated) -> dict[str, int]:
    """Return name of a service's port -> port of this workload, where they differ."""
    seat = one.seat
    if one.plan.gateway:
        return {f"tcp-{port}": found for port, found in sorted(seat.received.items())}
    ports = one.service.ports if one.service else ()
    return {p.label: seat.at_proxy(p.target) for p in ports if seat.at_proxy(p.target) != p.target}


def sidecar_text(one: Seated) -> str:
    """Return the text of the file with a workload's Sidecar: where its proxy and its program listen."""
    plan, seat = one.plan, one.seat
    ingress = [
        {
            "port": {"number": seat.at_proxy(p.target), "protocol": _protocol(p), "name": p.label},
            "bind": seat.address,
            "captureMode": "NONE",
            "defaultEndpoint": f"{seat.address}:{seat.at_program(p.target)}",
        }
        for p in (one.service.ports if one.service else ())
    ]
    spec: Json = {
        "workloadSelector": {"labels": {INSTANCE: plan.name}},
        "egress": [*_doors(one), _http_proxy(seat)],
    }
    if ingress:
        spec["ingress"] = ingress
    metadata: Json = {"name": f"rhumb-{plan.name}", "namespace": plan.namespace}
    return _text([_object("Sidecar", metadata, spec)])


def _http_proxy(seat: Seat) -> Json:
    return {
        "port": {"number": seat.proxy, "protocol": "HTTP_PROXY", "name": "http-proxy"},
        "bind": seat.address,
        "captureMode": "NONE",
        "hosts": ["*/*"],
    }


def _doors(one: Seated) -> Iterable[Json]:
    for door in one.doors:
        home = door.service.namespace
        for port in door.ports:
            yield {
                "port": {"number": port.port, "protocol": _protocol(port), "name": port.label},
                "bind": door.address,
                "captureMode": "NONE",
                "hosts": [f"{home}/{door.service.id}.svc.{DOMAIN}"],
            }


def _protocol(port: PortSpec) -> str:
    return "TCP" if port.spoken is Protocol.AUTO else port.spoken.value


def _object(kind: str, metadata: Json, spec: Json) -> Json:
    api = "networking.istio.io/v1"
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


def _text(objects: Iterable[Json]) -> str:
    return yaml.dump_all(objects, Dumper=yaml.CSafeDumper, sort_keys=False)
