"""Rules for Sidecar."""

from collections.abc import Sequence

from rhumb.model.kinds.gateway import ServerTls, ServerTlsMode
from rhumb.model.kinds.sidecar import (
    CaptureMode,
    EgressListener,
    IngressListener,
    OutboundTrafficMode,
    OutboundTrafficPolicy,
    Sidecar,
    SidecarPort,
)
from rhumb.model.resource import Resource
from rhumb.validation import rules
from rhumb.validation.routing import check_destination
from rhumb.validation.rules import UNIX, Report
from rhumb.validation.server_tls import check_server_tls
from rhumb.validation.traffic_policy import check_connection_pool

_LOCAL = ("", "127.0.0.1", "0.0.0.0", "::1", "::")  # noqa: S104 - compared, not bound


def check_sidecar(resource: Resource, spec: Sidecar, report: Report) -> None:
    """Check a Sidecar."""
    rules.check_workload_selector(report, spec.workload_selector, "sidecar")
    has_rest = spec.outbound_traffic_policy is not None or spec.inbound_connection_pool is not None
    if not spec.egress and not spec.ingress and not has_rest:
        report.error("spec", "sidecar: empty configuration provided")
        return
    ports: set[int] = set()
    for index, ingress in enumerate(spec.ingress):
        at = f"spec.ingress[{index}]"
        _check_ingress(report, at, ingress)
        if ingress.port is not None:
            if ingress.port.number in ports:
                report.error(f"{at}.port", "sidecar: ports on IP bound listeners must be unique")
            ports.add(ingress.port.number)
    check_connection_pool(report, "spec.inboundConnectionPool", spec.inbound_connection_pool)
    _check_egress_ports(report, spec.egress)
    for index, egress in enumerate(spec.egress):
        _check_egress_hosts(
            report, f"spec.egress[{index}].hosts", egress.hosts, resource.meta.namespace
        )
    _check_outbound(report, "spec.outboundTrafficPolicy", spec.outbound_traffic_policy)


def _check_ingress(report: Report, at: str, ingress: IngressListener) -> None:
    port = ingress.port
    if port is None:
        report.error(f"{at}.port", "sidecar: port is required for ingress listeners")
        return
    _check_target_port(report, f"{at}.port", port)
    _check_port(report, at, port, ingress.bind)
    if ingress.default_endpoint:
        _check_default_endpoint(report, f"{at}.defaultEndpoint", ingress.default_endpoint)
    if ingress.tls is not None:
        _check_tls(report, f"{at}.tls", ingress.tls, port.protocol)
    pool = ingress.connection_pool
    check_connection_pool(report, f"{at}.connectionPool", pool)
    if pool is not None and pool.http is not None and not rules.is_http(port.protocol):
        report.warn(
            f"{at}.connectionPool.http",
            f'sidecar: HTTP connection pool settings are configured for port {port.number} ("{port.name}") '
            f"but its protocol is not HTTP ({port.protocol}); only TCP settings will apply",
        )


def _check_target_port(report: Report, at: str, port: SidecarPort) -> None:
    if port.target_port:
        report.error(f"{at}.targetPort", "targetPort has no impact on Sidecars", "remove it")


def _check_port(report: Report, at: str, port: SidecarPort, bind: str) -> None:
    if port.name:
        report.error(f"{at}.port.name", rules.port_name(port.name))
    report.error(f"{at}.port.protocol", rules.protocol(port.protocol))
    report.error(f"{at}.port.number", rules.port(port.number))
    if bind:
        report.error(f"{at}.bind", rules.address(bind))


def _check_default_endpoint(report: Report, at: str, endpoint: str) -> None:
    if endpoint.startswith(UNIX):
        report.error(at, rules.unix_path(endpoint.removeprefix(UNIX)))
        return
    host, colon, number = endpoint.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or (":" in host and not bracketed):
        reason = "too many colons in address" if colon else "missing port in address"
        report.error(at, f"address {endpoint}: {reason}")
        return
    if (host[1:-1] if bracketed else host) not in _LOCAL:
        report.error(
            at,
            "sidecar: defaultEndpoint must be of form 127.0.0.1:<port>,0.0.0.0:<port>,[::1]:port,[::]:port,"
            "unix://filepath or unset",
        )
    if not number.isascii() or not number.isdigit():
        report.error(at, f"sidecar: defaultEndpoint port ({number}) is not a number")
    else:
        report.error(at, rules.port(int(number[:10])))


def _check_tls(report: Report, at: str, tls: ServerTls, protocol: str) -> None:
    for name, value, message in (
        (
            "subjectAltNames",
            tls.subject_alt_names,
            "sidecar: subjectAltNames is not supported in ingress tls",
        ),
        ("httpsRedirect", tls.https_redirect, "sidecar: httpsRedirect is not supported"),
        (
            "credentialName",
            tls.credential_name,
            "sidecar: credentialName is not currently supported",
        ),
        (
            "credentialNames",
            tls.credential_names,
            "sidecar: credentialNames is not currently supported",
        ),
        (
            "tlsCertificates",
            tls.tls_certificates,
            "sidecar: tls_certificates is not currently supported",
        ),
    ):
        if value:
            report.error(f"{at}.{name}", message)
    if tls.mode in (ServerTlsMode.ISTIO_MUTUAL, ServerTlsMode.AUTO_PASSTHROUGH):
        report.error(
            f"{at}.mode",
            f"configuration is invalid: cannot set mode to {tls.mode} in sidecar ingress tls",
        )
    if not rules.is_tls(protocol):
        report.error(at, "server cannot have TLS settings for non HTTPS/TLS ports")
    check_server_tls(report, at, tls)


def _check_egress_ports(report: Report, listeners: Sequence[EgressListener]) -> None:
    ports: set[int] = set()
    sockets: set[str] = set()
    for index, egress in enumerate(listeners):
        at = f"spec.egress[{index}]"
        port = egress.port
        if port is None:
            if index != len(listeners) - 1:
                report.error(
                    at,
                    "sidecar: the egress listener with empty port should be the last listener in the list",
                )
            if egress.bind:
                report.error(f"{at}.bind", rules.address(egress.bind))
            continue
        _check_target_port(report, f"{at}.port", port)
        if port.number == 0:
            _check_socket(report, at, egress, port)
            if egress.bind in sockets:
                report.error(at, "sidecar: unix domain socket values for listeners must be unique")
            sockets.add(egress.bind)
        else:
            _check_port(report, at, port, egress.bind)
            if port.number in ports:
                report.error(f"{at}.port", "sidecar: ports on IP bound listeners must be unique")
            ports.add(port.number)


def _check_socket(report: Report, at: str, egress: EgressListener, port: SidecarPort) -> None:
    if port.name:
        report.error(f"{at}.port.name", rules.port_name(port.name))
    report.error(f"{at}.port.protocol", rules.protocol(port.protocol))
    if egress.bind.startswith(UNIX):
        report.error(f"{at}.bind", rules.unix_path(egress.bind.removeprefix(UNIX)))
    else:
        report.error(
            f"{at}.bind", "sidecar: ports with 0 value must have a unix domain socket bind address"
        )
    if egress.capture_mode is CaptureMode.IPTABLES:
        report.error(
            f"{at}.captureMode",
            "sidecar: captureMode must be DEFAULT/NONE for unix domain socket listeners",
        )


def _check_egress_hosts(report: Report, at: str, hosts: Sequence[str], own: str) -> None:
    if not hosts:
        report.error(at, "sidecar: egress listener must contain at least one host")
    seen: dict[str, set[str]] = {}
    for index, host in enumerate(hosts):
        where = f"{at}[{index}]"
        namespace, slash, name = host.partition("/")
        if slash and not namespace.startswith("~"):
            names = seen.setdefault(own if namespace == "." else namespace, set())
            if name in names or "*" in names or (name == "*" and names):
                report.warn(where, f"duplicated egress host: {host}")
            names.add(name)
        for wrong in rules.namespaced_host(host, is_gateway=False):
            report.error(where, wrong)
    if "*" in seen.get("*", ()) and len(seen) != 1:
        report.warn(at, "`*/*` host select all resources, no other hosts can be added")


def _check_outbound(report: Report, at: str, policy: OutboundTrafficPolicy | None) -> None:
    if policy is None or policy.egress_proxy is None:
        return
    where, proxy = f"{at}.egressProxy", policy.egress_proxy
    if policy.mode is not OutboundTrafficMode.ALLOW_ANY:
        report.error(
            where,
            "sidecar: egress_proxy must be set only with ALLOW_ANY outbound_traffic_policy mode",
        )
        return
    report.error(f"{where}.host", rules.fqdn(proxy.host))
    if proxy.port is None:
        report.error(where, "sidecar: egress_proxy port must be non-nil")
    else:
        check_destination(report, where, proxy)
