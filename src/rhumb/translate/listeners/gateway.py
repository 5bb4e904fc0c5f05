"""Listeners of gateways: one for each address and port, a chain for each TLS server or passed-through name."""

from collections.abc import Iterator

import msgspec

from rhumb.base import hosts
from rhumb.ir.listener import (
    Direction,
    FilterChain,
    Listener,
    ListenerFilter,
    ListenerFilterKind,
    TcpProxy,
)
from rhumb.ir.match import ConnectionMatch
from rhumb.ir.origin import origin
from rhumb.ir.tls import DownstreamTls
from rhumb.model.kinds.gateway import ServerTlsMode
from rhumb.model.kinds.virtual_service import L4MatchAttributes, TlsMatchAttributes
from rhumb.model.service import Port, Protocol, Service
from rhumb.snapshot.snapshot import Routing
from rhumb.translate import names, telemetry
from rhumb.translate.gateway_servers import Merged, Served, intersection
from rhumb.translate.listeners import filters
from rhumb.translate.listeners.inbound_matches import MTLS_ANY
from rhumb.translate.listeners.outbound_chains import connection
from rhumb.translate.listeners.tls import server_tls
from rhumb.translate.perspective import WILDCARD, WILDCARD_V6, Perspective
from rhumb.translate.profile import buffer_bytes

_HANDSHAKE_TIMEOUT_MS = 15_000
"""Istio's: a client that never finishes its handshake costs no memory for ever."""


def listeners(seen: Perspective, merged: Merged) -> tuple[Listener, ...]:
    """Return the listeners of all servers in force; a port without any route to offer has none."""
    made = [
        _listener(seen, bind, port, servers) for (bind, port), servers in merged.ports().items()
    ]
    found = [listener for listener in made if listener is not None]
    return tuple(sorted(found, key=lambda listener: listener.name))


def _listener(seen: Perspective, bind: str, port: int, servers: list[Served]) -> Listener | None:
    can = seen.view.capabilities
    address = bind or can.bind or (WILDCARD_V6 if can.ipv6 else WILDCARD)
    name = names.listener(address, port)
    chains = tuple(_chains(seen, name, servers))
    if not chains:
        return None
    topology = seen.proxy_config.gateway_topology
    before = []
    if topology is not None and topology.proxy_protocol is not None:
        before.append(ListenerFilter(ListenerFilterKind.PROXY_PROTOCOL))
    if any(c.match.server_names or (c.tls is not None and c.tls.alpn) for c in chains):
        before.append(ListenerFilter(ListenerFilterKind.TLS_INSPECTOR))
    return Listener(
        name=name,
        address=address,
        port=port,
        direction=Direction.OUTBOUND,
        binds=True,
        filters=tuple(before),
        detection_timeout_ms=None,
        continues_on_timeout=False,
        chains=chains,
        buffer_bytes=buffer_bytes(seen),
        access_logs=telemetry.listener_logs(seen),
        origin=tuple(dict.fromkeys(s.origin for s in servers)),
    )


def _chains(seen: Perspective, name: str, servers: list[Served]) -> Iterator[FilterChain]:
    """Yield the chains of one port, each match once: Envoy refuses a listener with two alike."""
    matches: set[ConnectionMatch] = set()
    for served in servers:
        for chain in _of_server(seen, name, served):
            taken = {n for m in matches for n in m.server_names}
            left = tuple(n for n in chain.match.server_names if n not in taken)
            if chain.match in matches or (chain.match.server_names and not left):
                continue
            match = msgspec.structs.replace(chain.match, server_names=left)
            matches.add(match)
            yield msgspec.structs.replace(chain, match=match)


def _of_server(seen: Perspective, name: str, served: Served) -> Iterator[FilterChain]:
    if served.protocol.is_http:
        yield _http(seen, name, served, None)
    elif served.is_http:
        yield _http(seen, name, served, _tls(seen, served))
    elif served.passes_through:
        yield from _passed_through(seen, served)
    else:
        yield from _tcp(seen, served)


def _http(seen: Perspective, name: str, served: Served, tls: DownstreamTls | None) -> FilterChain:
    prefix = f"outbound_{name};" if tls is None or not served.server.name else served.server.name
    manager = filters.gateway_http(
        seen, stat_prefix=prefix, rds=served.route, protocol=served.protocol
    )
    return FilterChain(
        match=connection((), served.server_names if tls is not None else ()),
        filter=manager,
        tls=tls,
        handshake_timeout_ms=_HANDSHAKE_TIMEOUT_MS if tls is not None else 0,
        origin=(served.origin,),
    )


def _tls(seen: Perspective, served: Served) -> DownstreamTls | None:
    if served.server.tls is None:
        return None
    return server_tls(seen, served.server.tls, is_http=served.is_http)


def _tcp(seen: Perspective, served: Served) -> Iterator[FilterChain]:
    """Yield the chain of a TCP server, TLS terminated or not: the first rule that is for it."""
    for routing in _routing(seen, served):
        meta = routing.resource.meta
        for at, rule in enumerate(routing.spec.tcp):
            applies = not rule.match or any(_is_for(m, served) for m in rule.match)
            if not applies or not rule.route:
                continue
            proxy = filters.routed_tcp(
                seen, rule.route, owner=f"{meta.name}.{meta.namespace}", port=served.number
            )
            tls = _tls(seen, served) if served.is_tls else None
            yield FilterChain(
                match=connection((), served.server_names if tls is not None else ()),
                filter=filters.decoded(proxy, served.protocol),
                tls=tls,
                handshake_timeout_ms=_HANDSHAKE_TIMEOUT_MS if tls is not None else 0,
                origin=(served.origin, origin(routing.resource, f"spec.tcp[{at}]")),
            )
            return


def _passed_through(seen: Perspective, served: Served) -> Iterator[FilterChain]:
    """Yield a chain for each name that is routed by SNI, its TLS untouched."""
    tls = served.server.tls
    if tls is not None and tls.mode is ServerTlsMode.AUTO_PASSTHROUGH:
        yield from _automatic(seen, served)
        return
    for routing in _routing(seen, served):
        meta = routing.resource.meta
        for at, rule in enumerate(routing.spec.tls):
            for match in rule.match:
                if not _is_for(match, served) or not rule.route:
                    continue
                proxy = filters.routed_tcp(
                    seen, rule.route, owner=f"{meta.name}.{meta.namespace}", port=served.number
                )
                yield FilterChain(
                    match=connection((), match.sni_hosts),
                    filter=proxy,
                    origin=(served.origin, origin(routing.resource, f"spec.tls[{at}]")),
                )


def _automatic(seen: Perspective, served: Served) -> Iterator[FilterChain]:
    """Yield a chain for every service port and subset whose name the client may carry as SNI.

    Only connections that offer Istio's mutual TLS are taken, so that nothing is reached in plain text.
    """
    for service in seen.scope.services:
        if service.mesh_external or not any(
            hosts.covers(h, service.hostname) for h in served.server_names
        ):
            continue
        rule = seen.rule(service)
        subsets = ("", *(s.name for s in rule.subsets)) if rule else ("",)
        for port in service.ports:
            if port.protocol is Protocol.UDP:
                continue
            for subset in subsets:
                yield _direct(seen, served, service, port, subset)


def _direct(
    seen: Perspective, served: Served, service: Service, port: Port, subset: str
) -> FilterChain:
    cluster = str(names.SniCluster(port.number, service.hostname, subset))
    proxy: TcpProxy = msgspec.structs.replace(
        filters.outbound_tcp(seen, service, cluster, subset), tunnel=None
    )
    return FilterChain(
        match=ConnectionMatch(server_names=(cluster,), protocols=MTLS_ANY),
        filter=proxy,
        origin=(served.origin,),
    )


def _routing(seen: Perspective, served: Served) -> Iterator[Routing]:
    """Yield the VirtualServices bound to a server whose hosts meet those of the server."""
    for routing in seen.snapshot.gateway_routing(seen.view, served.gateway.name):
        namespace = routing.resource.meta.namespace
        if intersection(served.hosts_for(namespace), routing.spec.hosts):
            yield routing


def _is_for(match: L4MatchAttributes | TlsMatchAttributes, served: Served) -> bool:
    return match.port in (0, served.number) and (
        not match.gateways or served.gateway.name in match.gateways
    )
