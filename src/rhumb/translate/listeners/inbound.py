"""Listeners of sidecars, inbound: one for redirected traffic, and those a Sidecar wants bound."""

from collections.abc import Iterable, Iterator

import msgspec

from rhumb.ir.listener import (
    Direction,
    FilterChain,
    Listener,
    ListenerFilter,
    ListenerFilterKind,
)
from rhumb.ir.match import ConnectionMatch, Transport
from rhumb.ir.origin import Origin, origin
from rhumb.ir.tls import DownstreamTls
from rhumb.model.kinds.gateway import ServerTls
from rhumb.model.kinds.sidecar import CaptureMode, IngressListener
from rhumb.model.proxy import Interception
from rhumb.model.resource import Resource
from rhumb.model.service import Protocol
from rhumb.registry.protocols import declared
from rhumb.snapshot.snapshot import Mtls, MtlsMode
from rhumb.translate import names, telemetry
from rhumb.translate.listeners import filters
from rhumb.translate.listeners.inbound_matches import Offer, offers, terminated
from rhumb.translate.listeners.tls import mesh_tls, server_tls, terminates
from rhumb.translate.perspective import WILDCARD, WILDCARD_V6, Perspective
from rhumb.translate.routes import inbound as inbound_routes

_PLAIN_HTTP = frozenset({"http/1.1", "h2c"})
_RESERVED = frozenset({15021, 15090})


class Inbound(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """One port of the workload that gets chains."""

    port: int
    """0: every port that has none of its own."""
    protocol: Protocol
    cluster: str
    chain: str
    http_chain: str
    """Name of the chains that carry HTTP."""
    host: str
    namespace: str
    bind: str = ""
    """Empty: redirected traffic only; otherwise the port is bound at this address."""
    tls: ServerTls | None = None
    origin: tuple[Origin, ...] = ()


def listeners(seen: Perspective) -> tuple[Listener, ...]:
    """Return every inbound listener of a sidecar."""
    made: list[Listener] = []
    redirected: list[FilterChain] = []
    for port in ports(seen):
        mtls = seen.snapshot.mtls(seen.view.namespace, seen.view.labels, port.port)
        chains = _chains(seen, port, mtls)
        if port.bind:
            made.append(_bound(seen, port, chains))
        else:
            redirected += chains
    if seen.view.interception is not Interception.NONE:
        made.insert(0, _virtual(seen, (*_passthrough(seen), *redirected)))
    return tuple(made)


def ports(seen: Perspective) -> tuple[Inbound, ...]:
    """Return the workload's ports: those of a Sidecar's ingress listeners, else those its services target.

    Two services that target one port: the older gives protocol and name.
    """
    spec = seen.scope.spec
    if spec is not None and spec.ingress:
        return _of_sidecar(seen, spec.ingress)
    if seen.view.interception is Interception.NONE:
        return ()
    found: dict[int, Inbound] = {}
    for served in seen.view.instances:
        number = served.target_port
        if number in found or number in _RESERVED | {seen.mesh.proxy_inbound_listen_port}:
            continue
        if served.port.protocol is Protocol.UDP:
            continue
        name = names.listener(_wildcard(seen), number)
        found[number] = Inbound(
            port=number,
            protocol=served.port.protocol,
            cluster=str(names.InboundCluster(number)),
            chain=name,
            http_chain=name,
            host=served.hostname,
            namespace=served.namespace,
        )
    return tuple(found[number] for number in sorted(found))


def _of_sidecar(seen: Perspective, ingress: Iterable[IngressListener]) -> tuple[Inbound, ...]:
    found: dict[int, Inbound] = {}
    for at, listener in enumerate(ingress):
        if listener.port is None or listener.port.number in found:
            continue
        number = listener.port.number
        binds = listener.capture_mode is CaptureMode.NONE or (
            listener.capture_mode is CaptureMode.DEFAULT
            and seen.view.interception is Interception.NONE
        )
        address = listener.bind or seen.view.address or _wildcard(seen)
        name = names.listener(address, number)
        sidecar = seen.scope.sidecar
        instance = seen.view.instance_at(number)
        own = f"{sidecar.meta.name}.{sidecar.meta.namespace}" if sidecar else ""
        found[number] = Inbound(
            port=number,
            protocol=declared(listener.port.protocol),
            cluster=str(names.InboundCluster(number)),
            chain=name,
            http_chain=name,
            host=instance.hostname if instance else own,
            namespace=seen.view.namespace,
            bind=address if binds else "",
            tls=listener.tls,
            origin=_cite(sidecar, f"spec.ingress[{at}]"),
        )
    return tuple(found[number] for number in sorted(found))


def _cite(resource: Resource | None, field: str) -> tuple[Origin, ...]:
    return (origin(resource, field),) if resource is not None else ()


def _wildcard(seen: Perspective) -> str:
    return WILDCARD_V6 if seen.view.capabilities.ipv6 else WILDCARD


def _passthrough(seen: Perspective) -> Iterator[FilterChain]:
    """Yield the chains of ports that no service targets, single ports with a mode of their own included."""
    yield FilterChain(
        name=names.INBOUND_BLACK_HOLE_CHAIN,
        match=ConnectionMatch(port=seen.mesh.proxy_inbound_listen_port),
        filter=filters.inbound_tcp(
            seen, cluster=names.BLACK_HOLE, host="", namespace=seen.view.namespace
        ),
    )
    view = seen.view
    anywhere = _any_port(seen, 0)
    yield from _chains(seen, anywhere, seen.snapshot.mtls(view.namespace, view.labels, 0))
    served = {port.port for port in ports(seen)}
    for number, mtls in seen.snapshot.port_mtls(view.namespace, view.labels):
        if number not in served:
            yield from _chains(seen, _any_port(seen, number), mtls)


def _any_port(seen: Perspective, number: int) -> Inbound:
    return Inbound(
        port=number,
        protocol=Protocol.AUTO,
        cluster=names.INBOUND_PASSTHROUGH,
        chain=names.INBOUND_CATCH_ALL_CHAIN,
        http_chain=names.INBOUND_CATCH_ALL_HTTP_CHAIN,
        host=names.INBOUND_PASSTHROUGH,
        namespace=seen.view.namespace,
    )


def _chains(seen: Perspective, port: Inbound, mtls: Mtls) -> tuple[FilterChain, ...]:
    """Return the chains of a port. A Sidecar's own TLS counts only where mutual TLS is off."""
    tls = mesh_tls(seen)
    wanted = offers(mtls.mode, port.protocol)
    own = port.tls
    if own is not None and terminates(own) and mtls.mode is MtlsMode.DISABLE:
        protocol = terminated(port.protocol)
        port = msgspec.structs.replace(port, protocol=protocol)
        tls = server_tls(seen, own, is_http=protocol.is_http)
        wanted = (Offer(http=protocol.is_http, transport=Transport.TLS, decrypts=True),)
    cited = port.origin
    if mtls.resource is not None:
        cited = (*cited, origin(mtls.resource, mtls.field))
    return tuple(_chain(seen, port, offer, tls, cited) for offer in wanted)


def _chain(
    seen: Perspective, port: Inbound, offer: Offer, tls: DownstreamTls, cited: tuple[Origin, ...]
) -> FilterChain:
    match = ConnectionMatch(port=port.port, transport=offer.transport, protocols=offer.protocols)
    encrypted = tls if offer.decrypts else None
    if not offer.http:
        proxy = filters.inbound_tcp(
            seen, cluster=port.cluster, host=port.host, namespace=port.namespace
        )
        if offer.decrypts or offer.transport is not Transport.TLS:
            proxy = filters.decoded(proxy, port.protocol)
        return FilterChain(name=port.chain, match=match, filter=proxy, tls=encrypted, origin=cited)
    manager = filters.inbound_http(
        seen,
        chain=names.listener(_wildcard(seen), port.port),
        routes=inbound_routes.configuration(
            port.cluster,
            port.port,
            host=port.host,
            protocol=port.protocol,
            retries=seen.mesh.config.default_inbound_http_retry_policy,
        ),
        protocol=port.protocol,
        host=port.host,
        namespace=port.namespace,
    )
    return FilterChain(
        name=port.http_chain, match=match, filter=manager, tls=encrypted, origin=cited
    )


def _virtual(seen: Perspective, chains: tuple[FilterChain, ...]) -> Listener:
    is_transparent = seen.view.interception is Interception.TPROXY
    before = [ListenerFilter(ListenerFilterKind.ORIGINAL_DST)]
    if is_transparent:
        before.append(ListenerFilter(ListenerFilterKind.ORIGINAL_SRC))
    return Listener(
        name=names.VIRTUAL_INBOUND,
        address=_wildcard(seen),
        additional=seen.more_wildcards(_wildcard(seen)),
        port=seen.mesh.proxy_inbound_listen_port,
        direction=Direction.INBOUND,
        binds=True,
        transparent=is_transparent,
        filters=(*before, *_inspectors(chains)),
        detection_timeout_ms=seen.mesh.protocol_detection_timeout_ms,
        chains=chains,
        access_logs=telemetry.listener_logs(seen),
    )


def _bound(seen: Perspective, port: Inbound, chains: tuple[FilterChain, ...]) -> Listener:
    return Listener(
        name=port.chain,
        address=port.bind,
        port=port.port,
        direction=Direction.INBOUND,
        binds=True,
        filters=_inspectors(chains),
        detection_timeout_ms=seen.mesh.protocol_detection_timeout_ms,
        chains=chains,
        access_logs=telemetry.listener_logs(seen),
        origin=port.origin,
    )


def _inspectors(chains: tuple[FilterChain, ...]) -> tuple[ListenerFilter, ...]:
    """Return the inspectors, off at ports where nothing depends on them: declared TCP must not wait."""
    tls: dict[int, bool] = {}
    http: dict[int, bool] = {}
    for chain in chains:
        number = chain.match.port
        needs_tls = chain.match.transport is Transport.TLS
        needs_http = not _PLAIN_HTTP.isdisjoint(chain.match.protocols)
        tls[number] = tls.get(number, False) or needs_tls
        http[number] = http.get(number, False) or needs_http
    made = (
        _inspector(ListenerFilterKind.TLS_INSPECTOR, tls),
        _inspector(ListenerFilterKind.HTTP_INSPECTOR, http),
    )
    return tuple(found for found in made if found is not None)


def _inspector(kind: ListenerFilterKind, needed: dict[int, bool]) -> ListenerFilter | None:
    if not any(needed.values()):
        return None
    only = not needed.get(0, False)
    return ListenerFilter(kind, tuple(sorted(n for n in needed if n and needed[n] is only)), only)
