"""Rules for Gateway."""

from rhumb.model.kinds.gateway import Gateway, Port, Server, ServerTlsMode
from rhumb.model.resource import Resource
from rhumb.validation import rules
from rhumb.validation.rules import UNIX, Report
from rhumb.validation.server_tls import check_server_tls

_GATEWAY_SEMANTICS = "internal.istio.io/gateway-semantics"


def check_gateway(resource: Resource, spec: Gateway, report: Report) -> None:
    """Check a Gateway."""
    is_generated = resource.meta.annotations.get(_GATEWAY_SEMANTICS) == "gateway"
    if not rules.is_dns_label(resource.meta.name) and not is_generated:
        report.error(
            "metadata.name",
            f'invalid gateway name: "{resource.meta.name}"',
            "use a name without dots",
        )
    if not spec.servers:
        report.error("spec.servers", "gateway must have at least one server")
    names: set[str] = set()
    for index, server in enumerate(spec.servers):
        at = f"spec.servers[{index}]"
        _check_server(report, at, server, is_generated=is_generated)
        if server.port is None:
            continue
        if server.port.name in names:
            report.error(
                f"{at}.port.name",
                f"port names in servers must be unique: duplicate name {server.port.name}",
            )
        names.add(server.port.name)
        if (
            server.tls is not None
            and server.tls.https_redirect
            and not rules.is_http(server.port.protocol)
        ):
            report.warn(
                f"{at}.tls.httpsRedirect", "tls.httpsRedirect should only be used with http servers"
            )


def _check_server(report: Report, at: str, server: Server, *, is_generated: bool) -> None:
    if not server.hosts:
        report.error(f"{at}.hosts", "server config must contain at least one host")
    for index, host in enumerate(server.hosts):
        for wrong in rules.namespaced_host(
            host, is_gateway=True, has_gateway_semantics=is_generated
        ):
            report.error(f"{at}.hosts[{index}]", wrong)
    if server.port is None:
        report.error(f"{at}.port", "port is required")
    else:
        _check_port(report, f"{at}.port", server.port, server.bind)
    _check_bind(report, f"{at}.bind", server)
    check_server_tls(report, f"{at}.tls", server.tls)
    if server.port is not None and rules.is_known_protocol(server.port.protocol):
        _check_tls_fits(report, f"{at}.tls", server, server.port.protocol)


def _check_port(report: Report, at: str, port: Port, bind: str) -> None:
    if not rules.is_known_protocol(port.protocol):
        report.error(
            f"{at}.protocol",
            f'invalid protocol "{port.protocol}", supported protocols are HTTP, HTTP2, GRPC, GRPC-WEB, MONGO, REDIS, '
            "MYSQL, TCP",
        )
    if port.number > 0 or not bind.startswith(UNIX):
        report.error(f"{at}.number", rules.port(port.number))
    if port.target_port > 0:
        report.error(f"{at}.targetPort", "targetPort has no impact on Gateways", "remove it")
    if not port.name:
        report.error(f"{at}.name", "port name must be set")


def _check_bind(report: Report, at: str, server: Server) -> None:
    if server.bind.startswith(UNIX):
        report.error(at, rules.unix_path(server.bind.removeprefix(UNIX)))
        if server.port is not None and server.port.number:
            report.error(at, "port number must be 0 for unix domain socket")
    elif server.bind:
        report.error(at, rules.address(server.bind))


def _check_tls_fits(report: Report, at: str, server: Server, protocol: str) -> None:
    tls = server.tls
    if rules.is_tls(protocol):
        if tls is None:
            report.error(at, "server must have TLS settings for HTTPS/TLS protocols")
    elif tls is not None and not rules.is_http(protocol):
        report.error(at, "server cannot have TLS settings for non HTTPS/TLS ports")
    elif tls is not None:
        passes = tls.mode in (ServerTlsMode.PASSTHROUGH, ServerTlsMode.AUTO_PASSTHROUGH)
        if not passes or tls.ca_certificates or tls.private_key or tls.server_certificate:
            report.error(at, "server cannot have TLS settings for plain text HTTP ports")
