"""MeshConfig.extensionProviders: external authorization, tracers, access logs."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from rhumb.base.durations import Duration
from rhumb.model.kinds.wire import NONE, Int32, Int64, Kind, Oneofs, UInt32, WireEnum


class HeaderValue(Kind, frozen=True, kw_only=True):
    """A header with a literal value or one from the environment."""

    ONEOFS: ClassVar[Oneofs] = (("value", "envName"),)

    name: str = ""
    value: str | None = None
    env_name: str | None = None


class HttpService(Kind, frozen=True, kw_only=True):
    """Export over HTTP."""

    path: str = ""
    timeout: Duration | None = None
    headers: tuple[HeaderValue, ...] = ()


class GrpcService(Kind, frozen=True, kw_only=True):
    """Export over gRPC."""

    timeout: Duration | None = None
    initial_metadata: tuple[HeaderValue, ...] = ()


class AuthzRequestBody(Kind, frozen=True, kw_only=True):
    """How much of the body the authorizer sees."""

    max_request_bytes: UInt32 = 0
    allow_partial_message: bool = False
    pack_as_bytes: bool = False


class ExtAuthzHttp(Kind, frozen=True, kw_only=True):
    """An authorizer over HTTP."""

    service: str = ""
    port: UInt32 = 0
    timeout: Duration | None = None
    path_prefix: str = ""
    fail_open: bool = False
    clear_route_cache: bool = False
    status_on_error: str = ""
    include_headers_in_check: tuple[str, ...] = ()
    """Deprecated: `includeRequestHeadersInCheck`."""
    include_request_headers_in_check: tuple[str, ...] = ()
    include_additional_headers_in_check: Mapping[str, str] = NONE
    include_request_body_in_check: AuthzRequestBody | None = None
    headers_to_upstream_on_allow: tuple[str, ...] = ()
    headers_to_downstream_on_deny: tuple[str, ...] = ()
    headers_to_downstream_on_allow: tuple[str, ...] = ()


class ExtAuthzGrpc(Kind, frozen=True, kw_only=True):
    """An authorizer over gRPC."""

    service: str = ""
    port: UInt32 = 0
    timeout: Duration | None = None
    fail_open: bool = False
    clear_route_cache: bool = False
    status_on_error: str = ""
    include_request_body_in_check: AuthzRequestBody | None = None


class TraceContextOption(WireEnum):
    """Propagation headers of Zipkin."""

    USE_B3 = "USE_B3"
    USE_B3_WITH_W3C_PROPAGATION = "USE_B3_WITH_W3C_PROPAGATION"


class Zipkin(Kind, frozen=True, kw_only=True):
    """A Zipkin collector."""

    service: str = ""
    port: UInt32 = 0
    max_tag_length: UInt32 = 0
    enable_64bit_trace_id: bool = msgspec.field(default=False, name="enable64bitTraceId")
    path: str = ""
    trace_context_option: TraceContextOption = TraceContextOption.USE_B3
    timeout: Duration | None = None
    headers: tuple[HeaderValue, ...] = ()


class Lightstep(Kind, frozen=True, kw_only=True):
    """Deprecated: use `opentelemetry`."""

    service: str = ""
    port: UInt32 = 0
    access_token: str = ""
    max_tag_length: UInt32 = 0


class Datadog(Kind, frozen=True, kw_only=True):
    """A Datadog agent."""

    service: str = ""
    port: UInt32 = 0
    max_tag_length: UInt32 = 0


class SkyWalking(Kind, frozen=True, kw_only=True):
    """A SkyWalking collector."""

    service: str = ""
    port: UInt32 = 0
    access_token: str = ""


class StackdriverLogging(Kind, frozen=True, kw_only=True):
    """Labels of Stackdriver log entries."""

    labels: Mapping[str, str] = NONE


class Stackdriver(Kind, frozen=True, kw_only=True):
    """Google Cloud operations."""

    debug: bool = False
    max_number_of_attributes: Int64 | None = None
    max_number_of_annotations: Int64 | None = None
    max_number_of_message_events: Int64 | None = None
    max_tag_length: UInt32 = 0
    logging: StackdriverLogging | None = None


class OpenCensusContext(WireEnum):
    """Propagation formats of OpenCensus."""

    UNSPECIFIED = "UNSPECIFIED"
    W3C_TRACE_CONTEXT = "W3C_TRACE_CONTEXT"
    GRPC_BIN = "GRPC_BIN"
    CLOUD_TRACE_CONTEXT = "CLOUD_TRACE_CONTEXT"
    B3 = "B3"


class OpenCensus(Kind, frozen=True, kw_only=True):
    """Deprecated: use `opentelemetry`."""

    service: str = ""
    port: UInt32 = 0
    context: tuple[OpenCensusContext, ...] = ()
    max_tag_length: UInt32 = 0


class Empty(Kind, frozen=True, kw_only=True):
    """A message without fields."""


class ResourceDetectors(Kind, frozen=True, kw_only=True):
    """Where OpenTelemetry resource attributes come from."""

    environment: Empty | None = None
    dynatrace: Empty | None = None


class DynatraceApi(Kind, frozen=True, kw_only=True):
    """The Dynatrace sampling API."""

    service: str = ""
    port: UInt32 = 0
    http: HttpService | None = None


class DynatraceSampler(Kind, frozen=True, kw_only=True):
    """Sampling by Dynatrace."""

    tenant: str = ""
    cluster_id: Int32 = 0
    root_spans_per_minute: UInt32 = 0
    http_service: DynatraceApi | None = None


class ServiceAttributeEnrichment(WireEnum):
    """How service attributes of spans are filled."""

    ISTIO_CANONICAL = "ISTIO_CANONICAL"
    OTEL_SEMANTIC_CONVENTIONS = "OTEL_SEMANTIC_CONVENTIONS"


class OpenTelemetry(Kind, frozen=True, kw_only=True):
    """An OpenTelemetry collector for traces."""

    service: str = ""
    port: UInt32 = 0
    max_tag_length: UInt32 = 0
    http: HttpService | None = None
    grpc: GrpcService | None = None
    resource_detectors: ResourceDetectors | None = None
    service_attribute_enrichment: ServiceAttributeEnrichment = (
        ServiceAttributeEnrichment.ISTIO_CANONICAL
    )
    dynatrace_sampler: DynatraceSampler | None = None


class LogFormat(Kind, frozen=True, kw_only=True):
    """Text or JSON labels."""

    text: str | None = None
    labels: Mapping[str, object] | None = None


class FileLogFormat(LogFormat, frozen=True, kw_only=True):
    """Text, or JSON labels, not both."""

    ONEOFS: ClassVar[Oneofs] = (("text", "labels"),)


class FileAccessLog(Kind, frozen=True, kw_only=True):
    """Access log to a file."""

    path: str = ""
    log_format: FileLogFormat | None = None
    omit_empty_values: bool = False


class HttpAls(Kind, frozen=True, kw_only=True):
    """Envoy's gRPC access log service for HTTP."""

    service: str = ""
    port: UInt32 = 0
    log_name: str = ""
    filter_state_objects_to_log: tuple[str, ...] = ()
    additional_request_headers_to_log: tuple[str, ...] = ()
    additional_response_headers_to_log: tuple[str, ...] = ()
    additional_response_trailers_to_log: tuple[str, ...] = ()


class TcpAls(Kind, frozen=True, kw_only=True):
    """Envoy's gRPC access log service for TCP."""

    service: str = ""
    port: UInt32 = 0
    log_name: str = ""
    filter_state_objects_to_log: tuple[str, ...] = ()


class OtelAls(Kind, frozen=True, kw_only=True):
    """OpenTelemetry access logs."""

    service: str = ""
    port: UInt32 = 0
    log_name: str = ""
    log_format: LogFormat | None = None


class Sds(Kind, frozen=True, kw_only=True):
    """An external secret discovery service."""

    name: str = ""
    service: str = ""
    port: UInt32 = 0


class ExtensionProvider(Kind, frozen=True, kw_only=True):
    """A named provider of exactly one type."""

    ONEOFS: ClassVar[Oneofs] = (
        (
            "envoyExtAuthzHttp",
            "envoyExtAuthzGrpc",
            "zipkin",
            "lightstep",
            "datadog",
            "stackdriver",
            "opencensus",
            "skywalking",
            "opentelemetry",
            "prometheus",
            "envoyFileAccessLog",
            "envoyHttpAls",
            "envoyTcpAls",
            "envoyOtelAls",
            "sds",
        ),
    )

    name: str = ""
    envoy_ext_authz_http: ExtAuthzHttp | None = None
    envoy_ext_authz_grpc: ExtAuthzGrpc | None = None
    zipkin: Zipkin | None = None
    lightstep: Lightstep | None = None
    datadog: Datadog | None = None
    stackdriver: Stackdriver | None = None
    opencensus: OpenCensus | None = None
    skywalking: SkyWalking | None = None
    opentelemetry: OpenTelemetry | None = None
    prometheus: Empty | None = None
    envoy_file_access_log: FileAccessLog | None = None
    envoy_http_als: HttpAls | None = None
    envoy_tcp_als: TcpAls | None = None
    envoy_otel_als: OtelAls | None = None
    sds: Sds | None = None
