"""EndpointSlices and Endpoints: the addresses that Kubernetes, or a user, wrote behind a Service."""

from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from rhumb.model.endpoint import Endpoint, Health, Locality, Workload
from rhumb.model.kinds import endpoint_slice as kinds
from rhumb.model.kinds.kubernetes import ObjectReference
from rhumb.model.resource import Resource
from rhumb.model.service import Port, Service
from rhumb.registry.entries import of_families
from rhumb.registry.workloads import DEFAULT_CLUSTER, Entry

PodOf = Callable[[str, str], Entry | None]
"""(name of a Pod or "", its address) -> the Pod of the Service's namespace."""


class _Instance(msgspec.Struct, frozen=True, kw_only=True):
    address: str
    health: Health
    hostname: str = ""
    node: str = ""
    target: ObjectReference | None = None


def service_of(resource: Resource) -> str:
    """Return the name of the Service that an object has addresses for."""
    if isinstance(resource.spec, kinds.EndpointSlice):
        return resource.meta.labels.get(kinds.SERVICE_NAME, "")
    return resource.meta.name


def effective(resources: Iterable[Resource]) -> tuple[Resource, ...]:
    """Return the objects that count: EndpointSlices, and Endpoints where there is no slice."""
    every = tuple(resources)
    slices = tuple(r for r in every if isinstance(r.spec, kinds.EndpointSlice))
    return slices or every


def endpoints(
    resources: Iterable[Resource],
    service: Service,
    pod_of: PodOf,
    nodes: Mapping[str, Locality],
) -> list[Endpoint]:
    """Return the endpoints of a Service from the objects that name them.

    What a Pod says of itself (labels, account, mutual TLS) is added where the Pod is known.
    """
    found: dict[tuple[str, int, int], Endpoint] = {}
    for resource in effective(resources):
        for instance, ports in _instances(resource):
            name = _pod_name(instance)
            pod = pod_of(name, instance.address)
            for number, port in _matching(service.ports, ports):
                made = _endpoint(service, instance, (number, port), pod, nodes)
                key = (name or instance.address, number, port)
                found[key] = _joined(found[key], made, service) if key in found else made
    return list(found.values())


def _joined(one: Endpoint, other: Endpoint, service: Service) -> Endpoint:
    """Return one endpoint of two slices that name one Pod: its IPv4 and its IPv6 address."""
    addresses = tuple(dict.fromkeys((*one.addresses, *other.addresses)))
    chosen = of_families(addresses, service.families) or addresses
    return msgspec.structs.replace(one, address=chosen[0], additional=chosen[1:])


_Known = tuple[_Instance, tuple[kinds.EndpointPort, ...]]


def _instances(resource: Resource) -> Iterator[_Known]:
    spec = resource.spec
    if isinstance(spec, kinds.EndpointSlice):
        yield from _of_slice(spec)
    elif isinstance(spec, kinds.Endpoints):
        yield from _of_endpoints(spec)


def _of_slice(spec: kinds.EndpointSlice) -> Iterator[_Known]:
    for one in spec.endpoints if spec.address_type != "FQDN" else ():
        health = _health(one.conditions)
        if health is None:
            continue
        for address in one.addresses:
            instance = _Instance(
                address=address,
                health=health,
                hostname=one.hostname,
                node=one.node_name,
                target=one.target_ref,
            )
            yield instance, spec.ports


def _of_endpoints(spec: kinds.Endpoints) -> Iterator[_Known]:
    for subset in spec.subsets:
        for health, addresses in (
            (Health.HEALTHY, subset.addresses),
            (Health.UNHEALTHY, subset.not_ready_addresses),
        ):
            for each in addresses:
                instance = _Instance(
                    address=each.ip,
                    health=health,
                    hostname=each.hostname,
                    node=each.node_name,
                    target=each.target_ref,
                )
                yield instance, subset.ports


def _health(said: kinds.EndpointConditions | None) -> Health | None:
    """Return whether an endpoint may be sent traffic; None for one that goes away."""
    if said is None or said.ready is not False:
        return Health.HEALTHY
    return None if said.terminating else Health.UNHEALTHY


def _pod_name(instance: _Instance) -> str:
    target = instance.target
    return target.name if target is not None and target.kind == "Pod" else ""


def _matching(
    ports: Iterable[Port], found: tuple[kinds.EndpointPort, ...]
) -> Iterator[tuple[int, int]]:
    """Yield the number of each port of the Service with that of the instances, matched by name."""
    by_name = {p.name: p.port for p in found if p.protocol.upper() in ("", "TCP") and p.port}
    for port in ports:
        number = by_name.get(port.name)
        if number is not None:
            yield port.number, number


def _endpoint(
    service: Service,
    instance: _Instance,
    ports: tuple[int, int],
    pod: Entry | None,
    nodes: Mapping[str, Locality],
) -> Endpoint:
    workload = (
        pod.workload
        if pod is not None
        else Workload(
            name=service.name,
            namespace=service.namespace,
            cluster=DEFAULT_CLUSTER,
            locality=nodes.get(instance.node, Locality()),
        )
    )
    service_port, port = ports
    return Endpoint(
        address=instance.address,
        port=port,
        service_port=service_port,
        workload=workload,
        mtls=pod is not None and pod.mtls,
        health=instance.health,
        node=instance.node or (pod.node if pod is not None else ""),
        hostname=instance.hostname,
    )
