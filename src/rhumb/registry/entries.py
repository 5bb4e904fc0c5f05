"""ServiceEntries as services, and endpoints from WorkloadEntries."""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from rhumb.model.endpoint import Endpoint, Health, Workload
from rhumb.model.kinds import service_entry
from rhumb.model.kinds.workload_entry import WorkloadEntry
from rhumb.model.resource import Resource
from rhumb.model.service import Port, Registry, Resolution, Service
from rhumb.registry import protocols
from rhumb.registry.workloads import Entry, has_sidecar, inline, is_address

_RESOLUTION = {
    service_entry.ServiceResolution.NONE: Resolution.PASSTHROUGH,
    service_entry.ServiceResolution.STATIC: Resolution.STATIC,
    service_entry.ServiceResolution.DNS: Resolution.DNS,
    service_entry.ServiceResolution.DNS_ROUND_ROBIN: Resolution.DNS_ROUND_ROBIN,
    service_entry.ServiceResolution.DYNAMIC_DNS: Resolution.DYNAMIC_DNS,
}
UNIX = "unix://"
AUTO_ALLOCATE = "networking.istio.io/enable-autoallocate-ip"
TRAFFIC_DISTRIBUTION = "networking.istio.io/traffic-distribution"


def services(resource: Resource) -> tuple[Service, ...]:
    """Return one service for each host of a ServiceEntry."""
    spec = resource.spec
    assert isinstance(spec, service_entry.ServiceEntry)
    ports = tuple(
        Port(
            number=p.number,
            name=p.name,
            protocol=protocols.declared(p.protocol),
            target_port=p.target_port or p.number,
        )
        for p in spec.ports
    )
    selector = spec.workload_selector.labels if spec.workload_selector else {}
    given = _given(resource.status)
    addresses = tuple(dict.fromkeys(_bare(a) for a in spec.addresses))
    return tuple(
        Service(
            hostname=host,
            namespace=resource.meta.namespace,
            name=host,
            ports=ports,
            addresses=addresses,
            auto_address=next((a for a in given.get(host, ()) if ":" not in a), ""),
            auto_address_v6=next((a for a in given.get(host, ()) if ":" in a), ""),
            resolution=_RESOLUTION[spec.resolution],
            registry=Registry.EXTERNAL,
            mesh_external=spec.location is service_entry.ServiceLocation.MESH_EXTERNAL,
            export_to=spec.export_to,
            subject_alt_names=spec.subject_alt_names,
            traffic_distribution=resource.meta.annotations.get(TRAFFIC_DISTRIBUTION, ""),
            labels=tuple(sorted(resource.meta.labels.items())),
            selector=tuple(sorted(selector.items())),
            created=resource.meta.created,
            key=resource.key,
            location=resource.location,
        )
        for host in dict.fromkeys(spec.hosts)
    )


def _bare(address: str) -> str:
    """Return a range of one address as that address."""
    whole = "/128" if ":" in address else "/32"
    return address.removesuffix(whole)


def _given(status: Mapping[str, object]) -> dict[str, list[str]]:
    """Read the addresses that Istio's control plane gave: `status.addresses[{value, host}]`."""
    found: dict[str, list[str]] = {}
    said = status.get("addresses")
    for one in said if isinstance(said, tuple) else ():
        if isinstance(one, Mapping) and is_address(str(one.get("value"))):
            found.setdefault(str(one.get("host") or ""), []).append(str(one["value"]))
    return found


def usable(resolution: Resolution) -> Callable[[str], bool]:
    """Return what tells whether endpoints of a service may have an address.

    Where no name is resolved Envoy takes addresses and sockets only, and would refuse the whole
    cluster for one name; what is resolved is no socket.
    """
    if resolution in (Resolution.DNS, Resolution.DNS_ROUND_ROBIN):
        return lambda address: not address.startswith(UNIX)
    return lambda address: address.startswith(UNIX) or is_address(address)


def wants_address(service: Service) -> bool:
    """Tell whether a service gets an automatic virtual address (istio-api: ServiceEntry addresses).

    So does a Kubernetes Service that no API server has given its address, as in files.
    """
    if service.addresses or service.auto_address:
        return False
    if service.registry is Registry.KUBERNETES:
        return not service.headless and not service.external_name
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
    service: Service, entries: Iterable[Entry], targets: Mapping[int, int | str]
) -> list[Endpoint]:
    """Return the endpoints of the workloads that a service selects.

    `targets` maps a service port to the target a Kubernetes Service gives: a number or a port name.
    """
    found: list[Endpoint] = []
    for one in entries:
        addresses = of_families(one.addresses, service.families)
        if not addresses:
            continue
        whole = _Instance(
            spec=one.spec,
            workload=one.workload,
            mtls=one.mtls,
            health=one.health,
            name=one.instance_name(service.name),
            addresses=addresses,
            node=one.node,
            is_pod=one.is_pod,
        )
        found += _endpoints(whole, service.ports, targets)
    return found


def of_families(addresses: tuple[str, ...], families: tuple[str, ...]) -> tuple[str, ...]:
    """Return the addresses of a workload that a service has use for, one a family, in its order."""
    if not families or len(addresses) < 2:
        return addresses[:1]
    by_family = {"IPv6" if ":" in a else "IPv4": a for a in reversed(addresses)}
    return tuple(by_family[f] for f in families if f in by_family)


def target_port(
    spec: WorkloadEntry, port: Port, target: int | str | None, *, is_pod: bool = False
) -> int:
    """Return the workload's port, 0 when the workload has none of the name that the target gives.

    A named target must stand in the workload's `ports`. Otherwise the workload's own mapping of the
    service port's name wins over the number of the target (Istio:
    findServiceTargetPort), unless a Kubernetes Service gives the target of a Pod.
    """
    if isinstance(target, str) and not target.isdigit():
        return spec.ports.get(target, 0)
    if port.name in spec.ports and not (is_pod and target):
        return spec.ports[port.name]
    return int(target or 0) or port.target_port or port.number


class _Instance(msgspec.Struct, frozen=True, kw_only=True):
    spec: WorkloadEntry
    workload: Workload
    mtls: bool
    health: Health = Health.HEALTHY
    name: str = ""
    addresses: tuple[str, ...] = ()
    """Of a Pod: those that count, the primary one first; empty: that of `spec`."""
    node: str = ""
    is_pod: bool = False


def _endpoints(
    one: _Instance, ports: Iterable[Port], targets: Mapping[int, int | str]
) -> list[Endpoint]:
    """Return one endpoint a port; none without an address (it is reached through a gateway only)."""
    address, *additional = one.addresses or (one.spec.address,)
    unix = address.startswith(UNIX)
    found = []
    for port in ports if address else ():
        target = targets.get(port.number)
        number = 0 if unix else target_port(one.spec, port, target, is_pod=one.is_pod)
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
                    node=one.node,
                    hostname=one.name,
                    additional=tuple(additional),
                )
            )
    return found
