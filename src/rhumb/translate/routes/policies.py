"""Timeouts, retries, faults, mirrors, CORS and hashing of routes, with Istio's defaults."""

from rhumb.ir.match import TextKind, TextMatch
from rhumb.ir.policy import Abort, Cors, Delay, Fault, HashKind, HashPolicy, Retry
from rhumb.model.kinds.destination_rule import ConsistentHash
from rhumb.model.kinds.virtual_service import (
    CorsPolicy,
    FaultAbort,
    FaultDelay,
    HttpFaultInjection,
    HttpRetry,
    HttpRoute,
    UnmatchedPreflights,
)
from rhumb.translate.routes.matching import text_match

MILLION = 1_000_000
LAST_STATUS = 599
"""Validation lets 600 pass, Envoy does not."""

RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
"""Istio's default: failures that happened before the server saw the request."""
INBOUND_RETRY_ON = "reset-before-request"
_STATUS_CODES = "retriable-status-codes"

_GRPC_CODES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)


def per_million(percent: float) -> int:
    """Turn a percentage into a share of a million: 0.1 % is 1000, exactly."""
    return min(max(round(percent * 10_000), 0), MILLION)


def retry(wanted: HttpRetry | None, *, hashed: bool) -> Retry | None:
    """Translate `retries`: two by default, none with 0 attempts.

    With a consistent hash a retry goes to the host that the hash says, so previous hosts stay eligible.
    """
    if wanted is None:
        return Retry(2, RETRY_ON, avoids_previous_hosts=not hashed)
    if wanted.attempts <= 0:
        return None
    on, codes = _retry_on(wanted.retry_on) if wanted.retry_on else (RETRY_ON, ())
    avoids = wanted.retry_ignore_previous_hosts
    return Retry(
        attempts=wanted.attempts,
        on=on,
        status_codes=codes,
        per_try_timeout_ms=wanted.per_try_timeout.ms if wanted.per_try_timeout else 0,
        backoff_ms=wanted.backoff.ms if wanted.backoff else 0,
        avoids_previous_hosts=not hashed if avoids is None else avoids,
        remote_localities=bool(wanted.retry_remote_localities),
    )


def inbound_retry(wanted: HttpRetry | None) -> Retry | None:
    """Translate retries towards the application: by default only of requests that it never received.

    Host selection and timeouts per try mean nothing there; 0 attempts is none.
    """
    if wanted is None:
        return Retry(2, INBOUND_RETRY_ON, avoids_previous_hosts=False, host_selection_attempts=0)
    if wanted.attempts <= 0:
        return None
    on, codes = _retry_on(wanted.retry_on) if wanted.retry_on else (INBOUND_RETRY_ON, ())
    return Retry(
        attempts=wanted.attempts,
        on=on,
        status_codes=codes,
        backoff_ms=wanted.backoff.ms if wanted.backoff else 0,
        avoids_previous_hosts=False,
        host_selection_attempts=0,
    )


def _retry_on(text: str) -> tuple[str, tuple[int, ...]]:
    """Split Envoy's conditions from the status codes that stand among them."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    codes = tuple(int(part) for part in parts if part.isdigit())
    words = [part for part in parts if not part.isdigit()]
    if codes and _STATUS_CODES not in words:
        words.append(_STATUS_CODES)
    return ",".join(words), codes


def fault(wanted: HttpFaultInjection | None) -> Fault | None:
    """Translate `fault`; a percentage that is not written is 0 %."""
    if wanted is None:
        return None
    found = Fault(_delay(wanted.delay), _abort(wanted.abort))
    return found if found != Fault() else None


def _delay(wanted: FaultDelay | None) -> Delay | None:
    if wanted is None or wanted.fixed_delay is None:
        return None
    share = per_million(wanted.percentage.value if wanted.percentage else float(wanted.percent))
    return Delay(wanted.fixed_delay.ms, share)


def _abort(wanted: FaultAbort | None) -> Abort | None:
    if wanted is None:
        return None
    share = per_million(wanted.percentage.value) if wanted.percentage else 0
    if wanted.http_status is not None:
        return Abort(share, http_status=min(wanted.http_status, LAST_STATUS))
    code = grpc_code(wanted.grpc_status or "")
    return None if code is None else Abort(share, grpc_status=code)


def grpc_code(name: str) -> int | None:
    """Return the number of a gRPC status name, None when there is no such name."""
    return _GRPC_CODES.index(name.upper()) if name.upper() in _GRPC_CODES else None


def mirror_share(rule: HttpRoute) -> int:
    """Return the share of `mirror` in a million; not written means all."""
    if rule.mirror_percentage is not None:
        return per_million(rule.mirror_percentage.value)
    if rule.mirror_percent is not None:
        return per_million(float(rule.mirror_percent))
    return MILLION


def cors(wanted: CorsPolicy | None) -> Cors | None:
    """Translate `corsPolicy`."""
    if wanted is None:
        return None
    origins = [o for text in wanted.allow_origins if (o := text_match(text))]
    if not wanted.allow_origins:
        origins = [TextMatch(TextKind.EXACT, text) for text in wanted.allow_origin]
    return Cors(
        origins=tuple(origins),
        methods=wanted.allow_methods,
        headers=wanted.allow_headers,
        expose=wanted.expose_headers,
        max_age_s=wanted.max_age.ms // 1000 if wanted.max_age is not None else None,
        credentials=wanted.allow_credentials,
        forwards_unmatched_preflights=wanted.unmatched_preflights is not UnmatchedPreflights.IGNORE,
    )


def hash_policy(wanted: ConsistentHash | None) -> tuple[HashPolicy, ...]:
    """Translate the key of `consistentHash`; none when there is no key."""
    if wanted is None:
        return ()
    if wanted.http_header_name:
        return (HashPolicy(HashKind.HEADER, wanted.http_header_name),)
    if wanted.http_cookie is not None:
        cookie = wanted.http_cookie
        return (
            HashPolicy(
                HashKind.COOKIE,
                cookie.name,
                cookie.path,
                cookie.ttl.ms if cookie.ttl is not None else None,
                tuple((a.name, a.value) for a in cookie.attributes),
            ),
        )
    if wanted.use_source_ip:
        return (HashPolicy(HashKind.SOURCE_IP),)
    if wanted.http_query_parameter_name:
        return (HashPolicy(HashKind.QUERY, wanted.http_query_parameter_name),)
    return ()
