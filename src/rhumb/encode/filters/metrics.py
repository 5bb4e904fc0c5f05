"""Istio's standard metrics through envoy.access_loggers.stats.

Only what differs from request to request is a tag; the agent joins the constant labels when it is
scraped and drops Envoy's own prefix.
"""

from collections.abc import Iterable

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLog, AccessLogFilter
from envoy.data.accesslog.v3.accesslog_pb2 import AccessLogType
from envoy.extensions.access_loggers.stats.v3.stats_pb2 import Config

from rhumb.encode.pack import pack
from rhumb.ir.telemetry import Metrics, Reporter

_NAME = "envoy.access_loggers.stats"
_PREFIX = "istio"
"""Metrics are scraped as envoy_istio_NAME."""
AT_END = AccessLogType.TcpConnectionEnd
_NEVER_CONNECTED = ("UF", "UH", "UO", "NR", "NC")
"""Flags of TCP connections that never reached an upstream: opened and closed at once."""

_DESTINATION = "%UPSTREAM_CLUSTER_RAW%"
_DESTINATION_PEER = "%UPSTREAM_METADATA(istio:peer)%"
_DESTINATION_PRINCIPAL = "%UPSTREAM_PEER_URI_SAN%"
_SOURCE_PEER = "%DOWNSTREAM_PEER_OTHERNAME_SAN%"
_SOURCE_PRINCIPAL = "%DOWNSTREAM_PEER_URI_SAN%"


def http(plan: Metrics) -> list[AccessLog]:
    """Spell the metrics of HTTP requests."""
    tags = [
        *_tags(plan),
        ("response_code", "%RESPONSE_CODE%"),
        ("response_flags", "%RESPONSE_FLAGS%"),
        ("grpc_response_status", "%GRPC_STATUS_NUMBER%"),
    ]
    config = Config(stat_prefix=_PREFIX)
    _count(config, "requests_total", tags)
    _measure(
        config, "request_duration_milliseconds", tags, "%DURATION%", Config.Histogram.Milliseconds
    )
    _measure(
        config, "request_bytes", tags, "%DOWNSTREAM_WIRE_BYTES_RECEIVED%", Config.Histogram.Bytes
    )
    _measure(config, "response_bytes", tags, "%DOWNSTREAM_WIRE_BYTES_SENT%", Config.Histogram.Bytes)
    return [AccessLog(name=_NAME, typed_config=pack(config))]


def tcp(plan: Metrics) -> list[AccessLog]:
    """Spell the metrics of TCP connections: counted when the upstream is known, and at the end."""
    tags = [*_tags(plan), ("response_flags", "%RESPONSE_FLAGS%")]
    opened = Config(stat_prefix=_PREFIX)
    _count(opened, "tcp_connections_opened_total", tags)
    closed = Config(stat_prefix=_PREFIX)
    _count(closed, "tcp_connections_closed_total", tags)
    # Received and sent as seen from the downstream's side, as Istio counts them.
    _count(closed, "tcp_received_bytes_total", tags, "%BYTES_RECEIVED%")
    _count(closed, "tcp_sent_bytes_total", tags, "%BYTES_SENT%")
    at_start = AccessLogFilter()
    at_start.or_filter.filters.add().CopyFrom(_at(AccessLogType.TcpUpstreamConnected))
    failed = at_start.or_filter.filters.add().and_filter
    failed.filters.add().CopyFrom(_at(AT_END))
    failed.filters.add().response_flag_filter.flags.extend(_NEVER_CONNECTED)
    return [_logger(opened, at_start), _logger(closed, _at(AT_END))]


def _tags(plan: Metrics) -> list[tuple[str, str]]:
    """Return who called whom; a server reads the caller's name off its certificate."""
    if plan.reporter is Reporter.SOURCE:
        destination, peer, principal = _DESTINATION, _DESTINATION_PEER, _DESTINATION_PRINCIPAL
    else:
        destination, peer, principal = plan.destination, _SOURCE_PEER, _SOURCE_PRINCIPAL
    return [
        ("reporter", plan.reporter.value),
        ("destination", destination),
        ("peer", peer),
        ("principal", principal),
    ]


def _count(config: Config, name: str, tags: Iterable[tuple[str, str]], value: str = "") -> None:
    counter = config.counters.add()
    _stat(counter.stat, name, tags)
    if value:
        counter.value_format = value
    else:
        counter.value_fixed.value = 1


def _measure(
    config: Config,
    name: str,
    tags: Iterable[tuple[str, str]],
    value: str,
    unit: Config.Histogram.Unit.ValueType,
) -> None:
    histogram = config.histograms.add(value_format=value, unit=unit)
    _stat(histogram.stat, name, tags)


def _stat(stat: Config.Stat, name: str, tags: Iterable[tuple[str, str]]) -> None:
    stat.name = name
    for tag, value in tags:
        stat.tags.add(name=tag, value_format=value)


def _at(moment: AccessLogType.ValueType) -> AccessLogFilter:
    out = AccessLogFilter()
    out.log_type_filter.types.append(moment)
    return out


def _logger(config: Config, when: AccessLogFilter) -> AccessLog:
    return AccessLog(name=_NAME, typed_config=pack(config), filter=when)
