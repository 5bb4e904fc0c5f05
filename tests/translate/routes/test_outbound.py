import msgspec

from rhumb.ir.route import DirectResponse, Forward, RouteConfiguration, VirtualHost
from rhumb.model.proxy import Role
from rhumb.testing.world import mesh_config, proxy, resources, world
from rhumb.translate.perspective import Perspective
from rhumb.translate.routes.outbound import OutboundRoutes

WEB = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {clusterIP: 10.1.0.1, ports: [{name: http, port: 80}, {name: http-more, port: 8080}, {name: x, port: 7000}]}
"""
API = """
apiVersion: v1
kind: Service
metadata: {name: api, namespace: default}
spec: {clusterIP: 10.1.0.2, ports: [{name: http, port: 8080}]}
"""


def rule(name: str, year: int, hosts: str, subset: str, namespace: str = "default") -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: {namespace}, creationTimestamp: "{year}-01-01T00:00:00Z"}}
spec:
  hosts: [{hosts}]
  http: [{{route: [{{destination: {{host: web.default.svc.cluster.local, subset: {subset}}}}}]}}]
"""


def table(name: str, *texts: str, mesh: str = "") -> RouteConfiguration | None:
    found = resources(*texts)
    if mesh:
        found += mesh_config(mesh)
    snapshot = world(found)
    return OutboundRoutes(Perspective(snapshot, snapshot.view(proxy()))).configuration(name)


def hosts(found: RouteConfiguration | None) -> dict[str, VirtualHost]:
    assert found is not None
    return {v.name: v for v in found.virtual_hosts}


def cluster(host: VirtualHost) -> str:
    action = host.routes[0].action
    assert isinstance(action, Forward)
    return action.targets[0].cluster


def test_every_service_of_a_port_has_its_host_and_the_rest_passes() -> None:
    found = hosts(table("8080", WEB, API))
    assert set(found) == {
        "web.default.svc.cluster.local:8080",
        "api.default.svc.cluster.local:8080",
        "allow_any",
    }
    assert cluster(found["allow_any"]) == "PassthroughCluster"
    assert found["allow_any"].domains == ("*",)


def test_unknown_hosts_are_refused_where_only_the_registry_counts() -> None:
    found = hosts(table("80", WEB, mesh="outboundTrafficPolicy: {mode: REGISTRY_ONLY}"))
    (route,) = found["block_all"].routes
    assert route.action == DirectResponse(502)


def test_the_oldest_rule_of_a_host_wins_and_the_others_are_ignored() -> None:
    found = hosts(table("80", WEB, rule("new", 2022, "web", "v2"), rule("old", 2020, "web", "v1")))
    host = found["web.default.svc.cluster.local:80"]
    assert cluster(host) == "outbound|80|v1|web.default.svc.cluster.local"
    assert len(host.routes) == 1
    assert host.routes[0].origin[0].name == "old"


def test_hosts_outside_the_registry_are_routed_on_port_80_alone() -> None:
    shop = rule("shop", 2020, "shop.example.com", "v1")
    assert "shop.example.com:80" in hosts(table("80", WEB, shop))
    assert "shop.example.com:8080" not in hosts(table("8080", WEB, shop))


def test_the_most_specific_rule_of_a_service_counts() -> None:
    wide = rule("wide", 2019, '"*.default.svc.cluster.local"', "wide")
    exact = rule("exact", 2020, "web", "exact")
    found = hosts(table("8080", WEB, API, wide, exact))
    assert "|exact|" in cluster(found["web.default.svc.cluster.local:8080"])
    assert "|wide|" in cluster(found["api.default.svc.cluster.local:8080"])


def test_a_sniffed_port_has_one_host_for_everything() -> None:
    found = table("web.default.svc.cluster.local:7000", WEB, rule("r", 2020, "web", "v1"))
    assert found is not None
    (host,) = found.virtual_hosts
    assert host.domains == ("*",)
    assert cluster(host) == "outbound|7000|v1|web.default.svc.cluster.local"


def test_the_only_port_of_a_destination_need_not_be_written() -> None:
    text = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: r, namespace: default}
spec: {hosts: [web], http: [{route: [{destination: {host: api}}]}]}
"""
    found = hosts(table("80", WEB, API, text))
    assert cluster(found["web.default.svc.cluster.local:80"]) == (
        "outbound|8080||api.default.svc.cluster.local"
    )


def test_a_proxy_port_serves_every_port_by_name_and_80_without() -> None:
    found = hosts(table("http_proxy", WEB, API))
    assert "web" in found["web.default.svc.cluster.local:80"].domains
    assert found["api.default.svc.cluster.local:8080"].domains
    assert all(d.endswith(":8080") for d in found["api.default.svc.cluster.local:8080"].domains)


def test_where_all_ports_meet_the_written_one_counts() -> None:
    sidecar = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: proxied, namespace: default}
spec:
  egress:
  - {port: {number: 7001, name: http-proxy, protocol: HTTP_PROXY}, bind: 127.0.0.1, hosts: ["*/*"]}
"""
    ordinary, everywhere = table("8080", WEB, API), table("http_proxy", WEB, API)
    proxied = table("7001", WEB, API, sidecar)
    assert ordinary is not None
    assert everywhere is not None
    assert proxied is not None
    assert ordinary.ignores_port
    assert not everywhere.ignores_port
    assert not proxied.ignores_port
    assert "api:8080" in hosts(proxied)["api.default.svc.cluster.local:8080"].domains


def test_without_capture_unknown_hosts_are_resolved_for_nobody_knows_where_they_were_sent() -> None:
    sidecar = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: closed, namespace: default}
spec: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}}
"""

    def unknown(*more: str) -> list[str]:
        snapshot = world(resources(WEB, *more))
        view = snapshot.view(proxy(metadata={"INTERCEPTION_MODE": "NONE"}))
        # An agent may be there first, and shares what its sidecar sees.
        snapshot.scope(msgspec.structs.replace(view, role=Role.AGENT))
        found = OutboundRoutes(Perspective(snapshot, view)).configuration("http_proxy")
        return [name for name in hosts(found) if ":" not in name]

    assert unknown() == ["allow_any_dynamic_dns"]
    assert unknown(sidecar) == ["block_all"]


def test_nothing_answers_to_a_name_that_no_listener_gives() -> None:
    assert table("no-such-route", WEB) is None
