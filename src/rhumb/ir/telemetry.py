"""What listeners report: access logs and the counters behind Istio's metrics."""

import enum

import msgspec


class AccessLog(msgspec.Struct, frozen=True, cache_hash=True):
    """Lines written to a file of the proxy."""

    path: str
    format: str
    """Envoy's format string; with `json`, the text of a JSON object whose values are such strings."""
    json: bool = False


class Reporter(enum.StrEnum):
    """Which side reports (Istio's label)."""

    SOURCE = "source"
    DESTINATION = "destination"


class Metrics(msgspec.Struct, frozen=True, cache_hash=True):
    """Istio's standard metrics, with the few labels that differ from request to request.

    The agent joins what is constant for a proxy when it is scraped.
    """

    reporter: Reporter
    destination: str = ""
    """Reporter destination: the service of this chain, `HOST;NAMESPACE`."""
