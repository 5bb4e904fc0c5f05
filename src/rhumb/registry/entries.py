"""ServiceEntries as services, and endpoints from WorkloadEntries."""

from collections.abc import Iterable

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
    found: list[Endpoint] = []
    for one in spec.endpoints:
        workload = inline(one, resource.meta.namespace)
        found += _of_entry(service, one, workload, has_sidecar(one, one.labels), Health.HEALTHY, "")
    by_name = service.resolution in (Resolution.DNS, Resolution.DNS_ROUND_ROBIN)
    if by_name and not spec.endpoints and spec.workload_selector is None:
        nobody = Workload(name="", namespace=resource.meta.namespace)
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
    service: Service, entries: Iterable[Entry], named: dict[int, int | str]
) -> list[Endpoint]:
    """Return the endpoints of the workloads that a service selects.

    `named` maps a service port to the target a Kubernetes Service gives: a number or a port name.
    """
    found: list[Endpoint] = []
    for one in entries:
        found += _of_entry(
            service,
            one.spec,
            one.workload,
            one.mtls,
            one.health,
            one.resource.meta.name,
            named,
        )
    return found


def target_port(spec: WorkloadEntry, port: Port, target: int | str | None) -> int:
    """Return the workload's port: its own mapping by name, then the service's target, then the number."""
    if isinstance(target, str) and not target.isdigit():
        if target in spec.ports:
            return spec.ports[target]
    elif target is not None and not spec.ports:
        return int(target)
    if port.name in spec.ports:
        return spec.ports[port.name]
    return port.target_port or port.number


def _of_entry(
    service: Service,
    spec: WorkloadEntry,
    workload: Workload,
    mtls: bool,
    health: Health,
    name: str,
    named: dict[int, int | str] | None = None,
) -> list[Endpoint]:
    address = spec.address or (service.hostname if service.resolution is Resolution.DNS else "")
    if not address:
        return []
    unix = address.startswith("unix://")
    return [
        Endpoint(
            address=address,
            port=0 if unix else target_port(spec, port, (named or {}).get(port.number)),
            service_port=port.number,
            workload=workload,
            weight=spec.weight or 1,
            mtls=mtls,
            health=health,
            hostname=name,
        )
        for port in service.ports
    ]
