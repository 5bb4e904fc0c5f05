"""Listeners: addresses, filter chains, and the filters in them."""

import enum

import msgspec

from rhumb.ir.match import ConnectionMatch
from rhumb.ir.origin import Origin
from rhumb.ir.policy import HashPolicy
from rhumb.ir.route import RouteConfiguration
from rhumb.ir.telemetry import AccessLog, Metrics
from rhumb.ir.tls import DownstreamTls


class Direction(enum.StrEnum):
    """Of the traffic, as seen from the workload; gateways are outbound."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class ListenerFilterKind(enum.StrEnum):
    """Filters that look at a connection before a chain is chosen, in the order they run."""

    PROXY_PROTOCOL = "envoy.filters.listener.proxy_protocol"
    ORIGINAL_DST = "envoy.filters.listener.original_dst"
    ORIGINAL_SRC = "envoy.filters.listener.original_src"
    TLS_INSPECTOR = "envoy.filters.listener.tls_inspector"
    HTTP_INSPECTOR = "envoy.filters.listener.http_inspector"


class ListenerFilter(msgspec.Struct, frozen=True, cache_hash=True):
    """One listener filter, switched off for some original destination ports."""

    kind: ListenerFilterKind
    ports: tuple[int, ...] = ()
    only: bool = False
    """False: off for `ports`; True: on for `ports` alone."""


class HttpFilterKind(enum.StrEnum):
    """HTTP filters by Envoy's name; `encode.order` knows their order."""

    ALPN = "rhumb.alpn"
    """Offers Istio's HTTP protocols to the upstream instead of the cluster's own."""
    GRPC_WEB = "envoy.filters.http.grpc_web"
    FAULT = "envoy.filters.http.fault"
    CORS = "envoy.filters.http.cors"
    DYNAMIC_FORWARD_PROXY = "envoy.filters.http.dynamic_forward_proxy"
    """Resolves the host of a request whose cluster wants that."""
    ROUTER = "envoy.filters.http.router"


class ClientCertificate(enum.StrEnum):
    """What happens to the x-forwarded-client-cert header."""

    SANITIZE = "sanitize"
    FORWARD = "forward"
    """Let it pass when this hop has mutual TLS."""
    ALWAYS_FORWARD = "always_forward"
    APPEND = "append"
    """Append this hop's certificate: subject, URI and DNS names."""
    REPLACE = "replace"
    """Forget what came and set this hop's certificate."""


class PathNormalization(enum.StrEnum):
    """What happens to a path before it is matched (MeshConfig pathNormalization)."""

    NONE = "NONE"
    BASE = "BASE"
    """RFC 3986: dot segments, percent encodings."""
    MERGE_SLASHES = "MERGE_SLASHES"
    DECODE_AND_MERGE_SLASHES = "DECODE_AND_MERGE_SLASHES"


class CertificateDetails(msgspec.Struct, frozen=True):
    """What of a client's certificate is forwarded."""

    subject: bool = True
    uri: bool = True
    dns: bool = True
    pem: bool = False
    chain: bool = False


class Underscores(enum.StrEnum):
    """What happens to headers with underscores in their names."""

    ALLOW = "ALLOW"
    REJECT = "REJECT_REQUEST"
    DROP = "DROP_HEADER"


class EscapedSlashes(enum.StrEnum):
    """What happens to escaped slashes in paths."""

    KEEP = "KEEP_UNCHANGED"
    REJECT = "REJECT_REQUEST"
    REDIRECT = "UNESCAPE_AND_REDIRECT"
    FORWARD = "UNESCAPE_AND_FORWARD"


class HttpLimits(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """Limits of connections to the proxy and of streams in them; None: what Istio always writes."""

    idle_timeout_ms: int | None = None
    max_connection_ms: int | None = None
    max_stream_ms: int | None = None
    stream_idle_timeout_ms: int | None = None
    request_timeout_ms: int | None = None
    request_headers_timeout_ms: int | None = None
    drain_timeout_ms: int | None = None
    max_streams: int | None = None
    stream_window: int | None = None
    connection_window: int | None = None
    underscores: Underscores | None = None
    merges_slashes: bool | None = None
    escaped_slashes: EscapedSlashes | None = None


class HttpConnectionManager(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """The terminal filter of an HTTP chain."""

    stat_prefix: str
    direction: Direction
    rds: str = ""
    """Name of the route configuration over RDS; empty: `routes` is inline."""
    routes: RouteConfiguration | None = None
    filters: tuple[HttpFilterKind, ...]
    use_remote_address: bool = False
    trusted_hops: int = 0
    client_certificate: ClientCertificate = ClientCertificate.SANITIZE
    certificate_details: CertificateDetails = CertificateDetails()
    path_normalization: PathNormalization = PathNormalization.BASE
    server_name: str = ""
    """Value of the `server` header; empty: Envoy's own."""
    passes_server_name: bool = False
    """Let the `server` header of the upstream pass."""
    makes_request_ids: bool = True
    hides_debug_headers: bool = False
    """Send no x-envoy-* headers."""
    appends_port: bool = False
    """Send x-forwarded-port."""
    preserves_case: bool = False
    """Keep the case of HTTP/1 headers."""
    limits: HttpLimits | None = None
    accepts_http10: bool = False
    allows_absolute_url: bool = False
    access_logs: tuple[AccessLog, ...] = ()
    metrics: Metrics | None = None


class TcpTarget(msgspec.Struct, frozen=True, cache_hash=True):
    """One cluster of a TCP chain and its share of the connections."""

    cluster: str
    weight: int = 1


class Tunnel(msgspec.Struct, frozen=True, cache_hash=True):
    """Carry the connection inside an HTTP request."""

    hostname: str
    use_post: bool = False


class TcpProxy(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """The terminal filter of a TCP chain."""

    stat_prefix: str
    targets: tuple[TcpTarget, ...]
    idle_timeout_ms: int | None = None
    """None: Envoy's hour; 0: never."""
    max_duration_ms: int = 0
    """0: none."""
    hash_policies: tuple[HashPolicy, ...] = ()
    tunnel: Tunnel | None = None
    awaits_handshake: bool = False
    """Connect upstream when the client's TLS handshake is done, so that logs of the connect know who calls."""
    is_mongo: bool = False
    """The bytes are MongoDB's, and counted as such on their way."""
    sni_port: int = 0
    """Port at which the server name of the TLS connection is called; 0: the cluster has its endpoints."""
    access_logs: tuple[AccessLog, ...] = ()
    metrics: Metrics | None = None


NetworkFilter = HttpConnectionManager | TcpProxy


class FilterChain(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """Filters for the connections that match; here each chain is its terminal filter."""

    name: str = ""
    match: ConnectionMatch = ConnectionMatch()
    filter: NetworkFilter
    tls: DownstreamTls | None = None
    handshake_timeout_ms: int = 0
    """0: none."""
    origin: tuple[Origin, ...] = ()


class Listener(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """A port that the proxy listens on, or an address that redirected connections meant."""

    name: str
    address: str
    port: int
    """0 for a Unix socket, whose path is `address`."""
    additional: tuple[str, ...] = ()
    """More addresses, with the same port."""
    direction: Direction
    binds: bool = False
    """False: reached only from the listener that takes redirected traffic."""
    uses_original_dst: bool = False
    """Hand connections to the listener of their original destination."""
    transparent: bool = False
    filters: tuple[ListenerFilter, ...] = ()
    detection_timeout_ms: int | None = 0
    """How long listener filters may wait for bytes: 0 for ever, None Envoy's 15 s."""
    continues_on_timeout: bool = True
    chains: tuple[FilterChain, ...]
    default_chain: FilterChain | None = None
    buffer_bytes: int = 0
    """How much is held of one connection; 0: as Envoy has it."""
    access_logs: tuple[AccessLog, ...] = ()
    """Written only for connections that no chain takes."""
    origin: tuple[Origin, ...] = ()
