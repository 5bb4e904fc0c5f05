"""Route configurations of gateways: HTTP servers of one port together, each HTTPS server its own."""

import msgspec

from rhumb.ir.route import Route, RouteConfiguration, VirtualHost
from rhumb.model.service import Service
from rhumb.snapshot.snapshot import Routing
from rhumb.translate.gateway_servers import Served, intersection
from rhumb.translate.perspective import Perspective
from rhumb.translate.routes.actions import Setting
from rhumb.translate.routes.domains import with_port
from rhumb.translate.routes.rules import routes as rule_routes


class _Hosts:
    """Virtual hosts in the making, by host name."""

    def __init__(self) -> None:
        self.routes: dict[str, list[Route]] = {}
        self.ports: dict[str, int] = {}
        self.requires_tls: set[str] = set()

    def add(self, host: str, port: int, routes: tuple[Route, ...]) -> None:
        """Append routes to a host; the first server that names it gives the port of its name."""
        self.routes.setdefault(host, []).extend(routes)
        self.ports.setdefault(host, port)


def configuration(seen: Perspective, name: str, servers: list[Served]) -> RouteConfiguration:
    """Return the routes of the servers that share one name.

    VirtualServices for the same host are concatenated, oldest first, rules that take every request last.
    """
    found = _Hosts()
    for served in servers:
        redirects = served.tls is not None and served.tls.https_redirect
        for routing in seen.snapshot.gateway_routing(seen.view, served.gateway.name):
            _bind(seen, served, routing, found, redirects=redirects)
        if redirects:
            for host in served.server_names:
                found.add(host.lower(), served.number, ())
                found.requires_tls.add(host.lower())
    return RouteConfiguration(
        name=name,
        virtual_hosts=_virtual_hosts(found, servers[0].number),
        origin=tuple(dict.fromkeys(s.origin for s in servers)),
    )


def _bind(
    seen: Perspective, served: Served, routing: Routing, found: _Hosts, *, redirects: bool
) -> None:
    namespace = routing.resource.meta.namespace
    shared = intersection(served.hosts_for(namespace), routing.spec.hosts)
    if not shared:
        return
    setting = Setting(
        seen,
        served.number,
        lambda host: _service(seen, host, namespace),
        is_tls=served.tls is not None,
    )
    made = rule_routes(setting, routing, gateway=served.gateway.name)
    if not made:
        return
    for host in shared:
        found.add(host.lower(), served.number, made)
        if redirects:
            found.requires_tls.add(host.lower())


def _service(seen: Perspective, host: str, namespace: str) -> Service | None:
    """Return the service a destination means: visible, that of the VirtualService's namespace first."""
    visible = seen.scope.service(host)
    if visible is None or visible.namespace == namespace:
        return visible
    own = [s for s in seen.snapshot.services(host) if s.namespace == namespace]
    return own[0] if own else visible


def _virtual_hosts(found: _Hosts, port: int) -> tuple[VirtualHost, ...]:
    """Return the virtual hosts sorted by name; hosts with equal routes share one."""
    if not found.routes:
        return (VirtualHost(name=f"blackhole:{port}", domains=("*",)),)
    made: list[VirtualHost] = []
    shared: dict[tuple[tuple[Route, ...], bool], int] = {}
    for host in sorted(found.routes):
        routes = tuple(
            sorted(dict.fromkeys(found.routes[host]), key=lambda r: r.match.is_catch_all)
        )
        key = (routes, host in found.requires_tls)
        domains = tuple(with_port(host, 0))
        if routes and key in shared:
            known = made[shared[key]]
            made[shared[key]] = msgspec.structs.replace(known, domains=known.domains + domains)
            continue
        shared[key] = len(made)
        name = f"{host}:{found.ports[host]}"
        made.append(VirtualHost(name=name, domains=domains, routes=routes, requires_tls=key[1]))
    return tuple(sorted(made, key=lambda v: v.name))
