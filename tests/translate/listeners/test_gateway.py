from rhumb.ir.listener import HttpConnectionManager, Listener, TcpProxy
from rhumb.ir.tls import SecretSource
from rhumb.model.proxy import Role
from rhumb.testing.world import proxy, resources, world
from rhumb.translate.perspective import Perspective
from rhumb.translate.proxy import listeners

SHOP = """
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: default}
spec: {clusterIP: 10.1.0.1, ports: [{name: http, port: 80}]}
"""


def gateway(servers: str) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: g, namespace: default}}
spec: {{selector: {{istio: ingressgateway}}, servers: [{servers}]}}
"""


def made(*texts: str) -> dict[str, Listener]:
    snapshot = world(resources(*texts))
    view = snapshot.view(proxy(role=Role.ROUTER, labels={"istio": "ingressgateway"}))
    return {each.name: each for each in listeners(Perspective(snapshot, view))}


def tls_server(settings: str) -> str:
    return gateway(
        f'{{port: {{number: 443, name: https, protocol: HTTPS}}, hosts: ["a.com"], tls: {{{settings}}}}}'
    )


def test_a_gateway_is_the_first_hop_that_can_be_trusted() -> None:
    found = made(gateway('{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}'))
    manager = found["0.0.0.0_80"].chains[0].filter
    assert isinstance(manager, HttpConnectionManager)
    assert manager.use_remote_address
    assert manager.server_name == "istio-envoy"
    assert found["0.0.0.0_80"].binds


def test_certificates_come_from_secrets_or_files() -> None:
    (chain,) = made(tls_server("mode: SIMPLE, credentialName: shop"))["0.0.0.0_443"].chains
    assert chain.tls is not None
    (ref,) = chain.tls.certificates
    assert (ref.name, ref.source) == ("kubernetes://shop", SecretSource.ADS)
    assert not chain.tls.require_client_certificate
    files = "mode: SIMPLE, serverCertificate: /c, privateKey: /k"
    (chain,) = made(tls_server(files))["0.0.0.0_443"].chains
    assert chain.tls is not None
    (ref,) = chain.tls.certificates
    assert (ref.name, ref.source) == ("file-cert:/c~/k", SecretSource.ADS)


def test_mutual_tls_asks_for_a_certificate_and_optional_does_not_insist() -> None:
    for mode, insists in (("MUTUAL", True), ("OPTIONAL_MUTUAL", False)):
        (chain,) = made(tls_server(f"mode: {mode}, credentialName: shop"))["0.0.0.0_443"].chains
        assert chain.tls is not None
        assert chain.tls.require_client_certificate is insists
        assert chain.tls.validation.roots is not None
        assert chain.tls.validation.roots.name == "kubernetes://shop-cacert"


def test_an_optional_certificate_is_not_asked_for_when_the_secret_has_no_ca() -> None:
    secret = """
apiVersion: v1
kind: Secret
metadata: {name: shop, namespace: default}
stringData: {tls.crt: C, tls.key: K%s}
"""
    for more, asks in (("", False), (", ca.crt: A", True)):
        texts = (tls_server("mode: OPTIONAL_MUTUAL, credentialName: shop"), secret % more)
        (chain,) = made(*texts)["0.0.0.0_443"].chains
        assert chain.tls is not None
        assert (chain.tls.validation.roots is not None) is asks


def test_ciphers_that_envoy_does_not_know_are_left_out() -> None:
    text = (
        "mode: SIMPLE, credentialName: shop, cipherSuites: [NO-SUCH, ECDHE-RSA-AES128-GCM-SHA256]"
    )
    (chain,) = made(tls_server(text))["0.0.0.0_443"].chains
    assert chain.tls is not None
    assert chain.tls.parameters.ciphers == ("ECDHE-RSA-AES128-GCM-SHA256",)


def test_a_port_that_routes_nothing_has_no_listener() -> None:
    assert made(gateway('{port: {number: 90, name: tcp, protocol: TCP}, hosts: ["*"]}')) == {}


def test_passthrough_routes_each_name_once() -> None:
    rules = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: %s, namespace: default, creationTimestamp: "%d-01-01T00:00:00Z"}
spec:
  hosts: [a.com]
  gateways: [g]
  tls: [{match: [{sniHosts: [a.com]}], route: [{destination: {host: %s, port: {number: 80}}}]}]
"""
    found = made(
        SHOP,
        tls_server("mode: PASSTHROUGH"),
        rules % ("new", 2022, "other"),
        rules % ("old", 2020, "shop"),
    )
    (chain,) = found["0.0.0.0_443"].chains
    assert isinstance(chain.filter, TcpProxy)
    assert chain.filter.targets[0].cluster == "outbound|80||shop.default.svc.cluster.local"
    assert chain.match.server_names == ("a.com",)
    assert chain.tls is None


def test_a_gateway_that_shares_its_host_binds_where_it_is_told() -> None:
    text = gateway('{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}')
    snapshot = world(resources(text))
    view = snapshot.view(
        proxy(
            role=Role.ROUTER,
            labels={"istio": "ingressgateway"},
            metadata={"RHUMB_BIND": "127.0.0.1"},
        )
    )
    (found,) = listeners(Perspective(snapshot, view))
    assert (found.name, found.address) == ("127.0.0.1_80", "127.0.0.1")
