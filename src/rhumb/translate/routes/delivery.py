"""Outbound routes as sidecars get them: whole, or each virtual host as a resource of its own (VHDS).

Namespaces that see the same share what is public; of their own services' hosts they have others,
which go by short names.
"""

from collections.abc import Iterator, Mapping

import msgspec

from rhumb.ir.route import HostOfRoute, RouteConfiguration
from rhumb.model.proxy import Role
from rhumb.snapshot.view import View, whole
from rhumb.translate import names
from rhumb.translate.memory import Memory, Routed
from rhumb.translate.news import EVERYTHING
from rhumb.translate.perspective import Perspective
from rhumb.translate.profile import routed
from rhumb.translate.routes.home import HomeHosts, home_hosts
from rhumb.translate.routes.outbound import OutboundRoutes

Units = Iterator[tuple[str, tuple[HostOfRoute, ...]]]
"""Each virtual host under its resource name; the very same values while nothing about it differs."""


def takes_hosts_apart(view: View) -> bool:
    """Tell whether virtual hosts are resources of their own: where the client can, and no patch is on them."""
    if not view.capabilities.vhds or view.role is not Role.SIDECAR:
        return False
    return not any(patch.is_of_routes and not patch.is_inbound for patch in view.patches)


def configurations(seen: Perspective, memory: Memory) -> Iterator[RouteConfiguration]:
    """Yield the route configurations that a sidecar's listeners ask for."""
    if takes_hosts_apart(seen.view):
        for found in _made(seen, memory).configurations.values():
            yield msgspec.structs.replace(found, virtual_hosts=(), hosts_apart=True)
        return
    public = _public(seen)
    homes = _homes(seen, _made(public, memory), memory) if public is not seen else None
    if homes is None:
        for found in _made(seen, memory).configurations.values():
            yield routed(seen, found)
        return
    for name, found in _made(public, memory).configurations.items():
        yield _with(found, homes[name]) if name in homes else found


def hosts(seen: Perspective, memory: Memory) -> Units:
    """Yield the virtual hosts of all routes of a view."""
    for route, configuration in _made(seen, memory).configurations.items():
        for host in routed(seen, configuration).virtual_hosts:
            yield memory.host(HostOfRoute(route, host))


def hosts_at_home(seen: Perspective, memory: Memory) -> Units:
    """Yield the virtual hosts that a namespace has otherwise than everybody."""
    public = _made(_public(seen), memory)
    homes = _homes(seen, public, memory)
    if homes is not None:
        for route, found in homes.items():
            for home in found.hosts.values():
                yield memory.host(HostOfRoute(route, home.host))
        return
    everybodys = {
        (route, host.name): host
        for route, configuration in public.configurations.items()
        for host in routed(seen, configuration).virtual_hosts
    }
    for route, configuration in _made(seen, memory).configurations.items():
        for host in routed(seen, configuration).virtual_hosts:
            if everybodys.get((route, host.name)) != host:
                yield memory.host(HostOfRoute(route, host))


def _public(seen: Perspective) -> Perspective:
    view = seen.snapshot.public(seen.view)
    return Perspective(seen.snapshot, view) if view is not seen.view else seen


def _made(seen: Perspective, memory: Memory) -> Routed:
    """Return the outbound route configurations of a view by name, and what they were made of."""
    # Views that differ in how they take virtual hosts have the same ones.
    view = whole(seen.view)
    made = memory.shared.routes.get(view)
    if made is None:
        before, news = memory.before.routes.get(view), memory.news
        if before is None:
            before, news = memory.shared.similar(view, seen) or (Routed(), EVERYTHING)
        routes = OutboundRoutes(seen, before.tables, before.configurations, news)
        asked = sorted(memory.listen(seen).asked)
        found = {name: routes.configuration(name) for name in asked}
        known = {name: one for name, one in found.items() if one is not None}
        made = memory.shared.routes[view] = Routed(routes.tables, known)
    memory.now.routes[view] = made
    return made


def _homes(seen: Perspective, public: Routed, memory: Memory) -> Mapping[str, HomeHosts] | None:
    """Return the hosts that a namespace sees otherwise, by route; None where the whole has to be made."""
    if seen.proxy_config.proxy_headers is not None:
        return None
    homes = memory.now.homes
    for name in public.configurations:
        route = names.parse_route(name)
        if isinstance(route, names.HostRoute):
            continue  # one host for all names
        port = route.port if isinstance(route, names.PortRoute) else 0
        table = public.tables.get((port, ""))
        known = memory.before.homes.get(name, HomeHosts())
        found = home_hosts(seen, table, port, known) if table is not None else None
        if found is None:
            return None
        homes[name] = found
    return homes


def _with(found: RouteConfiguration, homes: HomeHosts) -> RouteConfiguration:
    if not homes.hosts:
        return found
    own = {name: home.host for name, home in homes.hosts.items()}
    virtual_hosts = tuple(own.get(host.name, host) for host in found.virtual_hosts)
    return msgspec.structs.replace(found, virtual_hosts=virtual_hosts)
