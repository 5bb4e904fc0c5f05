"""envoy.filters.network.http_connection_manager."""

from envoy.config.core.v3.config_source_pb2 import ApiVersion
from envoy.config.core.v3.protocol_pb2 import HttpProtocolOptions
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager as HcmPb,
)
from envoy.extensions.request_id.uuid.v3.uuid_pb2 import UuidRequestIdConfig

from rhumb.encode.durations import set_ms
from rhumb.encode.filters import metrics
from rhumb.encode.filters.access_logs import access_log
from rhumb.encode.filters.http_filters import http_filter
from rhumb.encode.header_case import header_case
from rhumb.encode.order import ordered
from rhumb.encode.pack import pack
from rhumb.encode.routes import route_configuration
from rhumb.ir.listener import (
    ClientCertificate,
    EscapedSlashes,
    HttpConnectionManager,
    HttpLimits,
    PathNormalization,
    Underscores,
)

NAME = "envoy.filters.network.http_connection_manager"
_V3 = ApiVersion.V3
_CERTIFICATES = {
    ClientCertificate.SANITIZE: HcmPb.SANITIZE,
    ClientCertificate.FORWARD: HcmPb.FORWARD_ONLY,
    ClientCertificate.ALWAYS_FORWARD: HcmPb.ALWAYS_FORWARD_ONLY,
    ClientCertificate.APPEND: HcmPb.APPEND_FORWARD,
    ClientCertificate.REPLACE: HcmPb.SANITIZE_SET,
}
_UNDERSCORES = {
    Underscores.ALLOW: HttpProtocolOptions.ALLOW,
    Underscores.REJECT: HttpProtocolOptions.REJECT_REQUEST,
    Underscores.DROP: HttpProtocolOptions.DROP_HEADER,
}
_SLASHES = {
    EscapedSlashes.KEEP: HcmPb.KEEP_UNCHANGED,
    EscapedSlashes.REJECT: HcmPb.REJECT_REQUEST,
    EscapedSlashes.REDIRECT: HcmPb.UNESCAPE_AND_REDIRECT,
    EscapedSlashes.FORWARD: HcmPb.UNESCAPE_AND_FORWARD,
}
_WITH_DETAILS = (ClientCertificate.APPEND, ClientCertificate.REPLACE)


def http_connection_manager(plan: HttpConnectionManager) -> Filter:
    """Spell the filter."""
    out = HcmPb(
        stat_prefix=plan.stat_prefix,
        server_name=plan.server_name,
        xff_num_trusted_hops=plan.trusted_hops,
        proxy_100_continue=True,
        http_filters=[
            http_filter(kind, hides_debug_headers=plan.hides_debug_headers)
            for kind in ordered(plan.filters)
        ],
        append_x_forwarded_port=plan.appends_port,
        access_log=[access_log(log) for log in plan.access_logs],
    )
    _routes(plan, out)
    _normalization(plan.path_normalization, out)
    _certificates(plan, out)
    out.use_remote_address.value = plan.use_remote_address
    out.upgrade_configs.add(upgrade_type="websocket")
    set_ms(out.stream_idle_timeout, 0)
    out.request_id_extension.typed_config.CopyFrom(pack(UuidRequestIdConfig()))
    if plan.passes_server_name:
        out.server_header_transformation = HcmPb.PASS_THROUGH
    if not plan.makes_request_ids:
        out.generate_request_id.value = False
    if plan.preserves_case:
        out.http_protocol_options.header_key_format.CopyFrom(header_case())
    if plan.limits is not None:
        _limits(plan.limits, out)
    if plan.accepts_http10:
        out.http_protocol_options.accept_http_10 = True
    if plan.allows_absolute_url:
        out.http_protocol_options.allow_absolute_url.value = True
    if plan.metrics is not None:
        out.access_log.extend(metrics.http(plan.metrics))
    return Filter(name=NAME, typed_config=pack(out))


def _routes(plan: HttpConnectionManager, out: HcmPb) -> None:
    if plan.routes is not None:
        out.route_config.CopyFrom(route_configuration(plan.routes))
        return
    out.rds.route_config_name = plan.rds
    out.rds.config_source.ads.SetInParent()
    out.rds.config_source.resource_api_version = _V3
    # A listener without its routes would answer 404: it warms until they are there.
    set_ms(out.rds.config_source.initial_fetch_timeout, 0)


def _normalization(plan: PathNormalization, out: HcmPb) -> None:
    out.normalize_path.value = plan is not PathNormalization.NONE
    out.merge_slashes = plan in (
        PathNormalization.MERGE_SLASHES,
        PathNormalization.DECODE_AND_MERGE_SLASHES,
    )
    if plan is PathNormalization.DECODE_AND_MERGE_SLASHES:
        out.path_with_escaped_slashes_action = HcmPb.UNESCAPE_AND_FORWARD


def _certificates(plan: HttpConnectionManager, out: HcmPb) -> None:
    out.forward_client_cert_details = _CERTIFICATES[plan.client_certificate]
    if plan.client_certificate in _WITH_DETAILS:
        wanted, details = plan.certificate_details, out.set_current_client_cert_details
        details.subject.value = wanted.subject
        details.uri = wanted.uri
        details.dns = wanted.dns
        details.cert = wanted.pem
        details.chain = wanted.chain


def _limits(plan: HttpLimits, out: HcmPb) -> None:
    common, http2 = out.common_http_protocol_options, out.http2_protocol_options
    for duration, value in (
        (common.idle_timeout, plan.idle_timeout_ms),
        (common.max_connection_duration, plan.max_connection_ms),
        (common.max_stream_duration, plan.max_stream_ms),
        (out.stream_idle_timeout, plan.stream_idle_timeout_ms),
        (out.request_timeout, plan.request_timeout_ms),
        (out.request_headers_timeout, plan.request_headers_timeout_ms),
        (out.drain_timeout, plan.drain_timeout_ms),
    ):
        if value is not None:
            set_ms(duration, value)
    for number, size in (
        (http2.max_concurrent_streams, plan.max_streams),
        (http2.initial_stream_window_size, plan.stream_window),
        (http2.initial_connection_window_size, plan.connection_window),
    ):
        if size is not None:
            number.value = size
    if plan.underscores is not None:
        common.headers_with_underscores_action = _UNDERSCORES[plan.underscores]
    if plan.merges_slashes is not None:
        out.merge_slashes = plan.merges_slashes
    if plan.escaped_slashes is not None:
        out.path_with_escaped_slashes_action = _SLASHES[plan.escaped_slashes]
