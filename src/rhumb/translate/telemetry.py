"""What a view reports: access logs as MeshConfig says, and Istio's metrics where the agent joins them."""

import json

from rhumb.ir.telemetry import AccessLog, Metrics, Reporter
from rhumb.translate.perspective import Perspective

DEFAULT_FORMAT = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" '
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "
    '"%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% '
    '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" '
    '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% '
    "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% "
    "%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
)
"""Istio's default."""

_DEFAULT_FIELDS = {
    "authority": "%REQ(:AUTHORITY)%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
    "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "duration": "%DURATION%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "requested_server_name": "%REQUESTED_SERVER_NAME%",
    "response_code": "%RESPONSE_CODE%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "response_flags": "%RESPONSE_FLAGS%",
    "route_name": "%ROUTE_NAME%",
    "start_time": "%START_TIME%",
    "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
    "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "user_agent": "%REQ(USER-AGENT)%",
    "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
}


def access_logs(seen: Perspective) -> tuple[AccessLog, ...]:
    """Return the logs of HTTP and TCP chains: MeshConfig `accessLogFile`, format and encoding."""
    mesh = seen.mesh
    if not mesh.access_log_file:
        return ()
    if not mesh.access_log_json:
        text = mesh.access_log_format or DEFAULT_FORMAT
        return (AccessLog(mesh.access_log_file, text if text.endswith("\n") else f"{text}\n"),)
    return (AccessLog(mesh.access_log_file, _json_format(mesh.access_log_format), json=True),)


def listener_logs(seen: Perspective) -> tuple[AccessLog, ...]:
    """Return the logs of listeners, for connections that no chain takes."""
    return () if seen.mesh.config.disable_envoy_listener_log else access_logs(seen)


def outbound_metrics(seen: Perspective) -> Metrics | None:
    """Return what sidecars and gateways report of requests they send."""
    return _metrics(seen, Reporter.SOURCE, "")


def inbound_metrics(seen: Perspective, host: str, namespace: str) -> Metrics | None:
    """Return what a sidecar reports of requests it receives for one service."""
    return _metrics(seen, Reporter.DESTINATION, f"{host};{namespace}")


def _metrics(seen: Perspective, reporter: Reporter, destination: str) -> Metrics | None:
    if not seen.view.capabilities.stats_access_logger:
        return None
    return Metrics(reporter, destination)


def _json_format(text: str) -> str:
    """Return a JSON object in one spelling; a format that is none falls back to Istio's."""
    try:
        fields = json.loads(text) if text else _DEFAULT_FIELDS
    except ValueError:
        fields = _DEFAULT_FIELDS
    if not isinstance(fields, dict):
        fields = _DEFAULT_FIELDS
    return json.dumps(fields, sort_keys=True)
