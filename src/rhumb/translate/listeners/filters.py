"""The terminal filters of chains: HTTP connection managers and TCP proxies, per direction."""

import msgspec

from rhumb.ir.listener import (
    CertificateDetails,
    ClientCertificate,
    Direction,
    HttpConnectionManager,
    HttpFilterKind,
    PathNormalization,
    TcpProxy,
    TcpTarget,
    Tunnel,
)
from rhumb.ir.policy import HashKind, HashPolicy
from rhumb.ir.route import RouteConfiguration
from rhumb.model.kinds.destination_rule import DestinationRule, TrafficPolicy
from rhumb.model.kinds.proxy_config import GatewayTopology
from rhumb.model.kinds.virtual_service import RouteDestination
from rhumb.model.service import Port, Protocol, Resolution, Service
from rhumb.translate import telemetry
from rhumb.translate.perspective import Perspective
from rhumb.translate.profile import CERTIFICATES, managed
from rhumb.translate.routes.actions import cluster_of

_BOTH = (HttpFilterKind.FAULT, HttpFilterKind.CORS, HttpFilterKind.ROUTER)


def outbound_http(
    seen: Perspective,
    *,
    listener: str,
    rds: str = "",
    routes: RouteConfiguration | None = None,
    protocol: Protocol,
    offers_istio: bool = False,
) -> HttpConnectionManager:
    """Return the connection manager of an outbound HTTP chain, its routes by name or inline.

    `offers_istio`: upstream connections offer Istio's HTTP protocols, so that a server whose port
    is sniffed knows HTTP inside mutual TLS from TCP.
    """
    filters = _BOTH if not offers_istio else (HttpFilterKind.ALPN, *_BOTH)
    made = HttpConnectionManager(
        stat_prefix=f"outbound_{listener};",
        direction=Direction.OUTBOUND,
        rds=rds,
        routes=routes,
        filters=_with_resolver(seen, _with_grpc_web(filters, protocol)),
        accepts_http10=seen.view.capabilities.http10,
        path_normalization=_normalization(seen),
        access_logs=telemetry.access_logs(seen),
        metrics=telemetry.outbound_metrics(seen),
        allows_absolute_url=protocol is Protocol.HTTP_PROXY,
    )
    return managed(seen, made)


def inbound_http(
    seen: Perspective,
    *,
    chain: str,
    routes: RouteConfiguration,
    protocol: Protocol,
    host: str,
    namespace: str,
) -> HttpConnectionManager:
    """Return the connection manager of an inbound HTTP chain."""
    made = HttpConnectionManager(
        stat_prefix=f"inbound_{chain};",
        direction=Direction.INBOUND,
        routes=routes,
        filters=_with_grpc_web((HttpFilterKind.ROUTER,), protocol),
        client_certificate=ClientCertificate.APPEND,
        server_name="istio-envoy",
        accepts_http10=seen.view.capabilities.http10,
        path_normalization=_normalization(seen),
        access_logs=telemetry.access_logs(seen),
        metrics=telemetry.inbound_metrics(seen, host, namespace),
    )
    return managed(seen, made)


def gateway_http(
    seen: Perspective, *, stat_prefix: str, rds: str, protocol: Protocol
) -> HttpConnectionManager:
    """Return the connection manager of a gateway server: the first hop that can be trusted."""
    topology = seen.proxy_config.gateway_topology or GatewayTopology()
    made = HttpConnectionManager(
        stat_prefix=stat_prefix,
        direction=Direction.OUTBOUND,
        rds=rds,
        filters=_with_resolver(seen, _with_grpc_web(_BOTH, protocol)),
        use_remote_address=True,
        trusted_hops=topology.num_trusted_proxies,
        client_certificate=CERTIFICATES[topology.forward_client_cert_details],
        certificate_details=CertificateDetails(pem=True),
        server_name="istio-envoy",
        accepts_http10=seen.view.capabilities.http10,
        path_normalization=_normalization(seen),
        access_logs=telemetry.access_logs(seen),
        metrics=telemetry.outbound_metrics(seen),
    )
    return managed(seen, made)


def inbound_tcp(seen: Perspective, *, cluster: str, host: str, namespace: str) -> TcpProxy:
    """Return the proxy of an inbound TCP chain."""
    metrics = telemetry.inbound_metrics(seen, host, namespace)
    return TcpProxy(
        stat_prefix=cluster,
        targets=(TcpTarget(cluster),),
        awaits_handshake=metrics is not None,
        access_logs=telemetry.access_logs(seen),
        metrics=metrics,
    )


def decoded(proxy: TcpProxy, protocol: Protocol) -> TcpProxy:
    """Return the proxy with the filter that counts what a declared protocol says: MongoDB's.

    Redis and MySQL are plain TCP, as in Istio unless its flags ask for more.
    """
    if protocol is not Protocol.MONGO:
        return proxy
    return msgspec.structs.replace(proxy, is_mongo=True)


def plain_tcp(seen: Perspective, cluster: str) -> TcpProxy:
    """Return a proxy to one of the clusters that stand for no service (outbound)."""
    return TcpProxy(
        stat_prefix=cluster,
        targets=(TcpTarget(cluster),),
        access_logs=telemetry.access_logs(seen),
        metrics=telemetry.outbound_metrics(seen),
    )


def outbound_tcp(seen: Perspective, service: Service, cluster: str, subset: str = "") -> TcpProxy:
    """Return the proxy to a service that no VirtualService routes."""
    return _tcp(seen, (TcpTarget(cluster),), cluster, service, subset)


def sni_resolved(proxy: TcpProxy, service: Service, port: Port) -> TcpProxy:
    """Return the proxy of a service port; it calls the server name of TLS where hosts are resolved."""
    if service.resolution is not Resolution.DYNAMIC_DNS or not port.protocol.is_tls:
        return proxy
    return msgspec.structs.replace(proxy, sni_port=port.number)


def routed_tcp(
    seen: Perspective, destinations: tuple[RouteDestination, ...], *, owner: str, port: int
) -> TcpProxy:
    """Return the proxy of a TCP or TLS rule: one destination, or several by weight.

    `owner` (`NAME.NAMESPACE` of the VirtualService) names the statistics of weighted routes; the
    connection settings of weighted routes are those of the first destination.
    """
    wanted = [d for d in destinations if d.destination is not None]
    if len(wanted) > 1:
        wanted = [d for d in wanted if d.weight > 0]
    targets = tuple(
        TcpTarget(
            cluster_of(seen, d.destination, seen.scope.service(d.destination.host), port),
            max(d.weight, 1),
        )
        for d in wanted
        if d.destination is not None
    )
    first = wanted[0].destination if wanted else None
    service = seen.scope.service(first.host) if first else None
    if len(targets) != 1 or first is None:
        return _tcp(seen, targets, owner, service, "")
    return _tcp(seen, targets, targets[0].cluster, service, first.subset)


def _tcp(
    seen: Perspective,
    targets: tuple[TcpTarget, ...],
    prefix: str,
    service: Service | None,
    subset: str,
) -> TcpProxy:
    proxy = TcpProxy(
        stat_prefix=prefix,
        targets=targets,
        access_logs=telemetry.access_logs(seen),
        metrics=telemetry.outbound_metrics(seen),
    )
    if service is None:
        return proxy
    hashed = seen.consistent_hash(service, subset, 0)
    if hashed is not None and hashed.use_source_ip:
        proxy = msgspec.structs.replace(proxy, hash_policies=(HashPolicy(HashKind.SOURCE_IP),))
    rule = seen.rule(service)
    if rule is None:
        return proxy
    with_pool = _with_pool(proxy, rule.traffic_policy)
    return msgspec.structs.replace(with_pool, tunnel=_tunnel(rule, subset))


def _with_pool(proxy: TcpProxy, policy: TrafficPolicy | None) -> TcpProxy:
    pool = policy.connection_pool.tcp if policy and policy.connection_pool else None
    if pool is None:
        return proxy
    longest = pool.max_connection_duration
    return msgspec.structs.replace(
        proxy,
        idle_timeout_ms=pool.idle_timeout.ms if pool.idle_timeout is not None else None,
        max_duration_ms=longest.ms if longest is not None else 0,
    )


def _tunnel(rule: DestinationRule, subset: str) -> Tunnel | None:
    """Return the tunnel of a rule, or of its subset; a subset has none but its own."""
    policy = rule.traffic_policy
    if subset:
        named = (s for s in rule.subsets if s.name == subset)
        policy = next((s.traffic_policy for s in named), None)
    wanted = policy.tunnel if policy is not None else None
    if wanted is None:
        return None
    host = f"[{wanted.target_host}]" if ":" in wanted.target_host else wanted.target_host
    return Tunnel(f"{host}:{wanted.target_port}", wanted.protocol == "POST")


def _with_grpc_web(
    filters: tuple[HttpFilterKind, ...], protocol: Protocol
) -> tuple[HttpFilterKind, ...]:
    return (*filters, HttpFilterKind.GRPC_WEB) if protocol is Protocol.GRPC_WEB else filters


def _with_resolver(
    seen: Perspective, filters: tuple[HttpFilterKind, ...]
) -> tuple[HttpFilterKind, ...]:
    if not seen.scope.resolves_names:
        return filters
    return (*filters, HttpFilterKind.DYNAMIC_FORWARD_PROXY)


def _normalization(seen: Perspective) -> PathNormalization:
    wanted = seen.mesh.config.path_normalization
    text = wanted.normalization.value if wanted is not None else "DEFAULT"
    return PathNormalization.BASE if text == "DEFAULT" else PathNormalization(text)
