"""envoy.filters.network.http_connection_manager (istio-api.md 2.4)."""

from envoy.config.core.v3.config_source_pb2 import ApiVersion
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager as HcmPb,
)
from envoy.extensions.request_id.uuid.v3.uuid_pb2 import UuidRequestIdConfig

from rhumb.encode.durations import set_ms
from rhumb.encode.filters import metrics
from rhumb.encode.filters.access_logs import access_log
from rhumb.encode.filters.http_filters import http_filter
from rhumb.encode.order import ordered
from rhumb.encode.pack import pack
from rhumb.encode.routes import route_configuration
from rhumb.ir.listener import (
    ClientCertificate,
    HttpConnectionManager,
    PathNormalization,
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
_WITH_DETAILS = (ClientCertificate.APPEND, ClientCertificate.REPLACE)


def http_connection_manager(plan: HttpConnectionManager) -> Filter:
    """Spell the filter."""
    out = HcmPb(
        stat_prefix=plan.stat_prefix,
        server_name=plan.server_name,
        xff_num_trusted_hops=plan.trusted_hops,
        proxy_100_continue=True,
        http_filters=[http_filter(kind) for kind in ordered(plan.filters)],
        access_log=[access_log(log) for log in plan.access_logs],
    )
    _routes(plan, out)
    _normalization(plan.path_normalization, out)
    _certificates(plan, out)
    out.use_remote_address.value = plan.use_remote_address
    out.upgrade_configs.add(upgrade_type="websocket")
    set_ms(out.stream_idle_timeout, 0)
    out.request_id_extension.typed_config.CopyFrom(pack(UuidRequestIdConfig()))
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
        details = out.set_current_client_cert_details
        details.subject.value = True
        details.uri = True
        details.dns = True
        details.cert = plan.includes_pem
