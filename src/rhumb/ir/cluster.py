"""Clusters: where traffic may go, and how."""

import enum

import msgspec

from rhumb.ir.endpoint import LoadAssignment
from rhumb.ir.origin import Origin
from rhumb.ir.tls import UpstreamTls


class Discovery(enum.StrEnum):
    """How endpoints are found."""

    EDS = "EDS"
    STATIC = "STATIC"
    STRICT_DNS = "STRICT_DNS"
    LOGICAL_DNS = "LOGICAL_DNS"
    ORIGINAL_DST = "ORIGINAL_DST"
    DYNAMIC_FORWARD_PROXY = "DYNAMIC_FORWARD_PROXY"


class Balance(enum.StrEnum):
    """Load-balancing policy."""

    ROUND_ROBIN = "ROUND_ROBIN"
    LEAST_REQUEST = "LEAST_REQUEST"
    RANDOM = "RANDOM"
    RING_HASH = "RING_HASH"
    MAGLEV = "MAGLEV"
    CLUSTER_PROVIDED = "CLUSTER_PROVIDED"


class HttpVersion(enum.StrEnum):
    """What is spoken to the endpoints."""

    HTTP1 = "http1"
    HTTP2 = "http2"
    DOWNSTREAM = "downstream"
    """As the client spoke."""


class SlowStart(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """New endpoints get their share gradually."""

    window_ms: int
    minimum_percent: float = 10.0
    aggression: float = 1.0


class ZoneAware(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """Envoy's zone aware routing, on or expressly off."""

    enabled: bool = True
    min_cluster_size: int | None = None
    """None: Envoy's 6."""


class LoadBalancing(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """The policy with its settings."""

    balance: Balance = Balance.LEAST_REQUEST
    ring_size: int = 0
    """Minimum ring size; 0: 1024."""
    table_size: int = 0
    """Maglev; 0: Envoy's."""
    slow_start: SlowStart | None = None
    locality_weighted: bool = False
    zone_aware: ZoneAware | None = None
    panic_percent: float = 0.0


class Keepalive(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """TCP keepalive; 0: the system's."""

    probes: int = 0
    time_s: int = 0
    interval_s: int = 0


class RetryBudget(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """Share of active requests that may be retries."""

    percent: float = 20.0
    minimum: int = 3


UNLIMITED = 2**32 - 1


class Limits(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """Circuit breakers and pools; Envoy's own defaults never apply."""

    max_connections: int = UNLIMITED
    max_pending: int = UNLIMITED
    max_requests: int = UNLIMITED
    max_retries: int = UNLIMITED
    connect_timeout_ms: int = 10_000
    keepalive: Keepalive | None = None
    retry_budget: RetryBudget | None = None


class HttpOptions(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """Protocol options of HTTP connections; 0: none said."""

    version: HttpVersion = HttpVersion.DOWNSTREAM
    idle_timeout_ms: int | None = None
    max_connection_duration_ms: int = 0
    max_requests_per_connection: int = 0
    max_concurrent_streams: int = 0
    keepalive_interval_ms: int = 0
    keepalive_timeout_ms: int = 0
    preserves_case: bool = False
    """Keep the case of HTTP/1 headers."""
    auto_sni: bool = False
    auto_san: bool = False
    outlier_codes: tuple[int, ...] = ()


class Outlier(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """Passive health checks; counts of None are not enforced."""

    consecutive_5xx: int | None = None
    consecutive_gateway: int | None = None
    consecutive_local: int | None = None
    split_local: bool = False
    interval_ms: int = 10_000
    base_ejection_ms: int = 30_000
    max_ejection_percent: int = 10


class Cluster(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """One cluster; the value is also the cache key, so it holds all that shapes the output."""

    name: str
    discovery: Discovery
    assignment: LoadAssignment | None = None
    """Inline endpoints (all but EDS)."""
    load_balancing: LoadBalancing = LoadBalancing()
    limits: Limits = Limits()
    http: HttpOptions | None = HttpOptions()
    """None: TCP only."""
    outlier: Outlier | None = None
    mtls: UpstreamTls | None = None
    """Automatic mutual TLS for endpoints marked so; the others get `tls` or plain text."""
    tls: UpstreamTls | None = None
    """TLS for every endpoint."""
    stat_name: str = ""
    """Name in statistics; empty: the cluster's."""
    proxy_protocol: str = ""
    """V1 or V2."""
    port_override: int = 0
    """ORIGINAL_DST: port that replaces the one that the connection meant; 0: none."""
    bind_addresses: tuple[str, ...] = ()
    """Source addresses of connections, one a family; empty: the system's choice."""
    own_resolver: bool = False
    """Names are looked up with the resolver of the bootstrap."""
    dns_refresh_ms: int = 60_000
    ipv6: bool = False
    service: tuple[str, str, str] = ("", "", "")
    """Host, short name, namespace: metadata `istio.services[0]`."""
    subset: str = ""
    external: bool = False
    config: str = ""
    """Path of the rule that shaped it: metadata `istio.config`."""
    origin: tuple[Origin, ...] = ()
