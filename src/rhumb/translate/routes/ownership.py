"""Who serves which hosts: VirtualServices and the services that they are about."""

from collections.abc import Iterable, Iterator, Mapping

from rhumb.base import hosts
from rhumb.model.service import Port, Protocol, Service
from rhumb.snapshot.snapshot import Routing
from rhumb.translate.perspective import covering

Services = Mapping[str, Service]


def http_ports(service: Service, port: int) -> Iterator[Port]:
    """Yield the ports of a service that have virtual hosts on a listener for one port (0: for all)."""
    for served in service.ports:
        if port in (0, served.number) and (
            served.protocol.is_http or served.protocol is Protocol.AUTO
        ):
            yield served


def by_port(services: Iterable[Service], port: int) -> dict[int, tuple[Service, ...]]:
    """Return services by those of their ports that have virtual hosts on a listener for one (0: all)."""
    found: dict[int, tuple[Service, ...]] = {}
    for service in services:
        for served in http_ports(service, port):
            found[served.number] = (*found.get(served.number, ()), service)
    return found


def owners(routing: Iterable[Routing], services: Iterable[Service]) -> dict[str, Routing]:
    """Return for each service the VirtualService whose host fits it best; the first of equals wins."""
    by_host: dict[str, Routing] = {}
    for each in routing:
        for host in each.spec.hosts:
            by_host.setdefault(host.lower(), each)
    wildcards = [host for host in by_host if hosts.is_wildcard(host)]
    found: dict[str, Routing] = {}
    for service in services:
        name = service.hostname.lower()
        best = name if name in by_host else covering(wildcards, name)
        if best is not None:
            found[service.hostname] = by_host[best]
    return found


def split(
    routing: Routing, services: Services, owner: dict[str, Routing]
) -> tuple[tuple[str, ...], tuple[Service, ...]]:
    """Split the hosts of a VirtualService into names that no registry knows, and services."""
    unknown: list[str] = []
    known: dict[str, Service] = {}
    for host in routing.spec.hosts:
        lower = host.lower()
        if not hosts.is_wildcard(host):
            if lower in services:
                known[lower] = services[lower]
            else:
                unknown.append(host)
            continue
        matched = [s for name, s in services.items() if hosts.covers(lower, name)]
        if not matched:
            unknown.append(lower)
        known |= {s.hostname: s for s in matched if owner.get(s.hostname) is routing}
    return tuple(unknown), tuple(known.values())


def touches(routing: Routing, services: Services, wild: Iterable[str]) -> bool:
    """Tell whether some host of a VirtualService is, or matches, one of the services."""
    for host in routing.spec.hosts:
        lower = host.lower()
        if lower in services:
            return True
        if hosts.is_wildcard(host):
            if any(hosts.overlap(lower, name) for name in services):
                return True
        elif any(hosts.covers(name, lower) for name in wild):
            return True
    return False


def are_plain(routed: Iterable[str], services: Iterable[Service]) -> bool:
    """Tell whether services are no other names of others, and no host covers them or is covered."""
    wild = [host for host in routed if hosts.is_wildcard(host)]
    return not any(
        service.external_name
        or hosts.is_wildcard(service.hostname)
        or any(hosts.covers(host, service.hostname) for host in wild)
        for service in services
    )
