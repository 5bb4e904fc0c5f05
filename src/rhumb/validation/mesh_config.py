"""Rules for MeshConfig."""

from rhumb.base.durations import Duration
from rhumb.model.kinds.mesh_config import MeshConfig, MeshTls
from rhumb.model.resource import Resource
from rhumb.model.tls_names import usable_ciphers, usable_curves
from rhumb.validation import rules
from rhumb.validation.http_route import check_retries
from rhumb.validation.locality import check_locality, check_zone_aware
from rhumb.validation.proxy_config import check_shape
from rhumb.validation.regex import syntax_error
from rhumb.validation.rules import Report
from rhumb.validation.traffic_policy import (
    check_client_tls,
    check_connection_pool,
    check_keepalive,
    check_outlier_detection,
)

_MS = Duration(1_000_000)


def check_mesh_config(_resource: Resource, spec: MeshConfig, report: Report) -> None:
    """Check a MeshConfig; fields that are not set take valid defaults."""
    for name, number in (
        ("proxyListenPort", spec.proxy_listen_port),
        ("proxyInboundListenPort", spec.proxy_inbound_listen_port),
        ("proxyHttpPort", spec.proxy_http_port),
    ):
        if number:
            report.error(name, rules.port(number))
    _check_timeouts(report, spec)
    check_keepalive(report, "tcpKeepalive", spec.tcp_keepalive)
    # The mesh as a whole always has failover, with or without outlier detection.
    check_locality(report, "localityLbSetting", spec.locality_lb_setting, has_outlier=True)
    check_zone_aware(report, "zoneAwareLbSetting", spec.zone_aware_lb_setting, has_outlier=True)
    for index, settings in enumerate(spec.service_settings):
        for host in settings.hosts:
            report.error(f"serviceSettings[{index}]", rules.wildcard_domain(host))
    for name in (*((spec.trust_domain,) if spec.trust_domain else ()), *spec.trust_domain_aliases):
        report.error("trustDomain", _trust_domain(name))
    policy = spec.default_traffic_policy
    if policy is not None:
        check_connection_pool(report, "defaultTrafficPolicy.connectionPool", policy.connection_pool)
        check_outlier_detection(
            report, "defaultTrafficPolicy.outlierDetection", policy.outlier_detection
        )
    _check_statistics(report, spec)
    if spec.default_config is not None:
        check_shape(report, "defaultConfig", spec.default_config)
    check_retries(report, "defaultHttpRetryPolicy", spec.default_http_retry_policy)
    check_retries(report, "defaultInboundHttpRetryPolicy", spec.default_inbound_http_retry_policy)
    if spec.outbound_traffic_policy is not None:
        check_client_tls(report, "outboundTrafficPolicy.tls", "", spec.outbound_traffic_policy.tls)
    _check_tls(report, spec)


def _check_statistics(report: Report, spec: MeshConfig) -> None:
    matcher = spec.default_config.proxy_stats_matcher if spec.default_config is not None else None
    for index, expression in enumerate(matcher.inclusion_regexps if matcher is not None else ()):
        report.warn(
            f"defaultConfig.proxyStatsMatcher.inclusionRegexps[{index}]",
            syntax_error(expression),
            "the expression is left out",
        )


def _check_tls(report: Report, spec: MeshConfig) -> None:
    """Warn of ciphers and curves that are left out."""
    if spec.mesh_mtls is not None and spec.mesh_mtls.ecdh_curves:
        report.error("meshMTLS.ecdhCurves", "mesh TLS does not support ECDH curves configuration")
    for at, tls in (("meshMTLS", spec.mesh_mtls), ("tlsDefaults", spec.tls_defaults)):
        said = tls or MeshTls()
        for index, suite in enumerate(said.cipher_suites):
            if suite not in usable_ciphers(said.cipher_suites):
                wrong = f"ignoring invalid cipher suite: {suite}"
                report.warn(f"{at}.cipherSuites[{index}]", wrong)
        for index, curve in enumerate(said.ecdh_curves):
            if curve not in usable_curves(said.ecdh_curves):
                report.warn(f"{at}.ecdhCurves[{index}]", f"ignoring invalid ECDH curve: {curve}")


def _check_timeouts(report: Report, spec: MeshConfig) -> None:
    if spec.connect_timeout is not None:
        wrong = rules.duration(spec.connect_timeout) or _range(spec.connect_timeout, 1, 30_000)
        report.error("connectTimeout", f"invalid connect timeout: {wrong}" if wrong else None)
    refresh = spec.dns_refresh_rate
    if refresh is not None and refresh <= _MS:
        report.error("dnsRefreshRate", f"time {refresh} must be greater than 1ms")
    detection = spec.protocol_detection_timeout
    if detection is not None and detection != 0:
        wrong = rules.duration(detection)
        report.error(
            "protocolDetectionTimeout",
            f"invalid protocol detection timeout: {wrong}" if wrong else None,
        )


def _range(value: Duration, low_ms: int, high_ms: int) -> str | None:
    return (
        None
        if low_ms <= value.ms <= high_ms
        else f"time {value} must be >{low_ms}ms and <{high_ms}ms"
    )


def _trust_domain(name: str) -> str | None:
    parts = name.split(".")
    if parts[-1] == "" and len(parts) > 1:
        parts.pop()
    return None if all(map(rules.is_dns_label, parts)) else f'trust domain name "{name}" invalid'
