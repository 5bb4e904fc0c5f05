"""EnvoyFilters on what was translated: which patches touch which resource, and what they add.

Names, ports and sides of resources are decided here; what lies deeper (chains, filters, virtual
hosts, routes) is left to `encode`, with the conditions on it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

import msgspec

from rhumb.ir.cluster import Cluster
from rhumb.ir.listener import Direction, FilterChain, HttpConnectionManager, Listener
from rhumb.ir.origin import origin
from rhumb.ir.patch import (
    Added,
    ApplyTo,
    ChainMatch,
    FilterClass,
    HostMatch,
    Operation,
    Patch,
    Patched,
)
from rhumb.ir.route import RouteConfiguration
from rhumb.model.kinds import envoy_filter as kind
from rhumb.model.kinds.envoy_filter import PatchContext
from rhumb.model.proxy import Role
from rhumb.model.resource import Resource
from rhumb.snapshot.snapshot import Snapshot
from rhumb.snapshot.view import View
from rhumb.translate import gateway_servers, names
from rhumb.translate.perspective import Perspective
from rhumb.xds.types import XdsType

_LISTENERS = frozenset(
    {
        ApplyTo.LISTENER,
        ApplyTo.FILTER_CHAIN,
        ApplyTo.NETWORK_FILTER,
        ApplyTo.HTTP_FILTER,
        ApplyTo.LISTENER_FILTER,
    }
)
_ROUTES = frozenset({ApplyTo.ROUTE_CONFIGURATION, ApplyTo.VIRTUAL_HOST, ApplyTo.HTTP_ROUTE})
_ORDERED = frozenset(
    {ApplyTo.HTTP_FILTER, ApplyTo.NETWORK_FILTER, ApplyTo.HTTP_ROUTE, ApplyTo.LISTENER_FILTER}
)
"""Elsewhere there is no before and after: to insert is to add."""
_INSERTS = frozenset({Operation.INSERT_AFTER, Operation.INSERT_BEFORE, Operation.INSERT_FIRST})
_VIRTUAL = frozenset({names.VIRTUAL_INBOUND, names.VIRTUAL_OUTBOUND})
ADDING = {
    XdsType.LDS: ApplyTo.LISTENER,
    XdsType.CDS: ApplyTo.CLUSTER,
    XdsType.ECDS: ApplyTo.EXTENSION_CONFIG,
}
"""Types of which patches may add resources."""
_ACTIONS = {
    kind.RouteAction.ANY: "",
    kind.RouteAction.ROUTE: "route",
    kind.RouteAction.REDIRECT: "redirect",
    kind.RouteAction.DIRECT_RESPONSE: "direct_response",
}

_SECRET = re.compile(r'"(kubernetes://[^"\\]+)"')

V = TypeVar("V")


class _Said(msgspec.Struct, frozen=True, eq=False):
    """One patch as written, and as far as it is decided."""

    patch: Patch
    match: kind.ObjectMatch

    @property
    def context(self) -> PatchContext:
        """Return the side that it is for."""
        return self.match.context


class Patches:
    """The patches that are for one view. Without any, nothing is looked at and nothing changes."""

    def __init__(self, snapshot: Snapshot, view: View) -> None:
        self._snapshot = snapshot
        self._view = view
        self._said = tuple(_all(snapshot, view)) if view.patches else ()
        self._numbers: Mapping[str, frozenset[int]] | None = None

    def applied(self, values: Iterable[V]) -> Iterator[V | Patched]:
        """Yield resources, those with the patches that concern them that have any; the removed are left out."""
        if not self._said:
            yield from values
            return
        for value in values:
            if isinstance(value, Listener):
                yield from self._wrapped(value, self._listener, ApplyTo.LISTENER)
            elif isinstance(value, Cluster):
                yield from self._wrapped(value, self._cluster, ApplyTo.CLUSTER)
            elif isinstance(value, RouteConfiguration):
                yield from self._wrapped(value, self._routes, None)
            else:
                yield value

    def secrets(self) -> frozenset[str]:
        """Return the names of Secrets that the values of patches refer to."""
        return frozenset(n for said in self._said for n in _SECRET.findall(said.patch.value))

    def of_bootstrap(self) -> tuple[Patch, ...]:
        """Return the patches of what the proxy starts with."""
        return tuple(s.patch for s in self._said if s.patch.apply_to is ApplyTo.BOOTSTRAP)

    def added(self, wanted: XdsType) -> Iterator[Added]:
        """Yield the resources of a type that patches add; the first of a name counts."""
        seen: set[str] = set()
        sides = _sides(self._view)
        for said in self._said:
            patch = said.patch
            if patch.operation is not Operation.ADD or patch.apply_to is not ADDING.get(wanted):
                continue
            if said.context is not PatchContext.ANY and said.context not in sides:
                continue
            name = msgspec.json.decode(patch.value).get("name")
            if isinstance(name, str) and name and name not in seen:
                seen.add(name)
                yield Added(name=name, patch=patch)

    def _wrapped(
        self, value: V, find: Callable[[V], Iterable[Patch]], whole: ApplyTo | None
    ) -> Iterator[V | Patched]:
        patches = tuple(find(value))
        if any(p.apply_to is whole and p.operation is Operation.REMOVE for p in patches):
            return
        if patches:
            assert isinstance(value, Cluster | Listener | RouteConfiguration)
            yield Patched(value=value, patches=patches)
        else:
            yield value

    # --- listeners -----------------------------------------------------------------------

    def _listener(self, value: Listener) -> Iterator[Patch]:
        side = self._side(inbound=value.direction is Direction.INBOUND)
        inline = list(_inline(value)) if side is PatchContext.SIDECAR_INBOUND else []
        for said in self._said:
            if said.context not in (PatchContext.ANY, side):
                continue
            if said.patch.apply_to in _LISTENERS:
                yield from _for_listener(said, value)
            elif said.patch.apply_to in _ROUTES:
                meant = tuple(n for n in inline if self._means(said, n, side))
                if meant:
                    host = msgspec.structs.replace(said.patch.host, configurations=meant)
                    yield msgspec.structs.replace(said.patch, host=host)

    def _side(self, *, inbound: bool) -> PatchContext:
        if self._view.role is Role.ROUTER:
            return PatchContext.GATEWAY
        return PatchContext.SIDECAR_INBOUND if inbound else PatchContext.SIDECAR_OUTBOUND

    # --- routes --------------------------------------------------------------------------

    def _routes(self, value: RouteConfiguration) -> Iterator[Patch]:
        side = self._side(inbound=False)
        for said in self._said:
            if (
                said.patch.apply_to in _ROUTES
                and said.context in (PatchContext.ANY, side)
                and self._means(said, value.name, side)
            ):
                yield said.patch

    def _means(self, said: _Said, name: str, side: PatchContext) -> bool:
        """Tell whether the conditions on a route configuration hold."""
        match = said.match.route_configuration
        if match is None:
            return True
        if match.name not in ("", name):
            return False
        parsed = names.parse_route(name)
        if side is not PatchContext.GATEWAY:
            number = (
                parsed.port if isinstance(parsed, names.PortRoute | names.InboundCluster) else 0
            )
            return match.port_number in (0, number)
        tls = parsed if isinstance(parsed, names.GatewayTlsRoute) else None
        gateway = f"{tls.namespace}/{tls.gateway}" if tls else ""
        return (
            match.port_name in ("", tls.port_name if tls else "")
            and match.gateway in ("", gateway)
            and (not match.port_number or match.port_number in self._ports(name))
        )

    def _ports(self, name: str) -> frozenset[int]:
        """Return the ports, as Gateways write them, that a route configuration is for."""
        if self._numbers is None:
            merged = gateway_servers.merge(Perspective(self._snapshot, self._view))
            self._numbers = {
                route: frozenset(served.number for served in servers)
                for route, servers in merged.by_route().items()
            }
        return self._numbers.get(name, frozenset())

    # --- clusters ------------------------------------------------------------------------

    def _cluster(self, value: Cluster) -> Iterator[Patch]:
        parsed = names.parse_cluster(value.name)
        inbound = isinstance(parsed, names.InboundCluster)
        side = self._side(inbound=inbound or value.name == names.INBOUND_PASSTHROUGH)
        for said in self._said:
            if (
                said.patch.apply_to is ApplyTo.CLUSTER
                and said.patch.operation is not Operation.ADD
                and said.context in (PatchContext.ANY, side)
                and self._is_cluster(said.match.cluster, value, parsed)
            ):
                yield said.patch

    def _is_cluster(
        self, match: kind.ClusterMatch | None, value: Cluster, parsed: names.ClusterName | None
    ) -> bool:
        if match is None:
            return True
        if match.name:
            return match.name == value.name
        hosts: frozenset[str] = frozenset()
        subset = ""
        if isinstance(parsed, names.InboundCluster):
            hosts = frozenset(
                i.hostname for i in self._view.instances if i.target_port == parsed.port
            )
        elif parsed is not None:
            hosts, subset = frozenset({parsed.host}), parsed.subset
        return (
            match.subset in ("", subset)
            and (not match.service or match.service in hosts)
            and match.port_number in (0, parsed.port if parsed is not None else 0)
        )


def _sides(view: View) -> tuple[PatchContext, ...]:
    if view.role is Role.ROUTER:
        return (PatchContext.GATEWAY,)
    return (PatchContext.SIDECAR_INBOUND, PatchContext.SIDECAR_OUTBOUND)


def _all(snapshot: Snapshot, view: View) -> Iterator[_Said]:
    for ref in view.patches:
        resource = snapshot.envoy_filter(ref.namespace, ref.name)
        if resource is not None:
            yield from _said(resource, ref.index)


def _said(resource: Resource, index: int) -> Iterator[_Said]:
    assert isinstance(resource.spec, kind.EnvoyFilter)
    config = resource.spec.config_patches[index]
    if config.patch is None or config.apply_to is kind.ApplyTo.INVALID:
        return
    if config.patch.operation is kind.Operation.INVALID:
        return
    match = config.match or kind.ObjectMatch()
    apply_to, operation = ApplyTo(config.apply_to.value), Operation(config.patch.operation.value)
    if operation in _INSERTS and apply_to not in _ORDERED:
        operation = Operation.ADD
    value = config.patch.value
    yield _Said(
        Patch(
            apply_to=apply_to,
            operation=operation,
            message=kind.MESSAGES[config.apply_to],
            filter_class=FilterClass(config.patch.filter_class.value),
            chain=_chain(match.listener),
            listener_filter=match.listener.listener_filter if match.listener else "",
            host=_host(match.route_configuration),
            value=_json(value) if value else "",
            origin=origin(resource, f"spec.configPatches[{index}]"),
        ),
        match,
    )


def _json(value: Mapping[str, object]) -> str:
    # Maps are decoded to read-only ones, which msgspec does not know.
    return msgspec.json.encode(dict(value), enc_hook=dict, order="sorted").decode()


def _chain(match: kind.ListenerMatch | None) -> ChainMatch:
    said = match.filter_chain if match is not None else None
    if said is None:
        return ChainMatch()
    sub = said.filter.sub_filter if said.filter is not None else None
    protocols = said.application_protocols
    return ChainMatch(
        name=said.name,
        sni=said.sni,
        transport=said.transport_protocol,
        protocols=tuple(protocols.split(",")) if protocols else (),
        destination_port=said.destination_port,
        filter=said.filter.name if said.filter is not None else None,
        sub_filter=sub.name if sub is not None else None,
    )


def _host(match: kind.RouteConfigurationMatch | None) -> HostMatch:
    said = match.vhost if match is not None else None
    if said is None:
        return HostMatch()
    route = said.route
    return HostMatch(
        name=said.name,
        domain=said.domain_name,
        names_route=route is not None,
        route=route.name if route is not None else "",
        action=_ACTIONS[route.action] if route is not None else "",
    )


def _for_listener(said: _Said, value: Listener) -> Iterator[Patch]:
    """Yield the patch if the conditions on the listener hold.

    The two listeners that stand for all ports are told apart by their chains' ports.
    """
    patch, match = said.patch, said.match.listener
    if patch.apply_to is ApplyTo.LISTENER and patch.operation is Operation.ADD:
        return
    if match is None:
        yield patch
    elif match.name in ("", value.name):
        if patch.apply_to is not ApplyTo.LISTENER and value.name in _VIRTUAL:
            chain = msgspec.structs.replace(patch.chain, port=match.port_number)
            yield msgspec.structs.replace(patch, chain=chain)
        elif match.port_number in (0, value.port):
            yield patch


def _inline(value: Listener) -> Iterator[str]:
    """Yield the names of the route configurations that a listener has inside."""
    chains: list[FilterChain] = list(value.chains)
    if value.default_chain is not None:
        chains.append(value.default_chain)
    found = {
        chain.filter.routes.name: None
        for chain in chains
        if isinstance(chain.filter, HttpConnectionManager) and chain.filter.routes is not None
    }
    yield from found
