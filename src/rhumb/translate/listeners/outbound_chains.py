"""The chains of one service port, outbound: HTTP over RDS, TLS by SNI, TCP by destination."""

import ipaddress
from collections.abc import Iterable, Iterator

import msgspec

from rhumb.base import hosts
from rhumb.ir.listener import FilterChain, TcpProxy
from rhumb.ir.match import Cidr, ConnectionMatch, Transport
from rhumb.ir.origin import origin
from rhumb.ir.route import RouteConfiguration
from rhumb.model.kinds.virtual_service import L4MatchAttributes, RouteDestination
from rhumb.model.service import Port, Protocol, Service
from rhumb.snapshot.snapshot import EgressListener, Routing
from rhumb.translate import names
from rhumb.translate.listeners import filters
from rhumb.translate.perspective import Perspective
from rhumb.translate.profile import routed
from rhumb.translate.routes.catch_all import catch_all_host
from rhumb.translate.routes.domains import alternatives
from rhumb.translate.routes.matching import MESH, applies_l4

PLAINTEXT_HTTP = ("http/1.0", "http/1.1", "h2c")
"""What the HTTP inspector finds in plain text."""


class Place(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """One service port and the listener it is about to join."""

    service: Service
    port: Port
    """Port of the listener: the service's, or that of a Sidecar's egress listener (0: a Unix socket)."""
    bind: str
    wildcard: str
    """0.0.0.0 or ::."""
    binds: bool
    listener: EgressListener
    cidrs: tuple[Cidr, ...] = ()
    """Destinations of the service, where the listener takes others too."""

    @property
    def name(self) -> str:
        """Return the name of the listener."""
        return names.listener(self.bind, self.port.number)

    @property
    def on_wildcard(self) -> bool:
        """Tell whether the listener takes every address."""
        return self.bind == self.wildcard


def http_chain(seen: Perspective, place: Place, *, sniffed: bool) -> FilterChain:
    """Return the HTTP chain; beside other chains it takes only what the inspector knows as HTTP."""
    rds = place.bind if not place.port.number else str(place.port.number)
    if place.port.protocol is Protocol.AUTO and not place.on_wildcard and place.port.number:
        rds = str(names.HostRoute(place.service.hostname, place.port.number))
    offers = place.port.protocol is Protocol.AUTO and _stays_inside(seen, place)
    manager = filters.outbound_http(
        seen, listener=place.name, rds=rds, protocol=place.port.protocol, offers_istio=offers
    )
    match = ConnectionMatch(transport=Transport.RAW, protocols=PLAINTEXT_HTTP)
    return FilterChain(match=match if sniffed else ConnectionMatch(), filter=manager)


def tcp_chains(seen: Perspective, place: Place) -> tuple[FilterChain, ...]:
    """Return the chains of a port whose bytes are not looked into, or only for SNI."""
    # Most VirtualServices are about HTTP alone: their hosts are not worth a look for each port.
    bound = [
        r
        for r in place.listener.routing
        if (r.spec.tcp or r.spec.tls)
        and any(hosts.overlap(h.lower(), place.service.hostname) for h in r.spec.hosts)
    ]
    if place.port.protocol.is_tls:
        return tuple(_tls(seen, place, bound))
    return tuple(_tcp(seen, place, bound))


def passthrough_chain(seen: Perspective) -> FilterChain:
    """Return what takes the connections that no service of a listener is meant by."""
    return FilterChain(name=names.PASSTHROUGH_CHAIN, filter=catch_all(seen))


def resolving_chain(seen: Perspective) -> FilterChain:
    """Return what takes HTTP requests to unknown hosts, which are resolved by name."""
    routes = RouteConfiguration(
        name=names.ALLOW_ANY_DYNAMIC_DNS, virtual_hosts=(catch_all_host(seen.scope),)
    )
    prefix = f"{names.VIRTUAL_OUTBOUND}_{names.ALLOW_ANY_DYNAMIC_DNS}"
    return FilterChain(
        name=names.OUTBOUND_CATCH_ALL_HTTP_CHAIN,
        match=ConnectionMatch(protocols=PLAINTEXT_HTTP),
        filter=filters.outbound_http(
            seen, listener=prefix, routes=routed(seen, routes), protocol=Protocol.HTTP
        ),
    )


def catch_all(seen: Perspective) -> TcpProxy:
    """Return the proxy for unknown destinations: through, to the egress proxy, or nowhere."""
    scope = seen.scope
    if not scope.outbound_allow_any:
        return filters.plain_tcp(seen, names.BLACK_HOLE)
    host, port, subset = scope.egress_proxy
    if host:
        return filters.plain_tcp(seen, str(names.OutboundCluster(port, host, subset)))
    return filters.plain_tcp(seen, names.PASSTHROUGH)


def cidr(text: str) -> Cidr | None:
    """Read an address or a range; None for anything else."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    return Cidr(str(network.network_address), network.prefixlen)


def cidrs(texts: Iterable[str]) -> tuple[Cidr, ...]:
    """Read ranges, sorted, each once."""
    return tuple(sorted({found for text in texts if (found := cidr(text)) is not None}))


def _tls(seen: Perspective, place: Place, bound: list[Routing]) -> Iterator[FilterChain]:
    handled: set[tuple[object, ...]] = set()
    for routing in bound:
        for at, rule in enumerate(routing.spec.tls):
            for match in rule.match:
                if not applies_l4(seen, match, gateway=MESH, port=place.port.number):
                    continue
                subnets = match.destination_subnets if place.port.number else ()
                key = (match.sni_hosts, subnets)
                if key in handled or not rule.route:
                    continue
                handled.add(key)
                server_names = _matchable(match.sni_hosts)
                if match.sni_hosts and not server_names:
                    continue
                yield _routed(
                    seen,
                    place,
                    routing,
                    rule.route,
                    cidrs(subnets) or place.cidrs,
                    server_names=server_names,
                    field=f"spec.tls[{at}]",
                )
    if not handled:
        wanted = _server_names(seen, place)
        server_names = _matchable(wanted)
        # Without a name only addresses tell the service apart.
        if server_names or place.cidrs or not wanted:
            yield _default(seen, place, server_names=server_names)


def _matchable(server_names: Iterable[str]) -> tuple[str, ...]:
    """Return the names without partial wildcards ("*-a.b"): Envoy refuses a whole listener for one."""
    return tuple(n for n in server_names if n == "*" or "*" not in n.removeprefix("*."))


def _server_names(seen: Perspective, place: Place) -> tuple[str, ...]:
    """Return the names that tell a TLS service apart, where its address does not."""
    addresses = [a for a in seen.addresses(place.service) if "/" not in a]
    if not place.cidrs and not (place.on_wildcard and not addresses):
        return ()
    found = [place.service.hostname]
    for alias in seen.aliases(place.service):
        found += [alias, *alternatives(alias, seen.view)]
    return tuple(found)


def _tcp(seen: Perspective, place: Place, bound: list[Routing]) -> Iterator[FilterChain]:
    for routing in bound:
        for at, rule in enumerate(routing.spec.tcp):
            if not rule.route:
                continue
            field = f"spec.tcp[{at}]"
            subnets, everywhere = _destinations(seen, place, rule.match)
            if everywhere:
                yield _routed(seen, place, routing, rule.route, place.cidrs, field=field)
                return
            if subnets:
                yield _routed(seen, place, routing, rule.route, subnets, field=field)
                if subnets == place.cidrs:
                    return
    yield _default(seen, place)


def _destinations(
    seen: Perspective, place: Place, matches: tuple[L4MatchAttributes, ...]
) -> tuple[tuple[Cidr, ...], bool]:
    """Return the subnets that a TCP rule is for, and whether it is for every destination."""
    if not matches:
        return (), True
    found: list[str] = []
    for match in matches:
        if not applies_l4(seen, match, gateway=MESH, port=place.port.number):
            continue
        if not match.destination_subnets or not place.port.number:
            return (), True
        found += match.destination_subnets
    return cidrs(found), False


def _routed(
    seen: Perspective,
    place: Place,
    routing: Routing,
    destinations: tuple[RouteDestination, ...],
    ranges: tuple[Cidr, ...],
    *,
    server_names: tuple[str, ...] = (),
    field: str,
) -> FilterChain:
    meta = routing.resource.meta
    return FilterChain(
        match=connection(ranges, server_names),
        filter=filters.decoded(
            filters.routed_tcp(
                seen, destinations, owner=f"{meta.name}.{meta.namespace}", port=place.port.number
            ),
            place.port.protocol,
        ),
        origin=(origin(routing.resource, field),),
    )


def _default(seen: Perspective, place: Place, *, server_names: tuple[str, ...] = ()) -> FilterChain:
    ports = place.service.ports
    number = ports[0].number if len(ports) == 1 else place.port.number
    cluster = str(names.OutboundCluster(number, place.service.hostname))
    proxy = filters.outbound_tcp(seen, place.service, cluster)
    proxy = filters.decoded(proxy, place.port.protocol)
    return FilterChain(
        match=connection(place.cidrs, server_names),
        filter=filters.sni_resolved(proxy, place.service, place.port),
    )


def connection(ranges: tuple[Cidr, ...], server_names: tuple[str, ...]) -> ConnectionMatch:
    """Return a match in one spelling, so that equal matches are equal values; SNI `*` is any."""
    return ConnectionMatch(
        destinations=ranges,
        server_names=tuple(sorted({s.lower() for s in server_names}))
        if "*" not in server_names
        else (),
    )


def _stays_inside(seen: Perspective, place: Place) -> bool:
    """Tell whether all HTTP of a sniffed port goes to services of the mesh.

    Only these may be offered Istio's protocols: other servers could refuse such a handshake.
    """
    if place.service.mesh_external:
        return False
    for routing in place.listener.routing:
        if not any(hosts.overlap(h.lower(), place.service.hostname) for h in routing.spec.hosts):
            continue
        for rule in routing.spec.http:
            for each in rule.route:
                service = seen.scope.service(each.destination.host) if each.destination else None
                if service is None or service.mesh_external:
                    return False
    return True
