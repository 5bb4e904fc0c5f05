"""Where each part of a proxy's configuration comes from: for people who look at it, never sent to Envoy.

Lines move with every edit of a file; in Envoy's resources they would make listeners drain for nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from rhumb.ir.cluster import Cluster
from rhumb.ir.endpoint import LoadAssignment
from rhumb.ir.listener import FilterChain, HttpConnectionManager, Listener
from rhumb.ir.origin import Origin, origin
from rhumb.ir.patch import Patched
from rhumb.ir.route import Forward, Route, RouteConfiguration
from rhumb.snapshot.build import World
from rhumb.snapshot.view import View
from rhumb.translate.proxy import Value, resources
from rhumb.xds.types import XdsType

Cited = tuple[Origin, ...]
"""Objects that made a thing, the most telling first; none: it is built in."""


class Origins(msgspec.Struct, frozen=True, kw_only=True):
    """Objects by what they made."""

    listeners: Mapping[str, tuple[Cited, ...]] = {}
    """By listener: of each filter chain, the default chain last."""
    routes: Mapping[str, Mapping[str, tuple[Cited, ...]]] = {}
    """By route configuration and virtual host: of each route."""
    clusters: Mapping[str, Cited] = {}
    endpoints: Mapping[str, Mapping[str, Cited]] = {}
    """By cluster and `ADDRESS:PORT`."""
    secrets: Mapping[str, Cited] = {}


SECTIONS = tuple(Origins.__struct_fields__)


def origins(world: World, view: View, sections: Iterable[str] = SECTIONS) -> Origins:
    """Return where everything comes from that a view receives; sections not asked for are empty."""
    # Virtual hosts stand in their tables here, also for clients that take them apart.
    whole = msgspec.structs.replace(view.capabilities, vhds=False)
    made = _Made(world, msgspec.structs.replace(view, capabilities=whole))
    return Origins(**{section: _SECTIONS[section](made) for section in sections})


class _Made:
    """What a view receives, each type translated when it is asked for."""

    def __init__(self, world: World, view: View) -> None:
        self.world = world
        self._view = view
        self._found: dict[XdsType, tuple[Value, ...]] = {}

    def of(self, kind: XdsType) -> tuple[Value, ...]:
        """Return the resources of a type, with their patches."""
        if kind not in self._found:
            self._found[kind] = resources(self.world, self._view, kind)
        return self._found[kind]

    @property
    def clusters(self) -> list[Cluster]:
        """Return the clusters that patches start from."""
        return [c for c in _plain(self.of(XdsType.CDS)) if isinstance(c, Cluster)]

    @property
    def listeners(self) -> list[Listener]:
        """Return the listeners that patches start from."""
        return [v for v in _plain(self.of(XdsType.LDS)) if isinstance(v, Listener)]

    @property
    def tables(self) -> list[RouteConfiguration]:
        """Return the route configurations that patches start from."""
        return [t for t in _plain(self.of(XdsType.RDS)) if isinstance(t, RouteConfiguration)]

    @property
    def made_by(self) -> dict[str, Cited]:
        """Return what made each cluster."""
        return {cluster.name: cluster.origin for cluster in self.clusters}


def _listeners(made: _Made) -> Mapping[str, tuple[Cited, ...]]:
    made_by, tables = made.made_by, made.tables
    shaped = _patches(made.of(XdsType.LDS))
    return {
        listener.name: tuple(
            _of_chain(chain, listener, made_by, tables) + shaped.get(listener.name, ())
            for chain in _chains(listener)
        )
        for listener in made.listeners
    }


def _routes(made: _Made) -> Mapping[str, Mapping[str, tuple[Cited, ...]]]:
    made_by = made.made_by
    shaped = _patches(made.of(XdsType.RDS))
    return {
        table.name: {
            host.name: tuple(
                _of_route(route, made_by) + shaped.get(table.name, ()) for route in host.routes
            )
            for host in table.virtual_hosts
        }
        for table in (*_inside(made.listeners), *made.tables)
    }


def _endpoints(made: _Made) -> Mapping[str, Mapping[str, Cited]]:
    assigned = [a for a in made.of(XdsType.EDS) if isinstance(a, LoadAssignment)]
    assigned += [c.assignment for c in made.clusters if c.assignment is not None]
    return {each.name: dict(_of_endpoints(made.world, each)) for each in assigned}


_SECTIONS: Mapping[str, Callable[[_Made], Any]] = {
    "listeners": _listeners,
    "routes": _routes,
    "clusters": lambda made: {value.name: value.origin for value in made.of(XdsType.CDS)},
    "endpoints": _endpoints,
    "secrets": lambda made: {value.name: value.origin for value in made.of(XdsType.SDS)},
}


def _plain(values: Iterable[Value]) -> Iterator[Value]:
    """Yield what patches start from."""
    for value in values:
        yield value.value if isinstance(value, Patched) else value


def _patches(values: Iterable[Value]) -> dict[str, Cited]:
    """Return the EnvoyFilters that shape resources, by name."""
    return {
        value.name: tuple(dict.fromkeys(patch.origin for patch in value.patches))
        for value in values
        if isinstance(value, Patched)
    }


def _inside(listeners: Iterable[Listener]) -> Iterator[RouteConfiguration]:
    """Yield the route configurations that stand inside listeners."""
    for listener in listeners:
        for chain in _chains(listener):
            found = chain.filter
            if isinstance(found, HttpConnectionManager) and found.routes is not None:
                yield found.routes


def _chains(listener: Listener) -> Iterator[FilterChain]:
    yield from listener.chains
    if listener.default_chain is not None:
        yield listener.default_chain


def _of_chain(
    chain: FilterChain,
    listener: Listener,
    made_by: Mapping[str, Cited],
    tables: Iterable[RouteConfiguration],
) -> Cited:
    if chain.origin:
        return chain.origin
    found = chain.filter
    if not isinstance(found, HttpConnectionManager):
        cited = _distinct(made_by.get(target.cluster, ()) for target in found.targets)
    elif found.routes is not None:
        cited = _of_table(found.routes, made_by)
    else:
        named = (table for table in tables if table.name == found.rds)
        cited = _distinct(_of_table(table, made_by) for table in named)
    return cited or listener.origin


def _of_table(table: RouteConfiguration, made_by: Mapping[str, Cited]) -> Cited:
    return table.origin or _distinct(
        _of_route(route, made_by) for host in table.virtual_hosts for route in host.routes
    )


def _of_route(route: Route, made_by: Mapping[str, Cited]) -> Cited:
    """Return the rule that made a route; a route without one comes from its service."""
    if route.origin or not isinstance(route.action, Forward):
        return route.origin
    return _distinct(made_by.get(target.cluster, ()) for target in route.action.targets)


def _of_endpoints(world: World, assignment: LoadAssignment) -> Iterator[tuple[str, Cited]]:
    known = world.catalog.entries_at
    for group in assignment.groups:
        for endpoint in group.endpoints:
            entries = known.get(endpoint.address, ())
            # Without capture many workloads share an address; their names tell them apart.
            own = endpoint.workload.split(";")[:2]
            found = [e for e in entries if [e.workload.name, e.workload.namespace] == own]
            cited = tuple(origin(entry.resource) for entry in found or entries[:1])
            yield f"{endpoint.address}:{endpoint.port}", cited or assignment.origin


def _distinct(several: Iterable[Cited]) -> Cited:
    return tuple(dict.fromkeys(each for cited in several for each in cited))
