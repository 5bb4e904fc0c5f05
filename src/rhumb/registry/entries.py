"""ServiceEntries as services, and endpoints from WorkloadEntries."""

from collections.abc import Iterable, Mapping

import msgspec

from rhumb.model.endpoint import Endpoint, Health, Workload
from rhumb.model.kinds import service_entry
from rhumb.model.kinds.workload_entry import WorkloadEntry
from rhumb.model.resource import Resource
from rhumb.model.service import Port, Registry, Resolution, Service
from rhumb.registry import protocols
from rhumb.registry.workloads import Entry, has_sidecar, inline

_RESOLUTION = {
    service_entry.ServiceResolution.NONE: Resolution.PASSTHROUGH,
    service_entry.ServiceResolution.STATIC: Resolution.STATIC,
    service_entry.ServiceResolution.DNS: Resolution.DNS,
    service_entry.ServiceResolution.DNS_ROUND_ROBIN: Resolution.DNS_ROUND_ROBIN,
    service_entry.ServiceResolution.DYNAMIC_DNS: Resolution.DYNAMIC_DNS,
}
AUTO_ALLOCATE = "networking.istio.io/enable-autoallocate-ip"


def services(resource: Resource) -> tuple[Service, ...]:
    """Return one service for each host of a ServiceEntry."""
    spec = resource.spec
    assert isinstance(spec, service_entry.ServiceEntry)
    ports = tuple(
        Port(
            number=p.number,
            name=p.name,
            protocol=protocols.of_entry_port(p.number, p.protocol, p.name),
            target_port=p.target_port or p.number,
        )
        for p in spec.ports
    )
    selector = spec.workload_selector.labels if spec.workload_selector else {}
    return tuple(
        Service(
            hostname=host,
            namespace=resource.meta.namespace,
            name=host,
            ports=ports,
            addresses=spec.addresses,
            resolution=_RESOLUTION[spec.resolution],
            registry=Registry.EXTERNAL,
            mesh_external=spec.location is service_entry.ServiceLocation.MESH_EXTERNAL,
            export_to=spec.export_to,
            subject_alt_names=spec.subject_alt_names,
            labels=tuple(sorted(resource.meta.labels.items())),
            selector=tuple(sorted(selector.items())),
            created=resource.meta.created,
            key=resource.key,
            location=resource.location,
        )
        for host in dict.fromkeys(spec.hosts)
    )


def wants_address(service: Service) -> bool:
    """Tell whether a service gets an automatic virtual address (istio-api: ServiceEntry addresses)."""
    if service.addresses or service.registry is not Registry.EXTERNAL:
        return False
    if dict(service.labels).get(AUTO_ALLOCATE, "").lower() == "false":
        return False
    wildcard = service.hostname.startswith("*")
    if service.resolution is Resolution.PASSTHROUGH:
        return False
    return not wildcard or service.resolution is Resolution.DYNAMIC_DNS


def inline_endpoints(resource: Resource, service: Service) -> list[Endpoint]:
    """Return the endpoints written inside a ServiceEntry; DNS without endpoints resolves the host."""
    spec = resource.spec
    assert isinstance(spec, service_entry.ServiceEntry)
    namespace, name = resource.meta.namespace, resource.meta.name
    found: list[Endpoint] = []
    for at, one in enumerate(spec.endpoints):
        whole = _Instance(
            spec=one,
            workload=inline(one, namespace, name),
            mtls=has_sidecar(one, one.labels),
            name=f"{name}-{at}",
        )
        found += _endpoints(whole, service.ports, {})
    by_name = service.resolution in (Resolution.DNS, Resolution.DNS_ROUND_ROBIN)
    if by_name and not spec.endpoints and spec.workload_selector is None:
        nobody = Workload(name=name, namespace=namespace)
        found += [
            Endpoint(
                address=service.hostname,
                port=port.target_port or port.number,
                service_port=port.number,
                workload=nobody,
            )
            for port in service.ports
        ]
    return found


def selected_endpoints(
    ports: Iterable[Port], entries: Iterable[Entry], targets: Mapping[int, int | str]
) -> list[Endpoint]:
    """Return the endpoints of the workloads that a service selects.

    `targets` maps a service port to the target a Kubernetes Service gives: a number or a port name.
    """
    known = tuple(ports)
    found: list[Endpoint] = []
    for one in entries:
        whole = _Instance(
            spec=one.spec,
            workload=one.workload,
            mtls=one.mtls,
            health=one.health,
            name=one.name,
        )
        found += _endpoints(whole, known, targets)
    return found


def target_port(spec: WorkloadEntry, port: Port, target: int | str | None) -> int:
    """Return the workload's port, 0 when the workload has none of the name that the target gives.

    A named target must stand in the workload's `ports`. Otherwise the workload's own mapping of the
    service port's name wins over the number of the target (Istio: findServiceTargetPort,
    istio-api.md 1.4).
    """
    if isinstance(target, str) and not target.isdigit():
        return spec.ports.get(target, 0)
    if port.name in spec.ports:
        return spec.ports[port.name]
    return int(target or 0) or port.target_port or port.number


class _Instance(msgspec.Struct, frozen=True, kw_only=True):
    spec: WorkloadEntry
    workload: Workload
    mtls: bool
    health: Health = Health.HEALTHY
    name: str = ""


def _endpoints(
    one: _Instance, ports: Iterable[Port], targets: Mapping[int, int | str]
) -> list[Endpoint]:
    """Return one endpoint a port; none without an address (it is reached through a gateway only)."""
    address = one.spec.address
    unix = address.startswith("unix://")
    found = []
    for port in ports if address else ():
        number = 0 if unix else target_port(one.spec, port, targets.get(port.number))
        if number or unix:
            found.append(
                Endpoint(
                    address=address,
                    port=number,
                    service_port=port.number,
                    workload=one.workload,
                    weight=one.spec.weight or 1,
                    mtls=one.mtls,
                    health=one.health,
                    hostname=one.name,
                )
            )
    return found
