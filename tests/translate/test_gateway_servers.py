from rhumb.model.proxy import Role
from rhumb.testing.world import proxy, resources, world
from rhumb.translate.gateway_servers import Merged, intersection, merge
from rhumb.translate.perspective import Perspective
from rhumb.translate.refused import findings


def gateway(name: str, year: int, servers: str, namespace: str = "default") -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: {name}, namespace: {namespace}, creationTimestamp: "{year}-01-01T00:00:00Z"}}
spec:
  selector: {{istio: ingressgateway}}
  servers: {servers}
"""


def merged(*texts: str, metadata: dict[str, object] | None = None) -> Merged:
    snapshot = world(resources(*texts))
    router = proxy(role=Role.ROUTER, labels={"istio": "ingressgateway"}, metadata=metadata)
    return merge(Perspective(snapshot, snapshot.view(router)))


HTTP = '[{port: {number: 80, name: http, protocol: HTTP}, hosts: ["%s"]}]'
HTTPS = (
    "[{port: {number: 443, name: https, protocol: HTTPS}, hosts: [%s],"
    " tls: {mode: SIMPLE, credentialName: c}}]"
)
TCP = '[{port: {number: 80, name: tcp, protocol: TCP}, hosts: ["*"]}]'


def test_http_servers_of_two_gateways_share_a_port_and_its_routes() -> None:
    found = merged(gateway("a", 2020, HTTP % "a.com"), gateway("b", 2021, HTTP % "b.com"))
    assert [s.gateway.name for s in found.by_route()["http.80"]] == ["default/a", "default/b"]
    assert not found.refused


def test_the_older_gateway_keeps_the_port_when_protocols_differ() -> None:
    found = merged(gateway("new", 2022, HTTP % "a.com"), gateway("old", 2020, TCP))
    assert [s.gateway.name for s in found.servers] == ["default/old"]
    assert found.refused[0].origin.name == "new"
    assert found.refused[0].reason == "port 80 already serves TCP for default/old"


def test_a_host_on_a_tls_port_has_one_owner() -> None:
    found = merged(
        gateway("old", 2020, HTTPS % '"a.com"'),
        gateway("new", 2021, HTTPS % '"A.com"'),
        gateway("other", 2022, HTTPS % '"b.com"'),
    )
    assert [s.gateway.name for s in found.servers] == ["default/old", "default/other"]
    assert "already served by default/old" in found.refused[0].reason
    assert set(found.by_route()) == {"https.443.https.old.default", "https.443.https.other.default"}


def test_plain_text_does_not_join_a_tls_port() -> None:
    plain = '[{port: {number: 443, name: http, protocol: HTTP}, hosts: ["c.com"]}]'
    found = merged(gateway("old", 2020, HTTPS % '"a.com"'), gateway("new", 2021, plain))
    assert found.refused[0].reason == "port 443 already serves TLS for default/old"


def test_an_omitted_mode_passes_tls_through() -> None:
    servers = (
        '[{port: {number: 443, name: https, protocol: HTTPS}, hosts: ["a.com"],'
        " tls: {serverCertificate: /c, privateKey: /k}}]"
    )
    (served,) = merged(gateway("old-manifest", 2020, servers)).servers
    assert served.passes_through
    assert not served.is_http
    assert served.route == ""


def test_hosts_may_belong_to_one_namespace() -> None:
    servers = '[{port: {number: 80, name: http, protocol: HTTP}, hosts: ["./a.com", "shop/b.com", "*/c.com"]}]'
    (served,) = merged(gateway("g", 2020, servers)).servers
    assert served.hosts_for("default") == ("a.com", "c.com")
    assert served.hosts_for("shop") == ("b.com", "c.com")


def test_an_unprivileged_gateway_skips_low_ports() -> None:
    found = merged(gateway("g", 2020, HTTP % "a.com"), metadata={"UNPRIVILEGED_POD": "true"})
    assert not found.servers
    assert "below 1024" in found.refused[0].reason


def test_a_service_translates_the_port() -> None:
    service = """
apiVersion: v1
kind: Service
metadata: {name: ingress, namespace: default}
spec:
  clusterIP: 10.1.0.1
  selector: {istio: ingressgateway}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ingress-1, namespace: default}
spec: {address: 10.0.0.9, labels: {istio: ingressgateway}}
"""
    (served,) = merged(service, gateway("g", 2020, HTTP % "a.com")).servers
    assert (served.port, served.number, served.route) == (8080, 80, "http.8080")


def test_of_two_overlapping_hosts_the_narrower_is_served() -> None:
    assert intersection(("*.example.com",), ("a.example.com", "b.org")) == ("a.example.com",)
    assert intersection(("a.example.com",), ("*",)) == ("a.example.com",)


def test_who_lost_is_told_once_with_the_field_and_a_way_out() -> None:
    snapshot = world(resources(gateway("old", 2020, HTTP % "a.com"), gateway("new", 2022, TCP)))
    routers = [
        snapshot.view(proxy(role=Role.ROUTER, labels={"istio": "ingressgateway", "pod": name}))
        for name in ("first", "second")
    ]
    (found,) = findings(snapshot, [*routers, snapshot.view(proxy())])
    assert str(found.key) == "Gateway default/new"
    assert found.field == "spec.servers[0]"
    assert found.location.line == 7
    assert found.message == "not in force: port 80 already serves HTTP for default/old"
    assert found.fix == "give it another port, or let default/old serve its hosts"
