"""DestinationRule (networking.istio.io): how to talk to a host once it was chosen."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from rhumb.base.durations import Duration
from rhumb.model.kinds.selector import LabelMatch
from rhumb.model.kinds.virtual_service import PortSelector
from rhumb.model.kinds.wire import NONE, Int32, Kind, Oneofs, UInt32, UInt64, WireEnum


class SimpleLb(WireEnum):
    """Load balancers without parameters."""

    UNSPECIFIED = "UNSPECIFIED"
    LEAST_CONN = "LEAST_CONN"
    """Deprecated: LEAST_REQUEST."""
    RANDOM = "RANDOM"
    PASSTHROUGH = "PASSTHROUGH"
    ROUND_ROBIN = "ROUND_ROBIN"
    LEAST_REQUEST = "LEAST_REQUEST"


class RingHash(Kind, frozen=True, kw_only=True):
    """Ketama ring."""

    minimum_ring_size: UInt64 = 0
    """0: 1024."""


class Maglev(Kind, frozen=True, kw_only=True):
    """Maglev table."""

    table_size: UInt64 | None = None
    """None: 65537."""


class CookieAttribute(Kind, frozen=True, kw_only=True):
    """One more attribute of a generated cookie."""

    name: str = ""
    value: str = ""


class HttpCookie(Kind, frozen=True, kw_only=True):
    """Hash by a cookie; with a `ttl` it is generated when absent."""

    name: str = ""
    path: str = ""
    ttl: Duration | None = None
    attributes: tuple[CookieAttribute, ...] = ()


class ConsistentHash(Kind, frozen=True, kw_only=True):
    """What to hash, and the algorithm."""

    ONEOFS: ClassVar[Oneofs] = (
        ("httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"),
        ("ringHash", "maglev"),
    )

    http_header_name: str | None = None
    http_cookie: HttpCookie | None = None
    use_source_ip: bool | None = None
    http_query_parameter_name: str | None = None
    ring_hash: RingHash | None = None
    maglev: Maglev | None = None
    minimum_ring_size: UInt64 = 0
    """Deprecated: `ringHash.minimumRingSize`."""


class Distribute(Kind, frozen=True, kw_only=True):
    """Shares of the traffic of one locality, by target locality."""

    from_: str = msgspec.field(default="", name="from")
    to: Mapping[str, UInt32] = NONE


class Failover(Kind, frozen=True, kw_only=True):
    """The region that takes over from another."""

    from_: str = msgspec.field(default="", name="from")
    to: str = ""


class LocalityLbSetting(Kind, frozen=True, kw_only=True):
    """Locality weights or failover."""

    distribute: tuple[Distribute, ...] = ()
    failover: tuple[Failover, ...] = ()
    failover_priority: tuple[str, ...] = ()
    enabled: bool | None = None


class ZoneAwareLbSetting(Kind, frozen=True, kw_only=True):
    """Envoy's zone aware routing."""

    enabled: bool | None = None
    failover: tuple[Failover, ...] = ()
    failover_priority: tuple[str, ...] = ()
    min_cluster_size: UInt32 | None = None


class Warmup(Kind, frozen=True, kw_only=True):
    """Slow start of new endpoints."""

    duration: Duration | None = None
    minimum_percent: float | None = None
    """None: 10."""
    aggression: float | None = None
    """None: 1."""


class BackendUtilization(Kind, frozen=True, kw_only=True):
    """ORCA load reports; in the schema of the API only, no control plane acts on it."""

    error_utilization_penalty_percent: float | None = None
    metric_names_for_computing_utilization: tuple[str, ...] = ()
    weight_expiration_period: Duration | None = None
    weight_stabilization_period: Duration | None = None
    weight_update_period: Duration | None = None


class LoadBalancer(Kind, frozen=True, kw_only=True):
    """Istio's LoadBalancerSettings."""

    ONEOFS: ClassVar[Oneofs] = (("simple", "consistentHash", "backendUtilization"),)

    simple: SimpleLb | None = None
    consistent_hash: ConsistentHash | None = None
    backend_utilization: BackendUtilization | None = None
    locality_lb_setting: LocalityLbSetting | None = None
    zone_aware_lb_setting: ZoneAwareLbSetting | None = None
    warmup_duration_secs: Duration | None = None
    """Deprecated: `warmup.duration`."""
    warmup: Warmup | None = None


class TcpKeepalive(Kind, frozen=True, kw_only=True):
    """SO_KEEPALIVE settings."""

    probes: UInt32 = 0
    time: Duration | None = None
    interval: Duration | None = None


class TcpSettings(Kind, frozen=True, kw_only=True):
    """Connection pool settings for TCP and HTTP upstreams."""

    max_connections: Int32 = 0
    connect_timeout: Duration | None = None
    tcp_keepalive: TcpKeepalive | None = None
    max_connection_duration: Duration | None = None
    idle_timeout: Duration | None = None


class H2UpgradePolicy(WireEnum):
    """Whether HTTP/1.1 connections are upgraded to HTTP/2."""

    DEFAULT = "DEFAULT"
    DO_NOT_UPGRADE = "DO_NOT_UPGRADE"
    UPGRADE = "UPGRADE"


class ConnectionKeepalive(Kind, frozen=True, kw_only=True):
    """HTTP/2 PING settings; both are needed."""

    interval: Duration | None = None
    timeout: Duration | None = None


class HttpSettings(Kind, frozen=True, kw_only=True):
    """Connection pool settings for HTTP upstreams."""

    http1_max_pending_requests: Int32 = 0
    http2_max_requests: Int32 = 0
    max_requests_per_connection: Int32 = 0
    max_retries: Int32 = 0
    idle_timeout: Duration | None = None
    h2_upgrade_policy: H2UpgradePolicy = H2UpgradePolicy.DEFAULT
    use_client_protocol: bool = False
    max_concurrent_streams: Int32 = 0
    http2_keep_alive: ConnectionKeepalive | None = None


class ConnectionPool(Kind, frozen=True, kw_only=True):
    """Istio's ConnectionPoolSettings."""

    tcp: TcpSettings | None = None
    http: HttpSettings | None = None


class OutlierDetection(Kind, frozen=True, kw_only=True):
    """Passive health checking."""

    consecutive_errors: Int32 = 0
    """Deprecated; honoured as `consecutive5xxErrors` when that is not set."""
    split_external_local_origin_errors: bool = False
    consecutive_local_origin_failures: UInt32 | None = None
    consecutive_gateway_errors: UInt32 | None = None
    consecutive_5xx_errors: UInt32 | None = msgspec.field(default=None, name="consecutive5xxErrors")
    interval: Duration | None = None
    base_ejection_time: Duration | None = None
    max_ejection_percent: Int32 = 0
    min_health_percent: Int32 = 0
    outlier_detection_http_error_codes: tuple[UInt32, ...] = ()


class ClientTlsMode(WireEnum):
    """How a connection to the upstream is secured."""

    DISABLE = "DISABLE"
    SIMPLE = "SIMPLE"
    MUTUAL = "MUTUAL"
    ISTIO_MUTUAL = "ISTIO_MUTUAL"


class ClientTls(Kind, frozen=True, kw_only=True):
    """Istio's ClientTLSSettings."""

    mode: ClientTlsMode = ClientTlsMode.DISABLE
    client_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""
    credential_name: str = ""
    subject_alt_names: tuple[str, ...] = ()
    sni: str = ""
    insecure_skip_verify: bool | None = None
    ca_crl: str = ""


class PortTrafficPolicy(Kind, frozen=True, kw_only=True):
    """The policy of one port: replaces these four blocks, inherits nothing."""

    port: PortSelector | None = None
    load_balancer: LoadBalancer | None = None
    connection_pool: ConnectionPool | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTls | None = None


class TunnelSettings(Kind, frozen=True, kw_only=True):
    """Tunnel TCP over HTTP CONNECT or POST."""

    protocol: str = ""
    """CONNECT or POST; empty: CONNECT."""
    target_host: str = ""
    target_port: UInt32 = 0


class ProxyProtocolVersion(WireEnum):
    """Version of the PROXY protocol header."""

    V1 = "V1"
    V2 = "V2"


class ProxyProtocol(Kind, frozen=True, kw_only=True):
    """Send a PROXY protocol header to the upstream."""

    version: ProxyProtocolVersion = ProxyProtocolVersion.V1


class RetryBudget(Kind, frozen=True, kw_only=True):
    """Limit of concurrent retries, relative to active requests."""

    percent: float | None = None
    """None: 20."""
    min_retry_concurrency: UInt32 = 0
    """0: 3."""
    budget_interval: Duration | None = None


class TrafficPolicy(Kind, frozen=True, kw_only=True):
    """What applies to all ports, and to single ones."""

    load_balancer: LoadBalancer | None = None
    connection_pool: ConnectionPool | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTls | None = None
    port_level_settings: tuple[PortTrafficPolicy, ...] = ()
    tunnel: TunnelSettings | None = None
    proxy_protocol: ProxyProtocol | None = None
    retry_budget: RetryBudget | None = None


class Subset(Kind, frozen=True, kw_only=True):
    """A named part of the endpoints, by labels."""

    name: str = ""
    labels: Mapping[str, str] = NONE
    traffic_policy: TrafficPolicy | None = None


class DestinationRule(Kind, frozen=True, kw_only=True):
    """Policies for a host (istio-api networking/v1alpha3/destination_rule.proto)."""

    host: str = ""
    traffic_policy: TrafficPolicy | None = None
    subsets: tuple[Subset, ...] = ()
    export_to: tuple[str, ...] = ()
    workload_selector: LabelMatch | None = None
