"""Matches: what a text, a header, a path, a request or a connection must look like."""

import enum

import msgspec


class TextKind(enum.StrEnum):
    """How a text is compared."""

    EXACT = "exact"
    PREFIX = "prefix"
    SUFFIX = "suffix"
    REGEX = "regex"
    """RE2, on the whole text."""


class TextMatch(msgspec.Struct, frozen=True, cache_hash=True):
    """One comparison of a text."""

    kind: TextKind
    value: str
    ignore_case: bool = False


class HeaderMatch(msgspec.Struct, frozen=True, cache_hash=True):
    """A condition on one header (or `:method`, `:authority`, `:scheme`)."""

    name: str
    text: TextMatch | None = None
    """None: the header is present."""
    invert: bool = False
    missing_is_empty: bool = False


class QueryMatch(msgspec.Struct, frozen=True, cache_hash=True):
    """A condition on one query parameter."""

    name: str
    text: TextMatch | None = None
    """None: the parameter is present."""


class ClaimMatch(msgspec.Struct, frozen=True, cache_hash=True):
    """A condition on one claim of the verified token (VirtualService `@request.auth.claims`)."""

    path: tuple[str, ...]
    text: TextMatch | None = None
    """None: the claim is present."""
    invert: bool = False


class PathKind(enum.StrEnum):
    """How a path is compared."""

    EXACT = "exact"
    PREFIX = "prefix"
    SEGMENTS = "segments"
    """A prefix that ends where a path segment ends."""
    REGEX = "regex"


class PathMatch(msgspec.Struct, frozen=True, cache_hash=True):
    """A condition on the path without its query."""

    kind: PathKind = PathKind.PREFIX
    value: str = "/"
    ignore_case: bool = False


class RequestMatch(msgspec.Struct, frozen=True, cache_hash=True):
    """Conditions on one request, all of which must hold."""

    path: PathMatch = PathMatch()
    headers: tuple[HeaderMatch, ...] = ()
    queries: tuple[QueryMatch, ...] = ()
    claims: tuple[ClaimMatch, ...] = ()

    @property
    def is_catch_all(self) -> bool:
        """Tell whether every request matches, so that nothing after this is reached."""
        anywhere = self.path.kind is PathKind.PREFIX and self.path.value == "/"
        anything = self.path.kind is PathKind.REGEX and self.path.value in ("*", ".*")
        return (anywhere or anything) and not (self.headers or self.queries or self.claims)


class Cidr(msgspec.Struct, frozen=True, order=True):
    """A range of addresses."""

    address: str
    bits: int


class Transport(enum.StrEnum):
    """What the first bytes of a connection are (Envoy: transport_protocol)."""

    ANY = ""
    RAW = "raw_buffer"
    TLS = "tls"


class ConnectionMatch(msgspec.Struct, frozen=True, cache_hash=True):
    """Which connections a filter chain takes (Envoy: FilterChainMatch)."""

    port: int = 0
    """Original destination port; 0 is any."""
    destinations: tuple[Cidr, ...] = ()
    server_names: tuple[str, ...] = ()
    transport: Transport = Transport.ANY
    protocols: tuple[str, ...] = ()
    """ALPN as offered by the client, or as the HTTP inspector found it."""

    @property
    def is_any(self) -> bool:
        """Tell whether every connection matches."""
        return self == ConnectionMatch()
