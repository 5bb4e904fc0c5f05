"""What happens to a request on its way: retries, faults, mirrors, CORS, headers, hashing."""

import enum

import msgspec

from rhumb.ir.match import TextMatch


class HeaderValue(msgspec.Struct, frozen=True, cache_hash=True):
    """One header to set, or to append to what is there."""

    name: str
    value: str
    append: bool = False


class HeaderChanges(msgspec.Struct, frozen=True, cache_hash=True):
    """Changes to the headers of requests and responses, in order; removals come first."""

    request: tuple[HeaderValue, ...] = ()
    request_removed: tuple[str, ...] = ()
    response: tuple[HeaderValue, ...] = ()
    response_removed: tuple[str, ...] = ()

    def then(self, later: "HeaderChanges") -> "HeaderChanges":
        """Return both, the later ones appended."""
        return HeaderChanges(
            self.request + later.request,
            self.request_removed + later.request_removed,
            self.response + later.response,
            self.response_removed + later.response_removed,
        )


class Retry(msgspec.Struct, frozen=True, cache_hash=True):
    """Retries of one route (Envoy: RetryPolicy)."""

    attempts: int
    on: str
    """Envoy's retry_on, comma separated."""
    status_codes: tuple[int, ...] = ()
    per_try_timeout_ms: int = 0
    """0: the timeout of the route."""
    backoff_ms: int = 0
    """0: Envoy's 25 ms."""
    avoids_previous_hosts: bool = True
    remote_localities: bool = False
    host_selection_attempts: int = 5
    """0: not written."""


class Delay(msgspec.Struct, frozen=True, cache_hash=True):
    """Hold requests back."""

    ms: int
    per_million: int


class Abort(msgspec.Struct, frozen=True, cache_hash=True):
    """Answer requests with an error; one of the two codes is set."""

    per_million: int
    http_status: int = 0
    grpc_status: int | None = None


class Fault(msgspec.Struct, frozen=True, cache_hash=True):
    """Injected faults of one route."""

    delay: Delay | None = None
    abort: Abort | None = None


class Mirror(msgspec.Struct, frozen=True, cache_hash=True):
    """A cluster that receives copies of requests."""

    cluster: str
    per_million: int


class Cors(msgspec.Struct, frozen=True, cache_hash=True):
    """Cross-origin resource sharing of one route."""

    origins: tuple[TextMatch, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    max_age_s: int | None = None
    credentials: bool | None = None
    forwards_unmatched_preflights: bool = True


class HashKind(enum.StrEnum):
    """What a consistent hash is taken of."""

    HEADER = "header"
    COOKIE = "cookie"
    SOURCE_IP = "source_ip"
    QUERY = "query"


class HashPolicy(msgspec.Struct, frozen=True, cache_hash=True):
    """The key of a consistent hash load balancer."""

    kind: HashKind
    name: str = ""
    """Header, cookie or query parameter."""
    cookie_path: str = ""
    cookie_ttl_ms: int | None = None
    """None: the cookie is never generated."""
    cookie_attributes: tuple[tuple[str, str], ...] = ()
