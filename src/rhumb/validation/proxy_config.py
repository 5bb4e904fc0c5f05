"""Rules for ProxyConfig."""

from rhumb.base.durations import Duration
from rhumb.model.kinds.proxy_config import MIN_WINDOW, ConnectionSettings, ProxyConfig
from rhumb.model.kinds.proxy_config_resource import ProxyConfigResource
from rhumb.model.resource import Resource
from rhumb.validation import headers, rules
from rhumb.validation.rules import Report

_LONGEST_VALUE = 2048


def check_proxy_config(_resource: Resource, spec: ProxyConfigResource, report: Report) -> None:
    """Check a ProxyConfig."""
    rules.check_label_match(report, "spec.selector", spec.selector)
    if spec.concurrency is not None and spec.concurrency < 0:
        report.error("spec.concurrency", "concurrency must be greater than or equal to 0")
    for name, value in spec.environment_variables.items():
        if len(value) > _LONGEST_VALUE:
            report.error(
                f"spec.environmentVariables[{name}]",
                f"may not be more than {_LONGEST_VALUE} characters long",
            )


def check_shape(report: Report, at: str, config: ProxyConfig) -> None:
    """Check what a ProxyConfig of the mesh adds to the listeners of each proxy."""
    said = config.proxy_headers
    if said is not None and said.server is not None:
        report.error(f"{at}.proxyHeaders.server.value", headers.one_line(said.server.value))
    if config.connection_settings is not None:
        _check_connections(report, f"{at}.connectionSettings", config.connection_settings)


def _check_connections(report: Report, at: str, said: ConnectionSettings) -> None:
    durations = {
        "httpIdleTimeout": said.http_idle_timeout,
        "httpMaxConnectionDuration": said.http_max_connection_duration,
        "httpDrainTimeout": said.http_drain_timeout,
        "httpRequestTimeout": said.http_request_timeout,
        "httpRequestHeadersTimeout": said.http_request_headers_timeout,
        "httpStreamIdleTimeout": said.http_stream_idle_timeout,
        "httpMaxStreamDuration": said.http_max_stream_duration,
    }
    for name, value in durations.items():
        # 0 is "never".
        if value != Duration(0):
            rules.check_durations(report, at, {name: value})
    for field, number, low in (
        ("httpMaxConcurrentStreams", said.http_max_concurrent_streams, 1),
        ("http2InitialStreamWindowSize", said.http2_initial_stream_window_size, MIN_WINDOW),
        ("http2InitialConnectionWindowSize", said.http2_initial_connection_window_size, MIN_WINDOW),
    ):
        if number is not None and number < low:
            report.error(f"{at}.{field}", f"{number} is out of range, it must be at least {low}")
