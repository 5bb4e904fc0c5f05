"""Rules that HTTP, TLS and TCP routes share: destinations, gateway names, percentages."""

from collections.abc import Sequence

from rhumb.model.kinds.virtual_service import (
    Destination,
    HttpRouteDestination,
    Percent,
    RouteDestination,
)
from rhumb.validation import rules
from rhumb.validation.headers import check_headers
from rhumb.validation.rules import Report


def check_gateway_names(
    report: Report, at: str, names: Sequence[str], *, has_gateway_semantics: bool = False
) -> None:
    """Check references to Gateways: `mesh`, a name, or `namespace/name`.

    Istio looks no further than the first that is not `namespace/name`; what follows means no Gateway.
    """
    say = report.error
    for index, name in enumerate(names):
        where = f"{at}[{index}]"
        namespace, slash, rest = name.partition("/")
        if not slash:
            if "." in name:
                parts = name.split(".")
                report.warn(
                    where,
                    f'using legacy gatewayName format "{name}"; prefer the <namespace>/<name> format: '
                    f'"{parts[1]}/{parts[0]}"',
                )
            say(where, rules.fqdn(name))
            say = report.warn
            continue
        if not namespace or not rest:
            say(where, "config namespace and gateway name cannot be empty")
        if not rules.is_dns_label(namespace):
            say(where, f'invalid value for namespace: "{namespace}"')
        if not rules.is_dns_label(rest) and not has_gateway_semantics:
            say(where, f'invalid value for gateway name: "{rest}"')


def check_destination(report: Report, at: str, destination: Destination | None) -> None:
    """Check where a route goes."""
    if destination is None:
        return
    if destination.host == "*":
        report.error(f"{at}.host", "invalid destination host *")
    else:
        report.error(f"{at}.host", rules.wildcard_domain(destination.host))
    if destination.subset:
        report.error(f"{at}.subset", subset_name(destination.subset))
    if destination.port is not None:
        report.error(f"{at}.port", rules.port(destination.port.number))


def subset_name(name: str) -> str | None:
    """Check the name of a subset."""
    if not name:
        return "subset name cannot be empty"
    return None if rules.is_dns_label(name) else f"subset name is invalid: {name}"


def check_route_destinations(
    report: Report,
    at: str,
    routes: Sequence[HttpRouteDestination | RouteDestination],
    *,
    is_generated: bool,
) -> None:
    """Check weighted destinations; `is_generated` comes from the Gateway API, whose names are not checked."""
    for index, route in enumerate(routes):
        where = f"{at}[{index}]"
        if route.destination is None:
            report.error(where, "destination is required")
        elif not is_generated:
            check_destination(report, f"{where}.destination", route.destination)
        if isinstance(route, HttpRouteDestination):
            check_headers(report, f"{where}.headers", route.headers)
        if route.weight < 0:
            report.error(f"{where}.weight", f"weight {route.weight} < 0")
    if len(routes) > 1 and sum(route.weight for route in routes) == 0:
        report.error(at, "total destination weight = 0")


def percentage(value: Percent | None) -> str | None:
    """Check a share that a fault applies to."""
    if value is None or value.value == 0 or 0.0001 <= value.value <= 100:
        return None
    return f"percentage {value.value:g} is neither 0.0, nor in range [0.0001, 100.0]"
