from rhumb.ir.listener import HttpConnectionManager, HttpFilterKind, Listener, TcpProxy
from rhumb.ir.match import Cidr
from rhumb.testing.world import mesh_config, proxy, resources, world
from rhumb.translate.listeners.outbound import listeners
from rhumb.translate.perspective import Perspective


def service(name: str, address: str, ports: str) -> str:
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default}}
spec: {{clusterIP: {address}, ports: [{ports}]}}
"""


def entry(name: str, addresses: str, ports: str, year: int = 2020) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: default, creationTimestamp: "{year}-01-01T00:00:00Z"}}
spec: {{hosts: [{name}.example.com], addresses: [{addresses}], resolution: NONE, ports: [{ports}]}}
"""


def made(
    *texts: str, mesh: str = "", metadata: dict[str, object] | None = None
) -> dict[str, Listener]:
    found = resources(*texts)
    if mesh:
        found += mesh_config(mesh)
    snapshot = world(found)
    seen = Perspective(snapshot, snapshot.view(proxy(metadata=metadata)))
    return {listener.name: listener for listener in listeners(seen)}


def clusters(listener: Listener) -> list[str]:
    chains = [*listener.chains, *([listener.default_chain] if listener.default_chain else [])]
    return [c.filter.targets[0].cluster for c in chains if isinstance(c.filter, TcpProxy)]


def test_http_shares_the_wildcard_and_lets_other_traffic_pass() -> None:
    found = made(
        service("a", "10.1.0.1", "{name: http, port: 80}"),
        service("b", "10.1.0.2", "{name: http2, port: 80}"),
    )
    assert set(found) == {"0.0.0.0_80", "virtualOutbound"}
    (chain,) = found["0.0.0.0_80"].chains
    assert isinstance(chain.filter, HttpConnectionManager)
    assert chain.filter.rds == "80"
    assert clusters(found["0.0.0.0_80"]) == ["PassthroughCluster"]


def test_unknown_traffic_ends_where_only_the_registry_counts() -> None:
    found = made(
        service("a", "10.1.0.1", "{name: http, port: 80}"),
        mesh="outboundTrafficPolicy: {mode: REGISTRY_ONLY}",
    )
    assert clusters(found["0.0.0.0_80"]) == ["BlackHoleCluster"]
    assert clusters(found["virtualOutbound"]) == ["BlackHoleCluster", "BlackHoleCluster"]


def test_a_loop_to_the_capture_port_ends() -> None:
    loop, rest = made()["virtualOutbound"].chains
    assert loop.match.port == 15001
    assert isinstance(loop.filter, TcpProxy)
    assert loop.filter.targets[0].cluster == "BlackHoleCluster"
    assert rest.match.is_any
    assert made()["virtualOutbound"].uses_original_dst


def test_an_undeclared_port_is_sniffed_and_has_routes_of_its_own() -> None:
    listener = made(service("a", "10.1.0.1", "{name: x, port: 7000}"))["10.1.0.1_7000"]
    (http,) = listener.chains
    assert isinstance(http.filter, HttpConnectionManager)
    assert http.filter.rds == "a.default.svc.cluster.local:7000"
    assert HttpFilterKind.ALPN in http.filter.filters
    assert clusters(listener) == ["outbound|7000||a.default.svc.cluster.local"]


def test_istio_protocols_are_offered_to_the_mesh_alone() -> None:
    external = made(entry("out", "10.9.0.1", "{number: 7000, name: x, protocol: ''}"))
    http = external["10.9.0.1_7000"].chains[0].filter
    assert isinstance(http, HttpConnectionManager)
    assert HttpFilterKind.ALPN not in http.filters


def test_http_and_tcp_on_one_wildcard_port_are_told_apart() -> None:
    found = made(
        service("a", "10.1.0.1", "{name: http, port: 9000}"),
        entry("raw", "", "{number: 9000, name: tcp, protocol: TCP}"),
    )
    listener = found["0.0.0.0_9000"]
    assert len(listener.chains) == 1
    assert clusters(listener) == ["outbound|9000||raw.example.com"]


def test_of_two_equal_tcp_matches_the_first_host_stays() -> None:
    found = made(
        entry("a", "10.9.0.1", "{number: 9000, name: tcp, protocol: TCP}"),
        entry("b", "10.9.0.1", "{number: 9000, name: tcp, protocol: TCP}"),
    )
    assert clusters(found["10.9.0.1_9000"]) == ["outbound|9000||a.example.com"]


def test_protocols_whose_server_speaks_first_never_share() -> None:
    found = made(
        entry("a", "", "{number: 9000, name: mongo, protocol: MONGO}"),
        service("b", "10.1.0.1", "{name: http, port: 9000}"),
    )
    listener = found["0.0.0.0_9000"]
    assert clusters(listener) == ["outbound|9000||a.example.com"]
    assert not listener.filters


def test_ranges_are_matched_within_the_wildcard() -> None:
    found = made(entry("r", "192.168.0.0/16, 10.9.0.1", "{number: 9000, name: tcp, protocol: TCP}"))
    (chain,) = found["0.0.0.0_9000"].chains
    assert chain.match.destinations == (Cidr("192.168.0.0", 16),)
    assert "10.9.0.1_9000" in found


def test_tls_services_without_an_address_are_told_apart_by_name() -> None:
    found = made(entry("t", "", "{number: 443, name: tls, protocol: TLS}"))
    (chain,) = found["0.0.0.0_443"].chains
    assert chain.match.server_names == ("t.example.com",)


def test_udp_is_left_alone() -> None:
    assert set(made(service("d", "10.1.0.1", "{name: dns, port: 53, protocol: UDP}"))) == {
        "virtualOutbound"
    }


def test_without_capture_nothing_is_redirected_and_ports_are_bound() -> None:
    found = made(
        service("a", "10.1.0.1", "{name: http, port: 80}"),
        metadata={"INTERCEPTION_MODE": "NONE", "HTTP_PROXY_PORT": "15007"},
    )
    assert set(found) == {"127.0.0.1_80", "127.0.0.1_15007"}
    assert all(listener.binds for listener in found.values())
    proxied = found["127.0.0.1_15007"].chains[0].filter
    assert isinstance(proxied, HttpConnectionManager)
    assert proxied.rds == "http_proxy"


def test_the_proxys_own_ports_are_never_taken() -> None:
    found = made(service("a", "10.1.0.1", "{name: http, port: 15021}"))
    assert set(found) == {"virtualOutbound"}
