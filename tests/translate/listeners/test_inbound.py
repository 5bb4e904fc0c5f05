import pytest

from rhumb.ir.listener import FilterChain, HttpConnectionManager, Listener, ListenerFilterKind
from rhumb.ir.match import Transport
from rhumb.testing.world import proxy, resources, world
from rhumb.translate.listeners.inbound import listeners
from rhumb.translate.perspective import Perspective

APP = """
apiVersion: v1
kind: Service
metadata: {name: app, namespace: default, creationTimestamp: "2020-01-01T00:00:00Z"}
spec:
  clusterIP: 10.1.0.1
  selector: {app: app}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: tcp, port: 81, targetPort: 8081}, {name: x, port: 82, targetPort: 8082}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: app-1, namespace: default}
spec: {address: 10.0.0.9, serviceAccount: app, labels: {app: app}}
"""


def policy(mode: str, ports: str = "{}") -> str:
    return f"""
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: app, namespace: default}}
spec: {{selector: {{matchLabels: {{app: app}}}}, mtls: {{mode: {mode}}}, portLevelMtls: {ports}}}
"""


def made(*texts: str, metadata: dict[str, object] | None = None) -> tuple[Listener, ...]:
    snapshot = world(resources(*texts))
    view = snapshot.view(proxy(labels={"app": "app"}, metadata=metadata))
    return listeners(Perspective(snapshot, view))


def chains(port: int, *texts: str) -> list[FilterChain]:
    return [c for c in made(*texts)[0].chains if c.match.port == port]


def kinds(found: list[FilterChain]) -> list[str]:
    """Describe chains: what they take, and what becomes of it."""
    described = []
    for chain in found:
        http = "http" if isinstance(chain.filter, HttpConnectionManager) else "tcp"
        opened = "decrypted" if chain.tls else "as it is"
        described.append(f"{chain.match.transport.name} {http} {opened}")
    return described


@pytest.mark.parametrize(
    ("port", "mode", "expected"),
    [
        (8080, "PERMISSIVE", ["TLS http decrypted", "RAW http as it is"]),
        (8081, "PERMISSIVE", ["TLS tcp decrypted", "TLS tcp as it is", "RAW tcp as it is"]),
        (
            8082,
            "PERMISSIVE",
            [
                "TLS http decrypted",
                "RAW http as it is",
                "TLS tcp decrypted",
                "RAW tcp as it is",
                "TLS tcp as it is",
            ],
        ),
        (8080, "STRICT", ["TLS http decrypted"]),
        (8081, "STRICT", ["TLS tcp decrypted"]),
        (8082, "STRICT", ["TLS http decrypted", "TLS tcp decrypted"]),
        (8080, "DISABLE", ["RAW http as it is"]),
        (8081, "DISABLE", ["RAW tcp as it is"]),
        (8082, "DISABLE", ["RAW http as it is", "RAW tcp as it is"]),
    ],
)
def test_a_port_takes_what_its_mode_and_protocol_allow(
    port: int, mode: str, expected: list[str]
) -> None:
    assert kinds(chains(port, APP, policy(mode))) == expected


def test_one_port_may_differ_and_needs_no_service() -> None:
    texts = (APP, policy("PERMISSIVE", "{8080: {mode: STRICT}, 9999: {mode: DISABLE}}"))
    assert kinds(chains(8080, *texts)) == ["TLS http decrypted"]
    assert kinds(chains(9999, *texts)) == ["RAW http as it is", "RAW tcp as it is"]
    assert {c.name for c in chains(9999, *texts)} == {
        "virtualInbound",
        "virtualInbound-catchall-http",
    }


def test_mutual_tls_checks_the_trust_domain_and_asks_for_a_certificate() -> None:
    (chain,) = chains(8080, APP, policy("STRICT"))
    assert chain.tls is not None
    assert chain.tls.require_client_certificate
    assert chain.tls.validation.uri_prefixes == ("spiffe://cluster.local/",)
    assert "istio-peer-exchange" not in chain.tls.alpn


def test_the_listener_never_calls_itself() -> None:
    first = made(APP)[0].chains[0]
    assert (first.name, first.match.port) == ("virtualInbound-blackhole", 15006)


def test_declared_ports_are_not_sniffed_for_http() -> None:
    (virtual,) = made(APP, policy("STRICT"))
    inspectors = {f.kind: f for f in virtual.filters}
    assert inspectors[ListenerFilterKind.TLS_INSPECTOR].ports == (15006,)
    assert ListenerFilterKind.HTTP_INSPECTOR not in inspectors
    (virtual,) = made(APP)
    http = next(f for f in virtual.filters if f.kind is ListenerFilterKind.HTTP_INSPECTOR)
    assert http.ports == (8080, 8081, 15006)
    assert not http.only


def test_the_older_of_two_services_names_the_port() -> None:
    late = (
        APP.split("---", maxsplit=1)[0]
        .replace("2020", "2024")
        .replace("app, namespace", "late, namespace")
    )
    found = chains(
        8080,
        APP,
        late.replace("name: http", "name: tcp").replace(
            "name: tcp, port: 81", "name: tcp2, port: 81"
        ),
    )
    assert all(isinstance(c.filter, HttpConnectionManager) for c in found)


SIDECAR = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: app, namespace: default}
spec:
  ingress:
  - port: {number: 9090, protocol: HTTP, name: http}
    bind: 127.0.0.2
    captureMode: NONE
    defaultEndpoint: 127.0.0.1:8080
  - port: {number: 9091, protocol: TCP, name: tcp}
    defaultEndpoint: 127.0.0.1:8081
  egress: [{hosts: ["*/*"]}]
"""


def test_a_sidecar_replaces_the_ports_of_services() -> None:
    virtual, bound = made(APP, SIDECAR)
    ports = {c.match.port for c in virtual.chains}
    assert ports == {0, 15006, 9091}
    assert (bound.name, bound.address, bound.binds) == ("127.0.0.2_9090", "127.0.0.2", True)
    assert bound.origin[0].field == "spec.ingress[0]"


def test_without_capture_only_bound_listeners_remain() -> None:
    assert made(APP, metadata={"INTERCEPTION_MODE": "NONE"}) == ()
    names = [
        listener.name for listener in made(APP, SIDECAR, metadata={"INTERCEPTION_MODE": "NONE"})
    ]
    assert names == ["127.0.0.2_9090", "10.0.0.9_9091"]


def test_a_listener_at_a_target_port_reports_for_the_service() -> None:
    sidecar = SIDECAR.replace("number: 9090", "number: 8080")
    (virtual, bound) = made(APP, sidecar, metadata={"RHUMB_STATS": "true"})
    managers = [c.filter for c in bound.chains]
    assert {
        m.metrics.destination
        for m in managers
        if isinstance(m, HttpConnectionManager) and m.metrics is not None
    } == {"app.default.svc.cluster.local;default"}
    assert virtual.name == "virtualInbound"


def test_tproxy_keeps_the_source_address() -> None:
    (virtual,) = made(APP, metadata={"INTERCEPTION_MODE": "TPROXY"})
    assert virtual.transparent
    assert ListenerFilterKind.ORIGINAL_SRC in {f.kind for f in virtual.filters}


def test_plain_chains_have_no_tls_and_tls_chains_some_reason() -> None:
    for chain in made(APP)[0].chains:
        if chain.tls is not None:
            assert chain.match.transport is Transport.TLS
