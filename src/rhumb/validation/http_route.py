"""Rules for one HTTP route of a VirtualService."""

from collections.abc import Mapping
from http import HTTPStatus

from rhumb.model.kinds.virtual_service import (
    CorsPolicy,
    FaultAbort,
    FaultDelay,
    HttpBody,
    HttpDirectResponse,
    HttpFaultInjection,
    HttpMatchRequest,
    HttpMirrorPolicy,
    HttpRedirect,
    HttpRetry,
    HttpRewrite,
    HttpRoute,
    Percent,
    StringMatch,
)
from rhumb.validation import headers, rules
from rhumb.validation.regex import regex
from rhumb.validation.routing import (
    check_destination,
    check_gateway_names,
    check_route_destinations,
    percentage,
)
from rhumb.validation.rules import Report

_METHODS = frozenset(
    ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*")
)
_RETRY_ON = frozenset(
    (
        "5xx",
        "cancelled",
        "connect-failure",
        "deadline-exceeded",
        "envoy-ratelimited",
        "gateway-error",
        "http3-post-connect-failure",
        "internal",
        "refused-stream",
        "reset",
        "reset-before-request",
        "resource-exhausted",
        "retriable-4xx",
        "retriable-headers",
        "retriable-status-codes",
        "unavailable",
    )
)
_STATUS_CODES = frozenset(str(status.value) for status in HTTPStatus)
_REDIRECTS = (301, 302, 303, 307, 308)
_GRPC_STATUSES = frozenset(
    (
        "ABORTED",
        "ALREADY_EXISTS",
        "CANCELLED",
        "DATA_LOSS",
        "DEADLINE_EXCEEDED",
        "FAILED_PRECONDITION",
        "INTERNAL",
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "OK",
        "OUT_OF_RANGE",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "UNAUTHENTICATED",
        "UNAVAILABLE",
        "UNIMPLEMENTED",
        "UNKNOWN",
    )
)


def check_http_route(
    report: Report, at: str, route: HttpRoute, *, is_delegate: bool, has_gateway_semantics: bool
) -> None:
    """Check one route; `is_delegate` when its VirtualService has no hosts."""
    _check_conflicts(report, at, route, is_delegate=is_delegate)
    for index, match in enumerate(route.match):
        _check_match(report, f"{at}.match[{index}]", match)
    headers.check_headers(report, f"{at}.headers", route.headers)
    headers.check_one_authority(report, at, route.rewrite, route.headers)
    _check_cors(report, f"{at}.corsPolicy", route.cors_policy)
    _check_fault(report, f"{at}.fault", route.fault)
    _check_mirrors(report, at, route)
    _check_redirect(report, f"{at}.redirect", route.redirect, route)
    _check_direct_response(report, f"{at}.directResponse", route.direct_response)
    check_retries(report, f"{at}.retries", route.retries)
    _check_rewrite(report, f"{at}.rewrite", route.rewrite)
    check_route_destinations(report, f"{at}.route", route.route, is_generated=has_gateway_semantics)
    rules.check_durations(report, at, {"timeout": route.timeout})


def _check_conflicts(report: Report, at: str, route: HttpRoute, *, is_delegate: bool) -> None:
    if route.delegate is not None and not is_delegate:
        for name, present in (
            ("redirect", route.redirect is not None),
            ("route", bool(route.route)),
        ):
            if present:
                report.error(
                    f"{at}.{name}", f"root HTTP route {route.name} must not specify {name}"
                )
        return
    if route.delegate is not None:
        report.error(f"{at}.delegate", "delegate HTTP route cannot contain delegate")
    if route.redirect is not None:
        _check_apart(report, f"{at}.redirect", route, "redirect")
        if route.direct_response is not None:
            report.error(
                f"{at}.redirect", "HTTP route rule cannot contain both direct_response and redirect"
            )
    elif route.direct_response is not None:
        _check_apart(report, f"{at}.directResponse", route, "direct_response")
    elif not route.route:
        report.error(at, "HTTP route, redirect or direct_response is required")
    if route.mirror is not None and route.mirrors:
        report.error(f"{at}.mirrors", "HTTP route cannot contain both mirror and mirrors")


def _check_apart(report: Report, at: str, route: HttpRoute, what: str) -> None:
    for name, present in (("route", bool(route.route)), ("fault", route.fault is not None)):
        if present:
            report.error(at, f"HTTP route cannot contain both {name} and {what}")
    if route.rewrite is not None:
        report.error(at, f"HTTP route rule cannot contain both rewrite and {what}")


def _check_match(report: Report, at: str, match: HttpMatchRequest) -> None:
    for field, table in (("headers", match.headers), ("withoutHeaders", match.without_headers)):
        for name, text in table.items():
            report.error(f"{at}.{field}[{name}]", headers.match_name(name))
            # "*" is no expression, it stands for presence.
            if not (field == "withoutHeaders" and text.regex == "*"):
                report.error(f"{at}.{field}[{name}]", _text(text, field))
    if match.uri is not None:
        report.error(f"{at}.uri", _expression(match.uri, "uri"))
    singles: Mapping[str, StringMatch | None] = {
        "scheme": match.scheme,
        "method": match.method,
        "authority": match.authority,
    }
    for field, single in singles.items():
        if single is not None:
            report.error(f"{at}.{field}", _text(single, field))
    _check_queries(report, f"{at}.queryParams", match.query_params)
    if match.port:
        report.error(f"{at}.port", rules.port(match.port))
    rules.check_labels(report, f"{at}.sourceLabels", match.source_labels)
    check_gateway_names(report, f"{at}.gateways", match.gateways)
    if match.source_namespace and not rules.is_dns_label(match.source_namespace):
        report.error(
            f"{at}.sourceNamespace", f"sourceNamespace match {match.source_namespace} is invalid"
        )


def _check_queries(report: Report, at: str, queries: Mapping[str, StringMatch]) -> None:
    for name, text in queries.items():
        report.error(f"{at}[{name}]", _text(text, "queryParams"))
    if "" in queries:
        report.warn(at, "a parameter without a name is never there: this never matches", "name it")


def _text(text: StringMatch, where: str) -> str | None:
    if text.prefix == "":
        return f'"{where}": prefix string match should not be empty'
    return _expression(text, where)


def _expression(text: StringMatch, where: str) -> str | None:
    if text.regex is None:
        return None
    return (
        regex(text.regex, where)
        if text.regex
        else f'"{where}": regex string match should not be empty'
    )


def _check_cors(report: Report, at: str, cors: CorsPolicy | None) -> None:
    if cors is None:
        return
    for index, origin in enumerate(cors.allow_origins):
        report.error(f"{at}.allowOrigins[{index}]", _origin(origin))
    for index, method in enumerate(cors.allow_methods):
        if method not in _METHODS:
            report.error(
                f"{at}.allowMethods[{index}]", f'"{method}" is not a supported HTTP method'
            )
    for field, names in (
        ("allowHeaders", cors.allow_headers),
        ("exposeHeaders", cors.expose_headers),
    ):
        for index, name in enumerate(names):
            report.error(f"{at}.{field}[{index}]", headers.cors_name(name))
    if cors.max_age is not None:
        report.error(f"{at}.maxAge", rules.duration(cors.max_age))
        if cors.max_age % 1_000_000_000:
            report.error(f"{at}.maxAge", "max_age duration is accurate only to seconds precision")


def _origin(origin: StringMatch) -> str | None:
    if not (origin.exact or origin.prefix or origin.regex):
        return "'' is not a valid match type for CORS allow origins"
    return _expression(origin, "corsPolicy.allowOrigins")


def _check_fault(report: Report, at: str, fault: HttpFaultInjection | None) -> None:
    if fault is None:
        return
    if fault.abort is None and fault.delay is None:
        report.error(at, "HTTP fault injection must have an abort and/or a delay")
    if fault.abort is not None:
        _check_abort(report, f"{at}.abort", fault.abort)
    if fault.delay is not None:
        _check_delay(report, f"{at}.delay", fault.delay)


def _check_abort(report: Report, at: str, abort: FaultAbort) -> None:
    report.error(f"{at}.percentage", percentage(abort.percentage))
    if abort.grpc_status is not None:
        if abort.grpc_status not in _GRPC_STATUSES:
            report.error(
                f"{at}.grpcStatus",
                f'gRPC status "{abort.grpc_status}" is not supported. See '
                "https://github.com/grpc/grpc/blob/master/doc/statuscodes.md for a list of supported codes, "
                "for example 'NOT_FOUND'",
            )
    elif abort.http_status is not None:
        _check_status(report, f"{at}.httpStatus", abort.http_status)
    elif abort.http2_error is None:
        report.warn(at, "abort configured, but error type not set")


def _check_delay(report: Report, at: str, delay: FaultDelay) -> None:
    report.error(f"{at}.percentage", percentage(delay.percentage))
    rules.check_durations(
        report, at, {"fixedDelay": delay.fixed_delay, "exponentialDelay": delay.exponential_delay}
    )


def _check_status(report: Report, at: str, status: int) -> None:
    if not 200 <= status <= 600:
        report.error(at, f"HTTP status {status} is not in range 200-599")
    elif status == 600:
        # It passes although the message says otherwise: as in Istio.
        report.warn(at, "HTTP status 600 is answered as 599: Envoy knows no 600", "write 599")


def _check_mirrors(report: Report, at: str, route: HttpRoute) -> None:
    check_destination(report, f"{at}.mirror", route.mirror)
    if route.mirror_percent is not None:
        where = f"{at}.mirrorPercent"
        if route.mirror_percent > 100:
            report.error(
                where,
                f"mirror_percent must have a max value of 100 (it has {route.mirror_percent})",
            )
    _check_share(report, f"{at}.mirrorPercentage", "mirror_percentage", route.mirror_percentage)
    for index, mirror in enumerate(route.mirrors):
        _check_mirror(report, f"{at}.mirrors[{index}]", mirror)


def _check_mirror(report: Report, at: str, mirror: HttpMirrorPolicy) -> None:
    if mirror.destination is None:
        report.error(at, "destination is required for mirrors")
        return
    check_destination(report, f"{at}.destination", mirror.destination)
    _check_share(report, f"{at}.percentage", "mirror percentage", mirror.percentage)


def _check_share(report: Report, at: str, name: str, share: Percent | None) -> None:
    if share is not None and share.value > 100:
        report.error(at, f"{name} must have a max value of 100 (it has {share.value:f})")
    if share is not None and share.value < 0:
        report.error(at, f"{name} must have a min value of 0 (it has {share.value:f})")


def _check_redirect(
    report: Report, at: str, redirect: HttpRedirect | None, route: HttpRoute
) -> None:
    if redirect is None:
        return
    if redirect.uri and redirect.prefix_rewrite:
        report.error(at, "redirect may only specify one of uri or prefix_rewrite")
    if redirect.prefix_rewrite and any(
        m.uri is not None and m.uri.prefix is None for m in route.match
    ):
        report.error(
            f"{at}.prefixRewrite",
            "redirect prefix_rewrite requires all URI matches to use prefix match type",
        )
    has_port = redirect.port is not None or redirect.derive_port is not None
    if not (
        redirect.uri or redirect.prefix_rewrite or redirect.authority or redirect.scheme or has_port
    ):
        report.error(at, "redirect must specify URI, authority, scheme, or port")
    if redirect.redirect_code and not 300 <= redirect.redirect_code <= 399:
        report.error(
            f"{at}.redirectCode",
            f"{redirect.redirect_code} is not a valid redirect code, must be 3xx",
        )
    elif redirect.redirect_code and redirect.redirect_code not in _REDIRECTS:
        report.warn(
            f"{at}.redirectCode",
            f"Redirect Code {redirect.redirect_code} is not yet supported: the rule is left out",
            "use 301, 302, 303, 307 or 308",
        )
    for name, text in (
        ("uri", redirect.uri),
        ("prefixRewrite", redirect.prefix_rewrite),
        ("authority", redirect.authority),
    ):
        report.error(f"{at}.{name}", headers.one_line(text))
    if redirect.scheme not in ("", "http", "https"):
        report.error(f"{at}.scheme", 'invalid redirect scheme, must be "http" or "https"')
    if redirect.port:
        report.error(f"{at}.port", rules.port(redirect.port))


def _check_direct_response(report: Report, at: str, response: HttpDirectResponse | None) -> None:
    if response is None:
        return
    size = _size(response.body)
    large = "large direct_responses may impact control plane performance"
    if size > 1 << 20:
        report.error(f"{at}.body", f"{large}, must be less than 1MB")
    elif size > 100 << 10:
        report.warn(f"{at}.body", large)
    _check_status(report, f"{at}.status", response.status)


def _size(body: HttpBody | None) -> int:
    if body is None:
        return 0
    return len((body.string or "").encode()) + len(body.bytes_ or b"")


def check_retries(report: Report, at: str, retries: HttpRetry | None) -> None:
    """Check a retry policy (also those of MeshConfig)."""
    if retries is None:
        return
    if retries.attempts < 0:
        report.error(f"{at}.attempts", "attempts cannot be negative")
    has_others = (
        retries.per_try_timeout is not None
        or retries.retry_on
        or retries.retry_remote_localities is not None
    )
    if retries.attempts == 0 and has_others:
        report.error(at, "http retry policy configured when attempts are set to 0 (disabled)")
    rules.check_durations(
        report, at, {"perTryTimeout": retries.per_try_timeout, "backoff": retries.backoff}
    )
    for policy in retries.retry_on.split(",") if retries.retry_on else ():
        if policy not in _RETRY_ON and policy not in _STATUS_CODES:
            report.error(f"{at}.retryOn", f'"{policy}" is not a valid retryOn policy')


def _check_rewrite(report: Report, at: str, rewrite: HttpRewrite | None) -> None:
    if rewrite is None:
        return
    pattern = rewrite.uri_regex_rewrite
    if rewrite.uri and pattern is not None:
        report.error(at, "rewrite may only contain one of URI or UriRegexRewrite")
    elif not rewrite.uri and pattern is None and not rewrite.authority:
        report.error(
            at,
            "rewrite must specify at least one of URI, UriRegexRewrite, or authority. "
            "Only one of URI or UriRegexRewrite may be specified",
        )
    for name, text in (("uri", rewrite.uri), ("authority", rewrite.authority)):
        report.error(f"{at}.{name}", headers.one_line(text))
    if pattern is None:
        return
    report.error(f"{at}.uriRegexRewrite.rewrite", headers.one_line(pattern.rewrite))
    if not pattern.match or not pattern.rewrite:
        report.error(
            f"{at}.uriRegexRewrite",
            "UriRegexRewrite requires both Rewrite and Match fields to be specified",
        )
    else:
        report.error(
            f"{at}.uriRegexRewrite.match", regex(pattern.match, "HTTPRewrite.UriRegexRewrite.Match")
        )
