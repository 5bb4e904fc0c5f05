"""Rules for the parts of a traffic policy, which DestinationRule, Sidecar and MeshConfig share."""

import math

from rhumb.model.kinds.destination_rule import (
    ClientTls,
    ClientTlsMode,
    ConnectionPool,
    ConsistentHash,
    H2UpgradePolicy,
    HttpCookie,
    HttpSettings,
    LoadBalancer,
    OutlierDetection,
    PortTrafficPolicy,
    TcpKeepalive,
    TcpSettings,
    TrafficPolicy,
    TunnelSettings,
    Warmup,
)
from rhumb.validation import headers, rules
from rhumb.validation.locality import check_locality, check_zone_aware
from rhumb.validation.rules import Report

_CONFIG_MAP = "configmap://"
_MAX_RING = 8 * 1024 * 1024
_MAX_TABLE = 5_000_011
_MAX_PORT_SETTINGS = 4096


def check_traffic_policy(
    report: Report, at: str, namespace: str, policy: TrafficPolicy | None
) -> None:
    """Check a policy with all its parts."""
    if policy is None:
        return
    if policy == TrafficPolicy():
        report.error(at, "traffic policy must have at least one field")
        return
    if policy.tunnel is not None and policy.proxy_protocol is not None:
        report.error(at, "tunnel and proxyProtocol must not be set together")
        return
    _check_blocks(report, at, namespace, policy)
    if len(policy.port_level_settings) > _MAX_PORT_SETTINGS:
        report.error(f"{at}.portLevelSettings", f"must have at most {_MAX_PORT_SETTINGS} items")
    for index, settings in enumerate(policy.port_level_settings):
        where = f"{at}.portLevelSettings[{index}]"
        if settings.port is None:
            report.error(where, "portTrafficPolicy must have valid port")
        if settings == PortTrafficPolicy(port=settings.port):
            report.error(where, "port traffic policy must have at least one field")
        _check_blocks(report, where, namespace, settings)
    _check_tunnel(report, f"{at}.tunnel", policy.tunnel)
    budget = policy.retry_budget
    if budget is not None and budget.percent is not None and not 0 <= budget.percent <= 100:
        report.error(f"{at}.retryBudget.percent", "must be between 0 and 100")


def _check_blocks(
    report: Report, at: str, namespace: str, policy: TrafficPolicy | PortTrafficPolicy
) -> None:
    check_outlier_detection(report, f"{at}.outlierDetection", policy.outlier_detection)
    check_connection_pool(report, f"{at}.connectionPool", policy.connection_pool)
    _check_load_balancer(
        report, f"{at}.loadBalancer", policy.load_balancer, policy.outlier_detection
    )
    check_client_tls(report, f"{at}.tls", namespace, policy.tls)


def _check_tunnel(report: Report, at: str, tunnel: TunnelSettings | None) -> None:
    if tunnel is None:
        return
    if tunnel.protocol not in ("", "CONNECT", "POST"):
        report.error(f"{at}.protocol", 'tunnel protocol must be "CONNECT" or "POST"')
    wrong_name, wrong_address = rules.fqdn(tunnel.target_host), rules.address(tunnel.target_host)
    if wrong_name and wrong_address:
        report.error(
            f"{at}.targetHost",
            f"tunnel target host must be valid FQDN or IP address: {wrong_name}; {wrong_address}",
        )
    wrong_port = rules.port(tunnel.target_port)
    if wrong_port:
        report.error(f"{at}.targetPort", f"tunnel target port is invalid: {wrong_port}")


def check_outlier_detection(report: Report, at: str, outlier: OutlierDetection | None) -> None:
    """Check passive health checking."""
    if outlier is None:
        return
    rules.check_durations(
        report, at, {"baseEjectionTime": outlier.base_ejection_time, "interval": outlier.interval}
    )
    if (
        not outlier.split_external_local_origin_errors
        and (outlier.consecutive_local_origin_failures or 0) > 0
    ):
        report.error(
            f"{at}.consecutiveLocalOriginFailures",
            "outlier detection consecutive local origin failures is specified, "
            "but split external local origin errors is set to false",
            "set splitExternalLocalOriginErrors: true",
        )
    for name, share in (
        ("maxEjectionPercent", outlier.max_ejection_percent),
        ("minHealthPercent", outlier.min_health_percent),
    ):
        if not 0 <= share <= 100:
            report.error(f"{at}.{name}", f"percentage {share} is not in range 0..100")
    for index, code in enumerate(outlier.outlier_detection_http_error_codes):
        if not 100 <= code <= 599:
            report.error(
                f"{at}.outlierDetectionHttpErrorCodes[{index}]", "must be between 100 and 599"
            )


def check_connection_pool(report: Report, at: str, pool: ConnectionPool | None) -> None:
    """Check limits and timeouts of connections."""
    if pool is None:
        return
    if pool.http is None and pool.tcp is None:
        report.error(at, "connection pool must have at least one field")
    if pool.http is not None:
        _check_http(report, f"{at}.http", pool.http)
    if pool.tcp is not None:
        _check_tcp(report, f"{at}.tcp", pool.tcp)


def _check_http(report: Report, at: str, http: HttpSettings) -> None:
    rules.check_not_negative(
        report,
        at,
        {
            "http1MaxPendingRequests": (
                http.http1_max_pending_requests,
                "http1 max pending requests",
            ),
            "http2MaxRequests": (http.http2_max_requests, "http2 max requests"),
            "maxRequestsPerConnection": (
                http.max_requests_per_connection,
                "max requests per connection",
            ),
            "maxRetries": (http.max_retries, "max retries"),
            "maxConcurrentStreams": (http.max_concurrent_streams, "max concurrent streams"),
        },
    )
    rules.check_durations(report, at, {"idleTimeout": http.idle_timeout})
    if http.h2_upgrade_policy is H2UpgradePolicy.UPGRADE and http.use_client_protocol:
        report.error(
            f"{at}.useClientProtocol",
            "use client protocol must not be true when H2UpgradePolicy is UPGRADE",
        )
    keepalive = http.http2_keep_alive
    if keepalive is not None:
        both = {"interval": keepalive.interval, "timeout": keepalive.timeout}
        for name, value in both.items():
            if value is None:
                report.error(f"{at}.http2KeepAlive", f"http2 keepalive {name} is required")
        rules.check_durations(report, f"{at}.http2KeepAlive", both)


def _check_tcp(report: Report, at: str, tcp: TcpSettings) -> None:
    rules.check_not_negative(
        report, at, {"maxConnections": (tcp.max_connections, "max connections")}
    )
    idle = tcp.idle_timeout
    rules.check_durations(
        report,
        at,
        {
            "connectTimeout": tcp.connect_timeout,
            "maxConnectionDuration": tcp.max_connection_duration,
            # 0 switches it off.
            "idleTimeout": idle if idle is not None and idle.ms != 0 else None,
        },
    )
    check_keepalive(report, f"{at}.tcpKeepalive", tcp.tcp_keepalive)


def check_keepalive(report: Report, at: str, keepalive: TcpKeepalive | None) -> None:
    """Check when a silent connection is probed (also that of MeshConfig)."""
    if keepalive is not None:
        times = {"time": keepalive.time, "interval": keepalive.interval}
        rules.check_durations(report, at, times)


def _check_load_balancer(
    report: Report, at: str, lb: LoadBalancer | None, outlier: OutlierDetection | None
) -> None:
    if lb is None:
        return
    if lb.consistent_hash is not None:
        _check_hash(report, f"{at}.consistentHash", lb.consistent_hash)
    if lb.locality_lb_setting is not None and lb.zone_aware_lb_setting is not None:
        report.error(at, "only one of localityLbSetting and zoneAwareLbSetting can be set")
    check_locality(
        report, f"{at}.localityLbSetting", lb.locality_lb_setting, has_outlier=outlier is not None
    )
    check_zone_aware(
        report,
        f"{at}.zoneAwareLbSetting",
        lb.zone_aware_lb_setting,
        has_outlier=outlier is not None,
    )
    if lb.warmup_duration_secs is not None:
        rules.check_durations(report, at, {"warmupDurationSecs": lb.warmup_duration_secs})
        if lb.warmup is not None:
            report.error(at, "only one of warmupDurationSecs or warmup can be set")
    if lb.warmup is not None:
        _check_warmup(report, f"{at}.warmup", lb.warmup)


def _check_warmup(report: Report, at: str, warmup: Warmup) -> None:
    if warmup.duration is None:
        report.error(f"{at}.duration", f"{at}.duration: Required value: duration is required")
    rules.check_durations(report, at, {"duration": warmup.duration})
    share = warmup.minimum_percent
    if share is not None and not 0 <= share <= 100:
        report.error(
            f"{at}.minimumPercent",
            f"{at}.minimumPercent: Invalid value: {share:g}: "
            "minimumPercent value should be less than or equal to 100",
        )
    if warmup.aggression is not None and warmup.aggression <= 0:
        report.error(f"{at}.aggression", "aggression should be greater than 0")


def _check_hash(report: Report, at: str, lb: ConsistentHash) -> None:
    report.error(f"{at}.httpHeaderName", headers.one_line(lb.http_header_name or ""))
    if lb.http_cookie is not None:
        _check_cookie(report, f"{at}.httpCookie", lb.http_cookie)
    if lb.minimum_ring_size and (lb.ring_hash is not None or lb.maglev is not None):
        report.error(at, "only one of MinimumRingSize or Maglev/Ringhash can be specified")
    ring = lb.ring_hash.minimum_ring_size if lb.ring_hash is not None else lb.minimum_ring_size
    if ring > _MAX_RING:
        report.warn(at, f"ring size {ring} counts as {_MAX_RING}, the most that Envoy makes")
    if lb.maglev is not None:
        size = lb.maglev.table_size or 0
        where = f"{at}.maglev.tableSize"
        if size == 0:
            report.error(where, "tableSize must be set for maglev")
        elif size >= _MAX_TABLE:
            report.error(where, f"tableSize must be less than {_MAX_TABLE} for maglev")
        elif not _is_prime(size):
            report.error(where, "tableSize must be a prime number for maglev")


def _check_cookie(report: Report, at: str, cookie: HttpCookie) -> None:
    if not cookie.name:
        report.error(at, "name required for HttpCookie")
    seen: set[str] = set()
    for index, attribute in enumerate(cookie.attributes):
        where = f"{at}.attributes[{index}]"
        if not attribute.name:
            report.error(where, "cookie attribute name cannot be empty")
        elif attribute.name in seen:
            report.error(where, f"duplicate cookie attribute name: {attribute.name}")
        report.error(where, headers.one_line(attribute.name + attribute.value))
        seen.add(attribute.name)


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % factor for factor in range(2, math.isqrt(number) + 1))


def check_client_tls(report: Report, at: str, namespace: str, tls: ClientTls | None) -> None:
    """Check TLS to an upstream; `namespace` is the one whose credentials may be used."""
    if tls is None:
        return
    if tls.credential_name.startswith(_CONFIG_MAP):
        _check_config_map(report, f"{at}.credentialName", namespace, tls.credential_name)
    if tls.insecure_skip_verify:
        _check_insecure(report, at, tls)
    files = tls.client_certificate or tls.ca_certificates or tls.private_key or tls.ca_crl
    if tls.credential_name and tls.mode in (ClientTlsMode.SIMPLE, ClientTlsMode.MUTUAL):
        if files:
            report.error(
                at,
                "cannot specify client certificates or CA certificate or CA CRL If credentialName is set",
            )
        return
    if tls.mode is ClientTlsMode.MUTUAL:
        if not tls.client_certificate:
            report.error(at, "client certificate required for mutual tls")
        if not tls.private_key:
            report.error(at, "private key required for mutual tls")


def _check_insecure(report: Report, at: str, tls: ClientTls) -> None:
    given = "when InsecureSkipVerify is set true"
    if tls.mode is ClientTlsMode.SIMPLE and (
        tls.ca_certificates or tls.credential_name or tls.subject_alt_names
    ):
        report.error(
            at, f"cannot specify CaCertificates or CredentialName or SubjectAltNames {given}"
        )
    if tls.mode is ClientTlsMode.MUTUAL and (tls.ca_certificates or tls.subject_alt_names):
        report.error(at, f"cannot specify CaCertificates or SubjectAltNames {given}")


def _check_config_map(report: Report, at: str, namespace: str, name: str) -> None:
    where, _, config_map = name.removeprefix(_CONFIG_MAP).partition("/")
    if not where or not config_map or "/" in config_map:
        report.error(at, f'invalid configmap:// credentialName: invalid resource name "{name}"')
    elif where != namespace:
        report.error(
            at,
            "invalid configmap:// credentialName: namespace must match the configuration namespace "
            f'"{namespace}"',
        )
