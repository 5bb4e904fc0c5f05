"""Patches of route configurations: the table, its virtual hosts, and their routes."""

from envoy.config.route.v3.route_components_pb2 import Route, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from rhumb.encode.patch.patcher import INSERTS, MERGES, Patcher, copy, put
from rhumb.ir.patch import ApplyTo, HostMatch, Operation, Patch


def route_configuration(out: RouteConfiguration, patcher: Patcher) -> None:
    """Patch a table that the patches are known to be for."""
    _patch(out, patcher, "")


def inline(out: RouteConfiguration, patcher: Patcher) -> None:
    """Patch a table inside of a listener; its patches name the tables that they are for."""
    _patch(out, patcher, out.name)


def _patch(out: RouteConfiguration, patcher: Patcher, name: str) -> None:
    def of(apply_to: ApplyTo) -> list[Patch]:
        return [p for p in patcher.of(apply_to) if not name or name in p.host.configurations]

    for patch in of(ApplyTo.ROUTE_CONFIGURATION):
        if patch.operation in MERGES:
            patcher.merge(patch, out)
    patches, routes = of(ApplyTo.VIRTUAL_HOST), of(ApplyTo.HTTP_ROUTE)
    if not patches and not routes:
        return
    hosts = [copy(host) for host in out.virtual_hosts]
    hosts = [kept for host in hosts if (kept := _host(host, patches, routes, patcher)) is not None]
    for patch in patches:
        if patch.operation is Operation.ADD or patch.operation in INSERTS:
            hosts += _added(hosts, patch, patcher)
    put(out.virtual_hosts, hosts)


def _host(
    host: VirtualHost, patches: list[Patch], routes: list[Patch], patcher: Patcher
) -> VirtualHost | None:
    """Return a virtual host as it is after its patches, None when it is removed."""
    for patch in patches:
        if not _is_host(patch.host, host):
            continue
        if patch.operation is Operation.REMOVE:
            return None
        if patch.operation in MERGES:
            patcher.merge(patch, host)
        elif patch.operation is Operation.REPLACE:
            host = patcher.addition(patch, VirtualHost) or host
    wanted = [patch for patch in routes if _is_host(patch.host, host)]
    if wanted:
        put(host.routes, _routes([copy(r) for r in host.routes], wanted, patcher))
    return host


def _added(hosts: list[VirtualHost], patch: Patch, patcher: Patcher) -> list[VirtualHost]:
    value = patcher.addition(patch, VirtualHost)
    if value is None:
        return []
    taken = {domain.lower(): host.name for host in hosts for domain in host.domains}
    for domain in value.domains:
        if domain.lower() in taken:
            owner = taken[domain.lower()]
            patcher.refuse(patch, f"domain {domain} is that of virtual host {owner} already")
            return []
    return [value]


def _routes(items: list[Route], patches: list[Patch], patcher: Patcher) -> list[Route]:
    """Return the routes of a virtual host: removals and merges first, then what is added."""
    kept = [item for item in items if not _is_removed(item, patches)]
    for item in kept:
        for patch in patches:
            if patch.operation in MERGES and _is_route(patch.host, item):
                patcher.merge(patch, item)
    for patch in patches:
        kept = _inserted(kept, patch, patcher)
    return kept


def _is_removed(item: Route, patches: list[Patch]) -> bool:
    return any(p.operation is Operation.REMOVE and _is_route(p.host, item) for p in patches)


def _inserted(items: list[Route], patch: Patch, patcher: Patcher) -> list[Route]:
    def found(item: Route) -> bool:
        return _is_route(patch.host, item)

    if patch.operation is Operation.ADD:
        value = patcher.addition(patch, Route)
        return [*items, value] if value is not None else items
    if patch.operation not in INSERTS:
        return items
    if patch.host.names_route and not any(map(found, items)):
        return items  # also INSERT_FIRST wants to see the route that it names
    return patcher.rearranged(patch, items, Route, found if patch.host.names_route else None)


def _is_host(match: HostMatch, host: VirtualHost) -> bool:
    return match.name in ("", host.name) and (not match.domain or match.domain in host.domains)


def _is_route(match: HostMatch, route: Route) -> bool:
    action = route.WhichOneof("action")
    return match.route in ("", route.name) and (not match.action or match.action == action)
