"""ProxyConfig on HTTP (the mesh's defaultConfig, or what a proxy brings): headers that proxies add, and limits of connections to them."""

import msgspec

from rhumb.base.durations import Duration
from rhumb.ir.listener import (
    CertificateDetails,
    ClientCertificate,
    Direction,
    EscapedSlashes,
    HttpConnectionManager,
    HttpLimits,
    Underscores,
)
from rhumb.ir.route import Forward, RouteConfiguration, VirtualHost
from rhumb.model.kinds.proxy_config import (
    MIN_WINDOW,
    ConnectionProfile,
    ConnectionSettings,
    ForwardClientCertDetails,
    ProxyHeaders,
    SetClientCertDetails,
)
from rhumb.model.proxy import Role
from rhumb.translate.perspective import Perspective

CERTIFICATES = {
    ForwardClientCertDetails.UNDEFINED: ClientCertificate.REPLACE,
    ForwardClientCertDetails.SANITIZE: ClientCertificate.SANITIZE,
    ForwardClientCertDetails.FORWARD_ONLY: ClientCertificate.FORWARD,
    ForwardClientCertDetails.APPEND_FORWARD: ClientCertificate.APPEND,
    ForwardClientCertDetails.SANITIZE_SET: ClientCertificate.REPLACE,
    ForwardClientCertDetails.ALWAYS_FORWARD_ONLY: ClientCertificate.ALWAYS_FORWARD,
}
_EDGE = HttpLimits(
    idle_timeout_ms=3_600_000,
    stream_idle_timeout_ms=300_000,
    request_timeout_ms=300_000,
    request_headers_timeout_ms=60_000,
    max_streams=100,
    stream_window=65_536,
    connection_window=1_048_576,
    underscores=Underscores.REJECT,
    merges_slashes=True,
    escaped_slashes=EscapedSlashes.REDIRECT,
)
"""What Envoy's documentation advises for proxies that face the internet."""
EDGE_BUFFER_BYTES = 32_768


def managed(seen: Perspective, made: HttpConnectionManager) -> HttpConnectionManager:
    """Return a connection manager as proxyHeaders and connectionSettings want it."""
    config = seen.proxy_config
    if config.proxy_headers is not None:
        made = _with_headers(made, config.proxy_headers, is_sidecar=seen.view.role is Role.SIDECAR)
    if config.connection_settings is not None:
        limits = _limits(config.connection_settings, seen.view.role)
        if limits != HttpLimits():
            made = msgspec.structs.replace(made, limits=limits)
    return made


def buffer_bytes(seen: Perspective) -> int:
    """Return how much a gateway's listener holds of one connection; 0: as Envoy has it."""
    settings = seen.proxy_config.connection_settings
    if settings is None:
        return 0
    said = settings.listener_per_connection_buffer_limit_bytes
    if said is None and settings.profile is ConnectionProfile.EDGE:
        return EDGE_BUFFER_BYTES
    return max(said or 0, 0)


def routed(seen: Perspective, made: RouteConfiguration) -> RouteConfiguration:
    """Return a route configuration as proxyHeaders want it."""
    headers = seen.proxy_config.proxy_headers
    if headers is None:
        return made
    counts = headers.attempt_count is None or not headers.attempt_count.disabled
    appends = headers.x_forwarded_host is not None and bool(headers.x_forwarded_host.enabled)
    if counts and not appends:
        return made
    hosts = tuple(_hosted(h, counts=counts, appends=appends) for h in made.virtual_hosts)
    return msgspec.structs.replace(made, virtual_hosts=hosts)


def _hosted(host: VirtualHost, *, counts: bool, appends: bool) -> VirtualHost:
    routes = tuple(
        msgspec.structs.replace(
            route, action=msgspec.structs.replace(route.action, appends_host=True)
        )
        if appends and isinstance(route.action, Forward)
        else route
        for route in host.routes
    )
    return msgspec.structs.replace(
        host, routes=routes, counts_attempts=counts and host.counts_attempts
    )


def _with_headers(
    made: HttpConnectionManager, said: ProxyHeaders, *, is_sidecar: bool
) -> HttpConnectionManager:
    server = said.server
    hides = server is not None and bool(server.disabled)
    name = made.server_name if server is None or not server.value else server.value
    made = msgspec.structs.replace(
        made,
        server_name="" if hides else name,
        passes_server_name=hides,
        makes_request_ids=said.request_id is None or not said.request_id.disabled,
        hides_debug_headers=(
            said.envoy_debug_headers is not None and bool(said.envoy_debug_headers.disabled)
        ),
        appends_port=said.x_forwarded_port is not None and bool(said.x_forwarded_port.enabled),
        preserves_case=bool(said.preserve_http1_header_case),
    )
    # At gateways gatewayTopology says it.
    if not is_sidecar or made.direction is not Direction.INBOUND:
        return made
    if said.forwarded_client_cert is not ForwardClientCertDetails.UNDEFINED:
        forwarded = CERTIFICATES[said.forwarded_client_cert]
        made = msgspec.structs.replace(made, client_certificate=forwarded)
    if said.set_current_client_cert_details is not None:
        details = _details(said.set_current_client_cert_details)
        made = msgspec.structs.replace(made, certificate_details=details)
    return made


def _details(said: SetClientCertDetails) -> CertificateDetails:
    return CertificateDetails(
        subject=said.subject is not False,
        uri=said.uri is not False,
        dns=said.dns is not False,
        pem=bool(said.cert),
        chain=bool(said.chain),
    )


def _limits(said: ConnectionSettings, role: Role) -> HttpLimits:
    edge = said.profile is ConnectionProfile.EDGE and role is Role.ROUTER
    underscores = said.http_headers_with_underscores_action.value
    slashes = said.http_path_with_escaped_slashes_action.value
    found = HttpLimits(
        idle_timeout_ms=_ms(said.http_idle_timeout),
        max_connection_ms=_ms(said.http_max_connection_duration),
        max_stream_ms=_ms(said.http_max_stream_duration),
        stream_idle_timeout_ms=_ms(said.http_stream_idle_timeout),
        request_timeout_ms=_ms(said.http_request_timeout),
        request_headers_timeout_ms=_ms(said.http_request_headers_timeout),
        drain_timeout_ms=_ms(said.http_drain_timeout),
        max_streams=_at_least(1, said.http_max_concurrent_streams),
        stream_window=_at_least(MIN_WINDOW, said.http2_initial_stream_window_size),
        connection_window=_at_least(MIN_WINDOW, said.http2_initial_connection_window_size),
        underscores=(
            None
            if underscores.endswith("UNSPECIFIED")
            else Underscores(underscores.removeprefix("HEADERS_WITH_UNDERSCORES_"))
        ),
        merges_slashes=said.http_merge_slashes,
        escaped_slashes=None if slashes.endswith("UNSPECIFIED") else EscapedSlashes(slashes),
    )
    if not edge:
        return found
    written = {
        name: value
        for name in HttpLimits.__struct_fields__
        if (value := getattr(found, name)) is not None
    }
    return msgspec.structs.replace(_EDGE, **written)


def _ms(said: Duration | None) -> int | None:
    return _at_least(0, said.ms if said is not None else None)


def _at_least(low: int, said: int | None) -> int | None:
    """Return a number that Envoy takes; of what a proxy brings itself, others are as if not written."""
    return said if said is not None and said >= low else None
