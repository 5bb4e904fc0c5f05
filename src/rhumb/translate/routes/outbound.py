"""Route configurations of sidecars, outbound: one for each port, or for each sniffed service port."""

from collections.abc import Iterable, Iterator

import msgspec

from rhumb.base import hosts
from rhumb.ir.route import Route, RouteConfiguration, VirtualHost
from rhumb.model.service import Port, Protocol, Service
from rhumb.snapshot.snapshot import EgressListener, Routing
from rhumb.translate import names
from rhumb.translate.perspective import Perspective, covering
from rhumb.translate.routes import domains
from rhumb.translate.routes.actions import Setting, default_route
from rhumb.translate.routes.catch_all import catch_all_host
from rhumb.translate.routes.matching import MESH
from rhumb.translate.routes.rules import routes as rule_routes

HTTP_PORT = 80
"""Hosts that no registry knows get virtual hosts on this port alone."""


class _Group(msgspec.Struct, frozen=True, eq=False):
    """Virtual hosts that share their routes."""

    port: int
    hosts: tuple[str, ...]
    services: tuple[Service, ...]
    routes: tuple[Route, ...]


class OutboundRoutes:
    """All outbound route configurations of one view; a port is computed once."""

    def __init__(self, seen: Perspective) -> None:
        self._seen = seen
        self._hosts: dict[tuple[int, str], tuple[VirtualHost, ...]] = {}

    def configuration(self, name: str) -> RouteConfiguration | None:
        """Return the configuration with this name, None when no listener can ask for it."""
        parsed = names.parse_route(name)
        if isinstance(parsed, names.HostRoute):
            return RouteConfiguration(name=name, virtual_hosts=self._sniffed(parsed))
        if name == names.HTTP_PROXY_ROUTE or name.startswith(("/", "unix://", "@")):
            port = 0
        elif isinstance(parsed, names.PortRoute):
            port = parsed.port
        else:
            return None
        virtual_hosts = (*self._virtual_hosts(port, name), catch_all_host(self._seen.scope))
        # Where all ports meet, the one that the client wrote tells them apart. (Istio ignores it there
        # too, and so finds none of its own domains: an HTTP_PROXY listener of its leads nowhere.)
        listener = _egress(self._seen, port, name)
        meets = not port or (listener is not None and _is_http_proxy(listener))
        return RouteConfiguration(name=name, virtual_hosts=virtual_hosts, ignores_port=not meets)

    def _sniffed(self, name: names.HostRoute) -> tuple[VirtualHost, ...]:
        """Return the one virtual host of a listener that serves one service port only."""
        for found in self._virtual_hosts(name.port, str(name)):
            if name.host in found.domains:
                return (msgspec.structs.replace(found, domains=("*",)),)
        return ()

    def _virtual_hosts(self, port: int, name: str) -> tuple[VirtualHost, ...]:
        listener = _egress(self._seen, port, name)
        if listener is None:
            return ()
        if _is_http_proxy(listener):
            port = 0
        key = (port, name if port == 0 else "")
        if key not in self._hosts:
            made = _virtual_hosts(self._seen, listener, port)
            self._hosts[key] = tuple(sorted(made, key=lambda v: v.name))
        return self._hosts[key]


def _egress(seen: Perspective, port: int, name: str) -> EgressListener | None:
    """Return the egress listener that a route name belongs to; the one for all ports is the last."""
    for listener in seen.scope.egress:
        if not listener.port and not _is_socket(listener):
            return listener
        if listener.port == port and (port or listener.bind == name):
            return listener
    return None


def _is_http_proxy(listener: EgressListener) -> bool:
    return bool(listener.port) and listener.protocol.upper() == Protocol.HTTP_PROXY


def _is_socket(listener: EgressListener) -> bool:
    return listener.bind.startswith(("/", "unix://", "@"))


def _virtual_hosts(seen: Perspective, listener: EgressListener, port: int) -> Iterator[VirtualHost]:
    services = {s.hostname: s for s in listener.services if not port or s.port(port)}
    groups = list(_groups(seen, listener, services, port))
    claimed = domains.Claimed(
        text for g in groups for s in g.services for text in (s.hostname, f"{s.hostname}:{g.port}")
    )
    taken: set[str] = set()
    for group in groups:
        for host in group.hosts:
            free = claimed.claim(domains.with_port(host.lower(), 0))
            yield from _virtual_host(group, host.lower(), _shown(free, group, port), taken)
        for service in group.services:
            all_domains, spellings = domains.of_service(
                service,
                seen.aliases(service),
                seen.addresses(service),
                seen.view,
                0 if port else group.port,
            )
            free = claimed.claim(all_domains, spellings)
            yield from _virtual_host(group, service.hostname, _shown(free, group, port), taken)


def _shown(found: tuple[str, ...], group: _Group, port: int) -> tuple[str, ...]:
    """On a listener for all ports only port 80 may be called without writing the port."""
    if port or group.port == HTTP_PORT:
        return found
    return tuple(d for d in found if d.endswith(f":{group.port}"))


def _virtual_host(
    group: _Group, host: str, found: tuple[str, ...], taken: set[str]
) -> Iterator[VirtualHost]:
    name = f"{host}:{group.port}"
    if name in taken or not found:
        return
    taken.add(name)
    yield VirtualHost(name=name, domains=found, routes=group.routes)


def _groups(
    seen: Perspective, listener: EgressListener, services: dict[str, Service], port: int
) -> Iterator[_Group]:
    owner = _owners(listener.routing, services.values())
    left = dict(services)
    setting = Setting(seen, port, seen.scope.service)
    for routing in listener.routing:
        found_hosts, found = _split(routing, services, owner)
        if port != HTTP_PORT and not _touches(routing, services):
            continue
        made = rule_routes(setting, routing, gateway=MESH)
        if not made:
            continue
        by_port = _by_port(found, port)
        if not by_port and port == HTTP_PORT:
            by_port = {HTTP_PORT: ()}
        for number, group in by_port.items():
            yield _Group(number, found_hosts, group, made)
            for service in group:
                left.pop(service.hostname, None)
    for service in left.values():
        if seen.is_alias(service) and seen.concrete(service) is not service:
            continue
        for served in _http_ports(service, port):
            made = (default_route(setting, service, served.number),)
            yield _Group(served.number, (), (service,), made)


def _http_ports(service: Service, port: int) -> Iterator[Port]:
    for served in service.ports:
        if port in (0, served.number) and (
            served.protocol.is_http or served.protocol is Protocol.AUTO
        ):
            yield served


def _by_port(services: Iterable[Service], port: int) -> dict[int, tuple[Service, ...]]:
    found: dict[int, tuple[Service, ...]] = {}
    for service in services:
        for served in _http_ports(service, port):
            found[served.number] = (*found.get(served.number, ()), service)
    return found


def _owners(routing: Iterable[Routing], services: Iterable[Service]) -> dict[str, Routing]:
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


def _split(
    routing: Routing, services: dict[str, Service], owner: dict[str, Routing]
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


def _touches(routing: Routing, services: dict[str, Service]) -> bool:
    """Tell whether some host of a VirtualService is, or matches, one of the services."""
    wild = [name for name in services if hosts.is_wildcard(name)]
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
