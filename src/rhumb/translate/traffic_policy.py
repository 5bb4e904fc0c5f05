"""Which blocks of a traffic policy are in force for one port of one subset (istio-api: Resolution)."""

import msgspec

from rhumb.ir import cluster as ir
from rhumb.ir.tls import UpstreamTls
from rhumb.model.kinds.destination_rule import (
    ClientTls,
    ConnectionPool,
    ConsistentHash,
    DestinationRule,
    H2UpgradePolicy,
    LoadBalancer,
    OutlierDetection,
    PortTrafficPolicy,
    ProxyProtocol,
    RetryBudget,
    SimpleLb,
    Subset,
    TcpKeepalive,
    TrafficPolicy,
    TunnelSettings,
)
from rhumb.model.proxy import Role
from rhumb.model.service import Port, Service
from rhumb.snapshot.snapshot import Mesh

_MAX_RING_SIZE = 8 * 1024 * 1024
"""Envoy's."""


class Effective(msgspec.Struct, frozen=True, kw_only=True):
    """The policy of one cluster, block by block; None is unset."""

    load_balancer: LoadBalancer | None = None
    connection_pool: ConnectionPool | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTls | None = None
    tunnel: TunnelSettings | None = None
    proxy_protocol: ProxyProtocol | None = None
    retry_budget: RetryBudget | None = None
    detects_failures: bool = False
    """A DestinationRule asks for outlier detection; the mesh's default makes nobody fail over."""


def effective(
    rule: DestinationRule | None, subset: Subset | None, port: int, mesh: Mesh
) -> Effective:
    """Return port level over subset over rule over mesh; each block as a whole.

    A port-level entry replaces the policy of its level: what it does not say is unset, not inherited.
    That of a subset leaves tunnel, PROXY protocol and retry budget of the rule (Istio: MergeTrafficPolicy).
    """
    found = Effective()
    if rule is not None and rule.traffic_policy is not None:
        at_port = _at_port(rule.traffic_policy, port)
        found = _whole(rule.traffic_policy) if at_port is None else _blocks(Effective(), at_port)
    own = _of_subset(found, subset, port)
    default = mesh.config.default_traffic_policy
    if default is not None:
        found = msgspec.structs.replace(
            found,
            connection_pool=found.connection_pool or default.connection_pool,
            outlier_detection=found.outlier_detection or default.outlier_detection,
        )
    return msgspec.structs.replace(
        _of_subset(found, subset, port), detects_failures=own.outlier_detection is not None
    )


BY_CLIENT = ConsistentHash(use_source_ip=True)
"""Kubernetes' sessionAffinity ClientIP."""


def with_affinity(policy: Effective, service: Service) -> Effective:
    """Return the policy with the service's own affinity, where no rule says how to balance."""
    if policy.load_balancer is not None or not service.client_ip_affinity:
        return policy
    return msgspec.structs.replace(policy, load_balancer=LoadBalancer(consistent_hash=BY_CLIENT))


def _of_subset(below: Effective, subset: Subset | None, port: int) -> Effective:
    if subset is None or subset.traffic_policy is None:
        return below
    at_port = _at_port(subset.traffic_policy, port)
    if at_port is not None:
        return _blocks(below, at_port)
    return _overlay(below, subset.traffic_policy)


def _at_port(policy: TrafficPolicy, port: int) -> PortTrafficPolicy | None:
    for entry in policy.port_level_settings:
        if entry.port is not None and entry.port.number == port:
            return entry
    return None


def _whole(policy: TrafficPolicy) -> Effective:
    return _overlay(Effective(), policy)


def _blocks(below: Effective, entry: PortTrafficPolicy) -> Effective:
    return msgspec.structs.replace(
        below,
        load_balancer=entry.load_balancer,
        connection_pool=entry.connection_pool,
        outlier_detection=entry.outlier_detection,
        tls=entry.tls,
    )


def _overlay(below: Effective, policy: TrafficPolicy) -> Effective:
    return Effective(
        load_balancer=policy.load_balancer or below.load_balancer,
        connection_pool=policy.connection_pool or below.connection_pool,
        outlier_detection=policy.outlier_detection or below.outlier_detection,
        tls=policy.tls or below.tls,
        tunnel=policy.tunnel or below.tunnel,
        proxy_protocol=policy.proxy_protocol or below.proxy_protocol,
        retry_budget=policy.retry_budget or below.retry_budget,
    )


def limits(policy: Effective, mesh: Mesh) -> ir.Limits:
    """Return pools and circuit breakers; what is unset has no limit (Istio writes MaxUint32)."""
    pool = policy.connection_pool
    tcp, http = (pool.tcp, pool.http) if pool else (None, None)
    keepalive = tcp.tcp_keepalive if tcp else None
    budget = policy.retry_budget
    timeout = tcp.connect_timeout if tcp else None
    return ir.Limits(
        max_connections=(tcp.max_connections if tcp else 0) or ir.UNLIMITED,
        max_pending=(http.http1_max_pending_requests if http else 0) or ir.UNLIMITED,
        max_requests=(http.http2_max_requests if http else 0) or ir.UNLIMITED,
        max_retries=(http.max_retries if http else 0) or ir.UNLIMITED,
        connect_timeout_ms=timeout.ms if timeout else mesh.connect_timeout_ms,
        keepalive=_keepalive(mesh.config.tcp_keepalive, keepalive),
        retry_budget=ir.RetryBudget(
            percent=20.0 if budget.percent is None else budget.percent,
            minimum=budget.min_retry_concurrency or 3,
        )
        if budget
        else None,
    )


def _keepalive(*levels: TcpKeepalive | None) -> ir.Keepalive | None:
    """Merge the mesh's settings with those of a rule, value by value."""
    found: ir.Keepalive | None = None
    for level in levels:
        if level is not None:
            below = found or ir.Keepalive()
            found = ir.Keepalive(
                probes=level.probes or below.probes,
                time_s=int(level.time.seconds) if level.time else below.time_s,
                interval_s=int(level.interval.seconds) if level.interval else below.interval_s,
            )
    return found


def http_options(
    policy: Effective,
    port: Port,
    mesh: Mesh,
    tls: UpstreamTls | None = None,
    role: Role = Role.SIDECAR,
) -> ir.HttpOptions | None:
    """Return protocol options of a cluster whose endpoints are reached with `tls`; None for TCP ports."""
    if port.protocol.is_tcp:
        return None
    pool = policy.connection_pool
    http, tcp = (pool.http, pool.tcp) if pool else (None, None)
    keepalive = http.http2_keep_alive if http else None
    outlier = policy.outlier_detection
    return ir.HttpOptions(
        version=_version(policy, port, mesh, role),
        idle_timeout_ms=_idle_ms(pool),
        max_connection_duration_ms=(
            tcp.max_connection_duration.ms if tcp and tcp.max_connection_duration else 0
        ),
        max_requests_per_connection=http.max_requests_per_connection if http else 0,
        max_concurrent_streams=http.max_concurrent_streams if http else 0,
        keepalive_interval_ms=keepalive.interval.ms if keepalive and keepalive.interval else 0,
        keepalive_timeout_ms=keepalive.timeout.ms if keepalive and keepalive.timeout else 0,
        preserves_case=mesh.preserves_header_case,
        auto_sni=tls is not None and tls.auto_sni,
        auto_san=tls is not None and tls.auto_san,
        outlier_codes=outlier.outlier_detection_http_error_codes if outlier else (),
    )


def _idle_ms(pool: ConnectionPool | None) -> int | None:
    """Return when idle connections are closed: the HTTP setting, else that for TCP."""
    for settings in (pool.http, pool.tcp) if pool else ():
        if settings is not None and settings.idle_timeout is not None:
            return settings.idle_timeout.ms
    return None


def http_version(policy: Effective, port: Port, mesh: Mesh, role: Role) -> ir.HttpVersion | None:
    """Return what is spoken to the endpoints; None for TCP ports."""
    return None if port.protocol.is_tcp else _version(policy, port, mesh, role)


def _version(policy: Effective, port: Port, mesh: Mesh, role: Role) -> ir.HttpVersion:
    http = policy.connection_pool.http if policy.connection_pool else None
    if http and http.use_client_protocol:
        return ir.HttpVersion.DOWNSTREAM
    if port.protocol.is_http2:
        return ir.HttpVersion.HTTP2
    said = http.h2_upgrade_policy if http else H2UpgradePolicy.DEFAULT
    if said is H2UpgradePolicy.UPGRADE:
        return ir.HttpVersion.HTTP2
    if said is H2UpgradePolicy.DEFAULT and mesh.h2_upgrade and port.protocol.is_http:
        return ir.HttpVersion.HTTP2
    # Gateways do not sniff: what they speak says nothing of what the port speaks.
    sniffed = not port.protocol.is_http and role is Role.SIDECAR
    return ir.HttpVersion.DOWNSTREAM if sniffed else ir.HttpVersion.HTTP1


def outlier(policy: Effective) -> ir.Outlier | None:
    """Return passive health checks; the old `consecutiveErrors` counts where `consecutive5xxErrors` is unset."""
    found = policy.outlier_detection
    if found is None:
        return None
    server_errors = found.consecutive_5xx_errors
    if server_errors is None:
        server_errors = max(found.consecutive_errors, 0) or 5
    local = found.consecutive_local_origin_failures
    return ir.Outlier(
        consecutive_5xx=server_errors or None,
        consecutive_gateway=found.consecutive_gateway_errors or None,
        consecutive_local=(5 if local is None else local or None)
        if found.split_external_local_origin_errors
        else None,
        split_local=found.split_external_local_origin_errors,
        interval_ms=found.interval.ms if found.interval else 10_000,
        base_ejection_ms=found.base_ejection_time.ms if found.base_ejection_time else 30_000,
        max_ejection_percent=found.max_ejection_percent or 10,
    )


_SIMPLE = {
    SimpleLb.LEAST_CONN: ir.Balance.LEAST_REQUEST,
    SimpleLb.LEAST_REQUEST: ir.Balance.LEAST_REQUEST,
    SimpleLb.RANDOM: ir.Balance.RANDOM,
    SimpleLb.ROUND_ROBIN: ir.Balance.ROUND_ROBIN,
    SimpleLb.PASSTHROUGH: ir.Balance.CLUSTER_PROVIDED,
}
_WARMS = (ir.Balance.LEAST_REQUEST, ir.Balance.ROUND_ROBIN)


def load_balancing(policy: Effective) -> ir.LoadBalancing:
    """Return the balancing of a cluster, apart from localities."""
    found = policy.load_balancer
    health = policy.outlier_detection
    panic = float(health.min_health_percent) if health else 0.0
    if found is None:
        return ir.LoadBalancing(panic_percent=panic)
    if found.consistent_hash is not None:
        return _hashed(found.consistent_hash, panic)
    balance = _SIMPLE.get(found.simple or SimpleLb.UNSPECIFIED, ir.Balance.LEAST_REQUEST)
    return ir.LoadBalancing(
        balance=balance,
        slow_start=_slow_start(found) if balance in _WARMS else None,
        panic_percent=panic,
    )


def _hashed(key: ConsistentHash, panic: float) -> ir.LoadBalancing:
    if key.maglev is not None:
        return ir.LoadBalancing(
            balance=ir.Balance.MAGLEV, table_size=key.maglev.table_size or 0, panic_percent=panic
        )
    size = key.ring_hash.minimum_ring_size if key.ring_hash else key.minimum_ring_size
    return ir.LoadBalancing(
        balance=ir.Balance.RING_HASH,
        ring_size=min(size or 1024, _MAX_RING_SIZE),
        panic_percent=panic,
    )


def _slow_start(found: LoadBalancer) -> ir.SlowStart | None:
    if found.warmup is not None and found.warmup.duration is not None:
        warmup = found.warmup
        return ir.SlowStart(
            window_ms=found.warmup.duration.ms,
            minimum_percent=10.0 if warmup.minimum_percent is None else warmup.minimum_percent,
            aggression=1.0 if warmup.aggression is None else warmup.aggression,
        )
    if found.warmup_duration_secs is not None:
        return ir.SlowStart(window_ms=found.warmup_duration_secs.ms)
    return None


def passes_through(policy: Effective) -> bool:
    """Tell whether the client's own choice of address is kept (simple: PASSTHROUGH)."""
    return policy.load_balancer is not None and policy.load_balancer.simple is SimpleLb.PASSTHROUGH
