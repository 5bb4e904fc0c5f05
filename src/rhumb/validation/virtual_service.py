"""Rules for VirtualService, but for its HTTP routes."""

from collections.abc import Iterable, Sequence

from rhumb.base.hosts import covers, overlap
from rhumb.model.kinds.virtual_service import TcpRoute, TlsMatchAttributes, TlsRoute, VirtualService
from rhumb.model.resource import Resource
from rhumb.validation import rules
from rhumb.validation.headers import is_claim
from rhumb.validation.http_route import check_http_route
from rhumb.validation.routing import check_gateway_names, check_route_destinations
from rhumb.validation.rules import Report
from rhumb.validation.unreachable import check_unreachable

_ROUTE_SEMANTICS = "internal.istio.io/route-semantics"


def check_virtual_service(resource: Resource, spec: VirtualService, report: Report) -> None:
    """Check a VirtualService."""
    is_generated = resource.meta.annotations.get(_ROUTE_SEMANTICS) == "gateway"
    if not spec.hosts:
        _check_delegate(report, spec)
    check_gateway_names(report, "spec.gateways", spec.gateways, has_gateway_semantics=is_generated)
    on_gateways_only = bool(spec.gateways) and "mesh" not in spec.gateways
    if not on_gateways_only:
        _check_claims(report, spec)
    _check_hosts(report, spec, on_gateways_only=on_gateways_only)
    if not (spec.http or spec.tcp or spec.tls):
        report.error("spec", "http, tcp or tls must be provided in virtual service")
    for index, http in enumerate(spec.http):
        check_http_route(
            report,
            f"spec.http[{index}]",
            http,
            is_delegate=not spec.hosts,
            has_gateway_semantics=is_generated,
        )
    for index, tls in enumerate(spec.tls):
        _check_tls(report, f"spec.tls[{index}]", tls, spec, is_generated=is_generated)
    for index, tcp in enumerate(spec.tcp):
        _check_tcp(report, f"spec.tcp[{index}]", tcp, is_generated=is_generated)
    rules.check_export_to(report, resource.meta.namespace, spec.export_to)
    check_unreachable(report, spec)


def _check_delegate(report: Report, spec: VirtualService) -> None:
    for name, what, present in (
        ("gateways", "gateways", spec.gateways),
        ("tls", "tls route", spec.tls),
        ("tcp", "tcp route", spec.tcp),
    ):
        if present:
            report.error(
                f"spec.{name}",
                f"delegate virtual service must have no {what} specified",
                "a VirtualService without hosts is a delegate; add `hosts` unless it is meant to be one",
            )


def _check_claims(report: Report, spec: VirtualService) -> None:
    for index, http in enumerate(spec.http):
        for number, match in enumerate(http.match):
            for name in (*match.headers, *match.without_headers):
                if is_claim(name):
                    report.error(
                        f"spec.http[{index}].match[{number}].headers[{name}]",
                        f"JWT claim based routing (key: {name}) is only supported for gateway, "
                        f"found no gateways: [{' '.join(spec.gateways)}]",
                    )


def _check_hosts(report: Report, spec: VirtualService, *, on_gateways_only: bool) -> None:
    has_sni = any(match.sni_hosts for tls in spec.tls for match in tls.match)
    is_valid = True
    for index, host in enumerate(spec.hosts):
        at = f"spec.hosts[{index}]"
        wrong = (
            _sni_domain(host, has_sni=has_sni) if on_gateways_only else rules.wildcard_domain(host)
        )
        if wrong is not None and rules.is_address(host):
            continue
        if wrong is None and host == "*" and not on_gateways_only:
            wrong = "wildcard host * is not allowed for virtual services bound to the mesh gateway"
        if wrong is not None:
            report.error(at, wrong)
            is_valid = False
    if is_valid:
        _check_overlap(report, spec.hosts)


def _check_overlap(report: Report, hosts: Sequence[str]) -> None:
    first: dict[str, int] = {}
    wild = [index for index, host in enumerate(hosts) if host.startswith("*")]
    for index, host in enumerate(hosts):
        rivals = {first[host]} if host in first else set()
        rivals.update(w for w in wild if w < index and overlap(hosts[w], host))
        if host.startswith("*"):
            rivals.update(i for i in range(index) if overlap(hosts[i], host))
        for rival in sorted(rivals):
            report.error(
                f"spec.hosts[{index}]",
                f"duplicate hosts in virtual service: {hosts[rival]} & {host}",
            )
        first.setdefault(host, index)


def _sni_domain(name: str, *, has_sni: bool) -> str | None:
    """Check a host of a gateway, which may be an automatic SNI (outbound_.80_._.host)."""
    if not name or len(name) > 255 or not (has_sni and name.startswith("outbound_")):
        return rules.wildcard_domain(name)
    parts = name.split("_")
    form = "outbound_.<PORT>_._.<HOSTNAME>"
    if len(parts) < 4:
        return f"domain name {name} invalid, should follow '{form}' format"
    if not any(c.isdigit() for c in parts[1]):
        return f'domain name "{name}" invalid (label "{parts[1].strip(".")}" invalid). should follow {form} format'
    if not any(c.isalpha() for c in parts[3]):
        return f'domain name "{name}" invalid (label "{parts[3].strip(".")}" invalid). should follow {form} format'
    return None


def _check_tls(
    report: Report, at: str, tls: TlsRoute, spec: VirtualService, *, is_generated: bool
) -> None:
    if not tls.match:
        report.error(at, "TLS route must have at least one match condition")
    for index, match in enumerate(tls.match):
        _check_tls_match(report, f"{at}.match[{index}]", match, spec)
    if not tls.route:
        report.error(at, "TLS route is required")
    check_route_destinations(report, f"{at}.route", tls.route, is_generated=is_generated)


def _check_tls_match(
    report: Report, at: str, match: TlsMatchAttributes, spec: VirtualService
) -> None:
    if not match.sni_hosts:
        report.error(at, "TLS match must have at least one SNI host")
    for index, host in enumerate(match.sni_hosts):
        _check_sni_host(report, f"{at}.sniHosts[{index}]", host, spec)
    _check_l4(report, at, match.destination_subnets, match.port)
    rules.check_labels(report, f"{at}.sourceLabels", match.source_labels)
    check_gateway_names(report, f"{at}.gateways", match.gateways)


def _check_sni_host(report: Report, at: str, host: str, spec: VirtualService) -> None:
    # Unset gateways count as "not mesh" here, as in Istio.
    wrong = (
        rules.wildcard_domain(host) if "mesh" in spec.gateways else _sni_domain(host, has_sni=True)
    )
    if wrong is not None:
        if rules.is_address(host):
            report.warn(
                at,
                f'using an IP address ("{host}") goes against SNI spec and most clients do not support this',
            )
        else:
            report.error(at, wrong)
    elif not any(covers(pattern, host) for pattern in spec.hosts):
        report.error(
            at,
            f'SNI host "{host}" is not a compatible subset of any of the virtual service hosts: '
            f"[{', '.join(spec.hosts)}]",
        )
    else:
        report.warn(at, rules.partial_wildcard(host), "it matches nothing: write *. or no wildcard")


def _check_tcp(report: Report, at: str, tcp: TcpRoute, *, is_generated: bool) -> None:
    for index, match in enumerate(tcp.match):
        where = f"{at}.match[{index}]"
        _check_l4(report, where, match.destination_subnets, match.port)
        rules.check_labels(report, f"{where}.sourceLabels", match.source_labels)
        check_gateway_names(report, f"{where}.gateways", match.gateways)
    if not tcp.route:
        report.error(at, "TCP route is required")
    check_route_destinations(report, f"{at}.route", tcp.route, is_generated=is_generated)


def _check_l4(report: Report, at: str, subnets: Iterable[str], port: int) -> None:
    for index, subnet in enumerate(subnets):
        report.error(f"{at}.destinationSubnets[{index}]", rules.subnet(subnet))
    if port:
        report.error(f"{at}.port", rules.port(port))
