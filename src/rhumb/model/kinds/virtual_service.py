"""VirtualService (networking.istio.io): how requests to hosts are routed."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from rhumb.base.durations import Duration
from rhumb.model.kinds.wire import NONE, Int32, Kind, Oneofs, Removed, UInt32, WireEnum


class StringMatch(Kind, frozen=True, kw_only=True):
    """One way to match a text; none set matches presence."""

    ONEOFS: ClassVar[Oneofs] = (("exact", "prefix", "regex"),)

    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None


class PortSelector(Kind, frozen=True, kw_only=True):
    """A port of a service by number."""

    REMOVED: ClassVar[Removed] = {"name": "select the port with `number`"}

    number: UInt32 = 0


class Percent(Kind, frozen=True, kw_only=True):
    """A share of requests, 0 to 100."""

    value: float = 0.0


class Destination(Kind, frozen=True, kw_only=True):
    """Where a request goes: a host, one of its subsets, one of its ports."""

    host: str = ""
    subset: str = ""
    port: PortSelector | None = None


class HeaderOperations(Kind, frozen=True, kw_only=True):
    """Changes to one set of headers."""

    set: Mapping[str, str] = NONE
    add: Mapping[str, str] = NONE
    remove: tuple[str, ...] = ()


class Headers(Kind, frozen=True, kw_only=True):
    """Changes to request and response headers."""

    request: HeaderOperations | None = None
    response: HeaderOperations | None = None


_OLD_HEADERS: Removed = {
    "appendHeaders": "use `headers.request.add`",
    "appendRequestHeaders": "use `headers.request.add`",
    "appendResponseHeaders": "use `headers.response.add`",
    "removeRequestHeaders": "use `headers.request.remove`",
    "removeResponseHeaders": "use `headers.response.remove`",
}


class HttpRouteDestination(Kind, frozen=True, kw_only=True):
    """One weighted destination of an HTTP route."""

    REMOVED: ClassVar[Removed] = _OLD_HEADERS

    destination: Destination | None = None
    weight: Int32 = 0
    headers: Headers | None = None


class RouteDestination(Kind, frozen=True, kw_only=True):
    """One weighted destination of a TCP or TLS route."""

    destination: Destination | None = None
    weight: Int32 = 0


class HttpMatchRequest(Kind, frozen=True, kw_only=True):
    """Conditions on an HTTP request, all of which must hold."""

    name: str = ""
    uri: StringMatch | None = None
    scheme: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: Mapping[str, StringMatch] = NONE
    port: UInt32 = 0
    source_labels: Mapping[str, str] = NONE
    gateways: tuple[str, ...] = ()
    query_params: Mapping[str, StringMatch] = NONE
    ignore_uri_case: bool = False
    without_headers: Mapping[str, StringMatch] = NONE
    source_namespace: str = ""
    stat_prefix: str = ""


class L4MatchAttributes(Kind, frozen=True, kw_only=True):
    """Conditions on a TCP connection."""

    destination_subnets: tuple[str, ...] = ()
    port: UInt32 = 0
    source_subnet: str = ""
    """Hidden in the API and without effect."""
    source_labels: Mapping[str, str] = NONE
    gateways: tuple[str, ...] = ()
    source_namespace: str = ""


class TlsMatchAttributes(Kind, frozen=True, kw_only=True):
    """Conditions on a TLS connection that is not terminated."""

    REMOVED: ClassVar[Removed] = {
        "sourceSubnet": "it never had an effect; match with `sourceLabels` or `sourceNamespace`"
    }

    sni_hosts: tuple[str, ...] = ()
    destination_subnets: tuple[str, ...] = ()
    port: UInt32 = 0
    source_labels: Mapping[str, str] = NONE
    gateways: tuple[str, ...] = ()
    source_namespace: str = ""


class RedirectPortSelection(WireEnum):
    """How the port of a redirect is chosen when none is written."""

    FROM_PROTOCOL_DEFAULT = "FROM_PROTOCOL_DEFAULT"
    FROM_REQUEST_PORT = "FROM_REQUEST_PORT"


class HttpRedirect(Kind, frozen=True, kw_only=True):
    """Answer with a redirect."""

    ONEOFS: ClassVar[Oneofs] = (("port", "derivePort"),)

    uri: str = ""
    authority: str = ""
    port: UInt32 | None = None
    derive_port: RedirectPortSelection | None = None
    scheme: str = ""
    redirect_code: UInt32 = 0
    """0: 301."""
    prefix_rewrite: str = ""


class HttpBody(Kind, frozen=True, kw_only=True):
    """The body of a direct response."""

    ONEOFS: ClassVar[Oneofs] = (("string", "bytes"),)

    string: str | None = None
    bytes_: bytes | None = msgspec.field(default=None, name="bytes")


class HttpDirectResponse(Kind, frozen=True, kw_only=True):
    """Answer without calling any service."""

    status: UInt32 = 0
    body: HttpBody | None = None


class Delegate(Kind, frozen=True, kw_only=True):
    """A VirtualService without hosts that refines this route."""

    name: str = ""
    namespace: str = ""
    """Empty: the namespace of the root VirtualService."""


class RegexRewrite(Kind, frozen=True, kw_only=True):
    """Rewrite the path by an RE2 expression."""

    match: str = ""
    rewrite: str = ""


class HttpRewrite(Kind, frozen=True, kw_only=True):
    """Rewrite path and authority before forwarding."""

    uri: str = ""
    authority: str = ""
    uri_regex_rewrite: RegexRewrite | None = None


class HttpRetry(Kind, frozen=True, kw_only=True):
    """When and how often to retry."""

    attempts: Int32 = 0
    per_try_timeout: Duration | None = None
    retry_on: str = ""
    retry_remote_localities: bool | None = None
    retry_ignore_previous_hosts: bool | None = None
    """None: true."""
    backoff: Duration | None = None
    """None: 25 ms."""


class FaultDelay(Kind, frozen=True, kw_only=True):
    """Delay a share of the requests; an omitted percentage is 0 %."""

    ONEOFS: ClassVar[Oneofs] = (("fixedDelay", "exponentialDelay"),)

    percent: Int32 = 0
    """Deprecated; `percentage` wins."""
    fixed_delay: Duration | None = None
    exponential_delay: Duration | None = None
    """Never implemented: validation refuses it."""
    percentage: Percent | None = None


class FaultAbort(Kind, frozen=True, kw_only=True):
    """Abort a share of the requests; an omitted percentage is 0 %."""

    ONEOFS: ClassVar[Oneofs] = (("httpStatus", "grpcStatus", "http2Error"),)
    REMOVED: ClassVar[Removed] = {"percent": "use `percentage: {value: N}`"}

    http_status: Int32 | None = None
    grpc_status: str | None = None
    http2_error: str | None = None
    """Never implemented: validation refuses it."""
    percentage: Percent | None = None


class HttpFaultInjection(Kind, frozen=True, kw_only=True):
    """Faults for testing."""

    delay: FaultDelay | None = None
    abort: FaultAbort | None = None


class HttpMirrorPolicy(Kind, frozen=True, kw_only=True):
    """A destination that receives copies; an omitted percentage is 100 %."""

    destination: Destination | None = None
    percentage: Percent | None = None


class UnmatchedPreflights(WireEnum):
    """What happens to preflight requests whose origin does not match."""

    UNSPECIFIED = "UNSPECIFIED"
    FORWARD = "FORWARD"
    IGNORE = "IGNORE"


class CorsPolicy(Kind, frozen=True, kw_only=True):
    """Cross-origin resource sharing."""

    allow_origin: tuple[str, ...] = ()
    """Deprecated: exact origins, "*" is literal."""
    allow_origins: tuple[StringMatch, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: Duration | None = None
    allow_credentials: bool | None = None
    unmatched_preflights: UnmatchedPreflights = UnmatchedPreflights.UNSPECIFIED


class HttpRoute(Kind, frozen=True, kw_only=True):
    """One rule: the first whose match holds decides."""

    REMOVED: ClassVar[Removed] = {
        **_OLD_HEADERS,
        "websocketUpgrade": "remove it: WebSocket upgrades always work",
    }

    name: str = ""
    match: tuple[HttpMatchRequest, ...] = ()
    route: tuple[HttpRouteDestination, ...] = ()
    redirect: HttpRedirect | None = None
    direct_response: HttpDirectResponse | None = None
    delegate: Delegate | None = None
    rewrite: HttpRewrite | None = None
    timeout: Duration | None = None
    retries: HttpRetry | None = None
    fault: HttpFaultInjection | None = None
    mirror: Destination | None = None
    mirrors: tuple[HttpMirrorPolicy, ...] = ()
    mirror_percent: UInt32 | None = None
    """Deprecated; `mirror_percentage` wins."""
    mirror_percentage: Percent | None = None
    cors_policy: CorsPolicy | None = None
    headers: Headers | None = None


class TlsRoute(Kind, frozen=True, kw_only=True):
    """One rule for TLS connections that are not terminated, by SNI."""

    match: tuple[TlsMatchAttributes, ...] = ()
    route: tuple[RouteDestination, ...] = ()


class TcpRoute(Kind, frozen=True, kw_only=True):
    """One rule for TCP connections."""

    match: tuple[L4MatchAttributes, ...] = ()
    route: tuple[RouteDestination, ...] = ()


class VirtualService(Kind, frozen=True, kw_only=True):
    """Routing for a set of hosts (istio-api networking/v1alpha3/virtual_service.proto)."""

    hosts: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    """Empty: `mesh`."""
    http: tuple[HttpRoute, ...] = ()
    tls: tuple[TlsRoute, ...] = ()
    tcp: tuple[TcpRoute, ...] = ()
    export_to: tuple[str, ...] = ()
