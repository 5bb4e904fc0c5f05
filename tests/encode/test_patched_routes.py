"""EnvoyFilters for route configurations, virtual hosts and routes."""

import pytest
from envoy.config.route.v3.route_components_pb2 import Route
from tests.encode.patched import (
    EXTRA,
    FRONT,
    OUT_SHOP,
    SERVER,
    Patch,
    Seen,
    envoy_filter,
    managers,
    patch,
)


def _host(name: str, route: Patch | None = None) -> Patch:
    return {"vhost": {"name": name} | ({"route": route} if route is not None else {})}


SHOP = "shop.default.svc.cluster.local:80"


def test_route_configurations_and_virtual_hosts() -> None:
    mine = {"name": "mine", "domains": ["mine.example.com"], "routes": [EXTRA]}
    header = {"header": {"key": "x-table", "value": "set"}}
    named = {"name": "80"}
    seen = Seen(
        envoy_filter(
            patch("ROUTE_CONFIGURATION", "MERGE", {"response_headers_to_add": [header]}, routeConfiguration=named),
            patch("VIRTUAL_HOST", "ADD", mine, routeConfiguration={"portNumber": 80}),
            patch("VIRTUAL_HOST", "MERGE", {"retry_policy": {"retry_on": "5xx"}}, routeConfiguration=_host(SHOP)),
            patch("VIRTUAL_HOST", "REMOVE", None, routeConfiguration={"vhost": {"domainName": "shop.example.com"}}),
        )
    )  # fmt: skip
    table = seen.routes()
    assert [h.header.key for h in table.response_headers_to_add] == ["x-table"]
    assert table.virtual_hosts[-1].name == "mine"
    assert seen.shop().retry_policy.retry_on == "5xx"
    assert "shop.example.com:80" not in [v.name for v in table.virtual_hosts]
    assert seen.judged() == ""


def test_a_virtual_host_is_replaced() -> None:
    other = {"name": SHOP, "domains": ["shop"], "routes": [EXTRA]}
    seen = Seen(
        envoy_filter(patch("VIRTUAL_HOST", "REPLACE", other, routeConfiguration=_host(SHOP)))
    )
    assert list(seen.shop().domains) == ["shop"]


def test_a_virtual_host_with_anothers_domain_is_left_out() -> None:
    mine = {"name": "mine", "domains": ["SHOP.example.com"], "routes": [EXTRA]}
    seen = Seen(envoy_filter(patch("VIRTUAL_HOST", "ADD", mine, routeConfiguration={"name": "80"})))
    assert seen.left_out() == [
        "domain SHOP.example.com is that of virtual host shop.example.com:80 already"
    ]


@pytest.mark.parametrize(
    ("operation", "route", "expected"),
    [
        ("ADD", None, ["old", "rest", "extra"]),
        ("INSERT_FIRST", None, ["extra", "old", "rest"]),
        ("INSERT_FIRST", {"name": "rest"}, ["extra", "old", "rest"]),
        ("INSERT_FIRST", {"name": "none"}, ["old", "rest"]),
        ("INSERT_BEFORE", {"name": "rest"}, ["old", "extra", "rest"]),
        ("INSERT_AFTER", {"action": "REDIRECT"}, ["old", "extra", "rest"]),
        ("INSERT_AFTER", None, ["old", "rest", "extra"]),
        ("REMOVE", {"action": "REDIRECT"}, ["rest"]),
        ("REMOVE", {"name": "rest", "action": "REDIRECT"}, ["old", "rest"]),
    ],
)
def test_routes(operation: str, route: Patch | None, expected: list[str]) -> None:
    value = None if operation == "REMOVE" else EXTRA
    seen = Seen(
        envoy_filter(patch("HTTP_ROUTE", operation, value, routeConfiguration=_host(SHOP, route)))
    )
    assert [r.name for r in seen.shop().routes] == expected


def test_a_route_is_merged() -> None:
    value = {"route": {"timeout": "9s", "retry_policy": {"num_retries": 7}}}
    match = _host(SHOP, {"action": "ROUTE"})
    seen = Seen(envoy_filter(patch("HTTP_ROUTE", "MERGE", value, routeConfiguration=match)))
    old, rest = seen.shop().routes
    assert rest.route.timeout.seconds == 9
    assert rest.route.retry_policy.num_retries.value == 7
    assert rest.route.cluster == OUT_SHOP
    assert old.WhichOneof("action") == "redirect"


def test_lists_are_appended_to_or_replaced() -> None:
    value = {"domains": ["more.example.com"]}
    match = _host(SHOP)
    appended = Seen(envoy_filter(patch("VIRTUAL_HOST", "MERGE", value, routeConfiguration=match)))
    assert list(appended.shop().domains)[-1] == "more.example.com"
    assert len(appended.shop().domains) > 2
    how = "MERGE_AND_REPLACE_LIST"
    replaced = Seen(envoy_filter(patch("VIRTUAL_HOST", how, value, routeConfiguration=match)))
    assert list(replaced.shop().domains) == ["more.example.com"]


def test_inline_routes_of_inbound_listeners() -> None:
    match = {"name": "inbound|8080||", "portNumber": 8080}
    value = {"route": {"timeout": "9s"}}
    seen = Seen(
        envoy_filter(patch("HTTP_ROUTE", "MERGE", value, "SIDECAR_INBOUND", routeConfiguration=match)),
        who=SERVER,
    )  # fmt: skip
    tables = [m.route_config for m in managers(seen.listener("virtualInbound"))]
    patched = {t.name for t in tables if t.virtual_hosts[0].routes[0].route.timeout.seconds == 9}
    assert patched == {"inbound|8080||"}


def test_routes_of_gateways_by_gateway_and_port_name() -> None:
    match = {"portNumber": 443, "portName": "web", "gateway": "default/front"}
    value = {"route": {"timeout": "9s"}}
    seen = Seen(
        envoy_filter(patch("HTTP_ROUTE", "MERGE", value, "GATEWAY", routeConfiguration=match)),
        who=FRONT,
    )

    def timeouts(name: str) -> set[int]:
        routes: list[Route] = [r for v in seen.routes(name).virtual_hosts for r in v.routes]
        return {r.route.timeout.seconds for r in routes if r.WhichOneof("action") == "route"}

    assert timeouts("https.443.web.front.default") == {9}
    assert timeouts("http.80") == {0}
