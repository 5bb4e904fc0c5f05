"""ProxyConfig (MeshConfig.defaultConfig, annotation proxy.istio.io/config): settings of one proxy."""

from collections.abc import Mapping
from typing import ClassVar

from rhumb.base.durations import Duration
from rhumb.model.kinds.destination_rule import ClientTls, TcpKeepalive
from rhumb.model.kinds.extension_provider import Empty, OpenCensusContext
from rhumb.model.kinds.wire import NONE, Int32, Int64, Kind, Oneofs, Removed, UInt32, WireEnum
from rhumb.model.kinds.workload_group import ReadinessProbe


class AuthenticationPolicy(WireEnum):
    """How proxies reach the control plane."""

    NONE = "NONE"
    MUTUAL_TLS = "MUTUAL_TLS"
    INHERIT = ("INHERIT", 1000)


class TracerAddress(Kind, frozen=True, kw_only=True):
    """A tracer by address."""

    address: str = ""
    access_token: str = ""
    """Lightstep's."""
    context: tuple[OpenCensusContext, ...] = ()
    """OpenCensus'."""


class TracerStackdriver(Kind, frozen=True, kw_only=True):
    """Stackdriver as a tracer."""

    debug: bool = False
    max_number_of_attributes: Int64 | None = None
    max_number_of_annotations: Int64 | None = None
    max_number_of_message_events: Int64 | None = None


class TagLiteral(Kind, frozen=True, kw_only=True):
    """A constant."""

    value: str = ""


class TagSource(Kind, frozen=True, kw_only=True):
    """An environment variable or a request header."""

    name: str = ""
    default_value: str = ""


class CustomTag(Kind, frozen=True, kw_only=True):
    """The value of one tag of spans."""

    ONEOFS: ClassVar[Oneofs] = (("literal", "environment", "header"),)

    literal: TagLiteral | None = None
    environment: TagSource | None = None
    header: TagSource | None = None


class ProxyTracing(Kind, frozen=True, kw_only=True):
    """Tracing settings of a proxy."""

    ONEOFS: ClassVar[Oneofs] = (
        ("zipkin", "lightstep", "datadog", "stackdriver", "openCensusAgent"),
    )

    zipkin: TracerAddress | None = None
    lightstep: TracerAddress | None = None
    datadog: TracerAddress | None = None
    stackdriver: TracerStackdriver | None = None
    open_census_agent: TracerAddress | None = None
    custom_tags: Mapping[str, CustomTag] = NONE
    max_path_tag_length: UInt32 = 0
    """0: 256."""
    sampling: float = 0.0
    tls_settings: ClientTls | None = None
    enable_istio_tags: bool | None = None


class ForwardClientCertDetails(WireEnum):
    """What happens to x-forwarded-client-cert."""

    UNDEFINED = "UNDEFINED"
    SANITIZE = "SANITIZE"
    FORWARD_ONLY = "FORWARD_ONLY"
    APPEND_FORWARD = "APPEND_FORWARD"
    SANITIZE_SET = "SANITIZE_SET"
    ALWAYS_FORWARD_ONLY = "ALWAYS_FORWARD_ONLY"


class GatewayTopology(Kind, frozen=True, kw_only=True):
    """What stands in front of a gateway."""

    num_trusted_proxies: UInt32 = 0
    forward_client_cert_details: ForwardClientCertDetails = ForwardClientCertDetails.UNDEFINED
    proxy_protocol: Empty | None = None


class KeyAccelerator(Kind, frozen=True, kw_only=True):
    """CryptoMb or QAT."""

    poll_delay: Duration | None = None
    fallback: bool | None = None


class PrivateKeyProvider(Kind, frozen=True, kw_only=True):
    """Hardware acceleration of private keys."""

    ONEOFS: ClassVar[Oneofs] = (("cryptomb", "qat"),)

    cryptomb: KeyAccelerator | None = None
    qat: KeyAccelerator | None = None


class TracingServiceName(WireEnum):
    """How the service name of spans is made."""

    APP_LABEL_AND_NAMESPACE = "APP_LABEL_AND_NAMESPACE"
    CANONICAL_NAME_ONLY = "CANONICAL_NAME_ONLY"
    CANONICAL_NAME_AND_NAMESPACE = "CANONICAL_NAME_AND_NAMESPACE"


class InboundInterceptionMode(WireEnum):
    """How inbound traffic is captured."""

    REDIRECT = "REDIRECT"
    TPROXY = "TPROXY"
    NONE = "NONE"


class Sds(Kind, frozen=True, kw_only=True):
    """Deprecated and ignored."""

    enabled: bool = False
    k8s_sa_jwt_path: str = ""


class RemoteService(Kind, frozen=True, kw_only=True):
    """A service that Envoy reports to."""

    address: str = ""
    tls_settings: ClientTls | None = None
    tcp_keepalive: TcpKeepalive | None = None


class ProxyStatsMatcher(Kind, frozen=True, kw_only=True):
    """Which of Envoy's own statistics are kept."""

    inclusion_prefixes: tuple[str, ...] = ()
    inclusion_suffixes: tuple[str, ...] = ()
    inclusion_regexps: tuple[str, ...] = ()


class ProxyImage(Kind, frozen=True, kw_only=True):
    """Variant of the proxy image."""

    image_type: str = ""


class ServerHeader(Kind, frozen=True, kw_only=True):
    """The `server` response header."""

    disabled: bool | None = None
    value: str = ""


class HeaderSwitch(Kind, frozen=True, kw_only=True):
    """A header that is on by default."""

    disabled: bool | None = None


class HeaderOptIn(Kind, frozen=True, kw_only=True):
    """A header that is off by default."""

    enabled: bool | None = None


class MetadataExchangeMode(WireEnum):
    """Where metadata exchange headers are sent."""

    UNDEFINED = "UNDEFINED"
    IN_MESH = "IN_MESH"


class MetadataExchangeHeaders(Kind, frozen=True, kw_only=True):
    """Headers that carry the peer's metadata."""

    mode: MetadataExchangeMode = MetadataExchangeMode.UNDEFINED


class SetClientCertDetails(Kind, frozen=True, kw_only=True):
    """Parts of the client certificate that are forwarded."""

    subject: bool | None = None
    cert: bool | None = None
    chain: bool | None = None
    dns: bool | None = None
    uri: bool | None = None


class ProxyHeaders(Kind, frozen=True, kw_only=True):
    """Headers that the proxy adds."""

    forwarded_client_cert: ForwardClientCertDetails = ForwardClientCertDetails.UNDEFINED
    set_current_client_cert_details: SetClientCertDetails | None = None
    request_id: HeaderSwitch | None = None
    server: ServerHeader | None = None
    attempt_count: HeaderSwitch | None = None
    envoy_debug_headers: HeaderSwitch | None = None
    metadata_exchange_headers: MetadataExchangeHeaders | None = None
    preserve_http1_header_case: bool | None = None
    x_forwarded_host: HeaderOptIn | None = None
    x_forwarded_port: HeaderOptIn | None = None


class ConnectionProfile(WireEnum):
    """Defaults of ConnectionSettings."""

    SIDECAR = "SIDECAR"
    EDGE = "EDGE"


class UnderscoresAction(WireEnum):
    """What happens to headers with underscores."""

    HEADERS_WITH_UNDERSCORES_UNSPECIFIED = "HEADERS_WITH_UNDERSCORES_UNSPECIFIED"
    HEADERS_WITH_UNDERSCORES_ALLOW = "HEADERS_WITH_UNDERSCORES_ALLOW"
    HEADERS_WITH_UNDERSCORES_REJECT_REQUEST = "HEADERS_WITH_UNDERSCORES_REJECT_REQUEST"
    HEADERS_WITH_UNDERSCORES_DROP_HEADER = "HEADERS_WITH_UNDERSCORES_DROP_HEADER"


class EscapedSlashesAction(WireEnum):
    """What happens to paths with escaped slashes."""

    PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED = "PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED"
    KEEP_UNCHANGED = "KEEP_UNCHANGED"
    REJECT_REQUEST = "REJECT_REQUEST"
    UNESCAPE_AND_REDIRECT = "UNESCAPE_AND_REDIRECT"
    UNESCAPE_AND_FORWARD = "UNESCAPE_AND_FORWARD"


MIN_WINDOW = 65_535
"""The smallest window of flow control that HTTP/2 (RFC 9113, 6.9.2) starts with in Envoy."""


class ConnectionSettings(Kind, frozen=True, kw_only=True):
    """Limits and timeouts of connections to the proxy."""

    profile: ConnectionProfile = ConnectionProfile.SIDECAR
    listener_per_connection_buffer_limit_bytes: Int32 | None = None
    cluster_per_connection_buffer_limit_bytes: Int32 | None = None
    http_idle_timeout: Duration | None = None
    http_max_connection_duration: Duration | None = None
    http_drain_timeout: Duration | None = None
    http_request_timeout: Duration | None = None
    http_request_headers_timeout: Duration | None = None
    http_stream_idle_timeout: Duration | None = None
    http_max_stream_duration: Duration | None = None
    http_max_concurrent_streams: Int32 | None = None
    http2_initial_stream_window_size: Int32 | None = None
    http2_initial_connection_window_size: Int32 | None = None
    http_headers_with_underscores_action: UnderscoresAction = (
        UnderscoresAction.HEADERS_WITH_UNDERSCORES_UNSPECIFIED
    )
    http_merge_slashes: bool | None = None
    http_path_with_escaped_slashes_action: EscapedSlashesAction = (
        EscapedSlashesAction.PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED
    )
    listener_connection_limit: Int32 | None = None
    global_downstream_connection_limit: Int32 | None = None


class ProxyConfig(Kind, frozen=True, kw_only=True):
    """Bootstrap settings of a proxy (istio-api mesh/v1alpha1/proxy.proto)."""

    ONEOFS: ClassVar[Oneofs] = (("serviceCluster", "tracingServiceName"),)
    REMOVED: ClassVar[Removed] = {
        "parentShutdownDuration": "remove it: it has no effect",
        "connectTimeout": "set `connectTimeout` of MeshConfig",
    }

    config_path: str = ""
    binary_path: str = ""
    service_cluster: str | None = None
    tracing_service_name: TracingServiceName | None = None
    drain_duration: Duration | None = None
    discovery_address: str = ""
    discovery_refresh_delay: Duration | None = None
    """Deprecated and ignored."""
    zipkin_address: str = ""
    """Deprecated: `tracing.zipkin.address`."""
    statsd_udp_address: str = ""
    envoy_metrics_service_address: str = ""
    """Deprecated: `envoyMetricsService`."""
    proxy_admin_port: Int32 = 0
    """0: 15000."""
    availability_zone: str = ""
    """Deprecated and ignored."""
    control_plane_auth_policy: AuthenticationPolicy = AuthenticationPolicy.NONE
    custom_config_file: str = ""
    stat_name_length: Int32 = 0
    concurrency: Int32 | None = None
    proxy_bootstrap_template_path: str = ""
    interception_mode: InboundInterceptionMode = InboundInterceptionMode.REDIRECT
    tracing: ProxyTracing | None = None
    sds: Sds | None = None
    """Deprecated and ignored."""
    envoy_access_log_service: RemoteService | None = None
    envoy_metrics_service: RemoteService | None = None
    proxy_metadata: Mapping[str, str] = NONE
    runtime_values: Mapping[str, str] = NONE
    status_port: Int32 = 0
    extra_stat_tags: tuple[str, ...] = ()
    gateway_topology: GatewayTopology | None = None
    termination_drain_duration: Duration | None = None
    mesh_id: str = ""
    readiness_probe: ReadinessProbe | None = None
    proxy_stats_matcher: ProxyStatsMatcher | None = None
    hold_application_until_proxy_starts: bool | None = None
    ca_certificates_pem: tuple[str, ...] = ()
    image: ProxyImage | None = None
    private_key_provider: PrivateKeyProvider | None = None
    proxy_headers: ProxyHeaders | None = None
    file_flush_interval: Duration | None = None
    file_flush_min_size_kb: UInt32 = 0
    stats_compression: bool | None = None
    connection_settings: ConnectionSettings | None = None
