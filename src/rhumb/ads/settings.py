"""Settings of the xDS server: composed by app, which never looks elsewhere for them."""

import msgspec


class DebounceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How changes are merged into pushes. A first change after quiet goes at once."""

    quiet_min_s: float = 0.002
    """Shortest wait for more changes once a push has just happened."""
    quiet_max_s: float = 0.1
    """Longest wait for more changes (Istio: PILOT_DEBOUNCE_AFTER)."""
    cost_factor: float = 1.0
    """The wait in units of what the last push took until its clients had it."""
    most_quiets: int = 5
    """A change waits no longer for others than so many of these waits (cf. Istio's PILOT_DEBOUNCE_MAX)."""


class AdsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How streams are served and bounded."""

    ack_timeout_s: float = 5.0
    """A client that has not answered a response by then no longer holds up what depends on it."""
    patience_s: float = 2.0
    """How long the next push waits for clients to take the last one."""
    slice_s: float = 0.005
    """How long at a time what is new to all is made for new clients; then all others have their chance."""
    first_bytes: int = 16 << 20
    """Large first responses, in bytes, that are on their way at once; further clients wait their turn."""
    max_message_bytes: int = 4 << 20
    """Longest request; longer ones are refused by gRPC (Istio: 4 MB)."""
    max_names: int = 100_000
    """Most subscriptions of one stream to one type; more ends the stream with a reason."""
    max_name_bytes: int = 4096
    """Longest resource name."""
    max_streams: int = 100_000
    """Most streams at once; more are refused as unavailable and come back with backoff."""
    keepalive_s: float = 30.0
    """Interval of HTTP/2 pings to silent clients."""
    keepalive_timeout_s: float = 10.0
    max_connection_age_s: float = 1800.0
    """A connection is asked to come anew after this long, so that proxies show their renewed
    certificates and spread over all control planes (Istio: keepaliveMaxServerConnectionAge)."""
    max_connection_grace_s: float = 10.0
    """How long its streams may still go on."""
