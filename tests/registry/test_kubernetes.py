"""Kubernetes Services: protocols, addresses, targets, annotations."""

import pytest

from rhumb.model.codec import parse
from rhumb.model.service import Protocol, Resolution, Service
from rhumb.registry import kubernetes, protocols


def service(yaml: str) -> Service:
    resources, findings = parse(yaml)
    assert not findings
    found = kubernetes.service(resources[0], "cluster.local")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "app_protocol", "number", "expected"),
    [
        ("http", "", 80, Protocol.HTTP),
        ("HTTP-web", "", 80, Protocol.HTTP),
        ("http2-x", "", 80, Protocol.HTTP2),
        ("grpc", "", 80, Protocol.GRPC),
        ("grpc-web", "", 80, Protocol.GRPC_WEB),
        ("grpc-web-front", "", 80, Protocol.GRPC_WEB),
        ("grpc-webby", "", 80, Protocol.GRPC_WEB),
        ("https-a-b", "", 443, Protocol.HTTPS),
        ("tls", "", 443, Protocol.TLS),
        ("mongo", "", 1, Protocol.MONGO),
        ("redis-cache", "", 1, Protocol.REDIS),
        ("mysql", "", 1, Protocol.MYSQL),
        ("tcp-http", "", 80, Protocol.TCP),
        ("foo-http", "", 80, Protocol.AUTO),
        ("httpx", "", 80, Protocol.AUTO),
        ("", "", 80, Protocol.AUTO),
        ("", "", 25, Protocol.TCP),
        ("", "", 53, Protocol.TCP),
        ("smtp", "", 3306, Protocol.TCP),
        ("http", "", 27017, Protocol.HTTP),
        ("http", "tcp", 80, Protocol.TCP),
        ("tcp", "kubernetes.io/h2c", 80, Protocol.HTTP2),
        ("tcp", "kubernetes.io/ws", 80, Protocol.HTTP),
        ("tcp", "kubernetes.io/wss", 80, Protocol.HTTPS),
        ("http", "example.com/own", 80, Protocol.AUTO),
        ("http", "example.com/own", 3306, Protocol.TCP),
    ],
)
def test_the_protocol_of_a_port(
    name: str, app_protocol: str, number: int, expected: Protocol
) -> None:
    assert protocols.of_service_port(number, name, "TCP", app_protocol) is expected


def test_udp_stays_udp_whatever_the_name_says() -> None:
    assert protocols.of_service_port(80, "http", "UDP", "http") is Protocol.UDP


def test_a_cluster_ip_service() -> None:
    found = service("""
apiVersion: v1
kind: Service
metadata:
  name: reviews
  namespace: books
  labels: {b: "2", a: "1"}
  annotations: {networking.istio.io/exportTo: "., other"}
spec:
  clusterIP: 10.0.0.5
  clusterIPs: [10.0.0.5, "fd00::5"]
  selector: {app: reviews}
  sessionAffinity: ClientIP
  internalTrafficPolicy: Local
  trafficDistribution: PreferClose
  ports:
  - {name: http, port: 9080, targetPort: 8080}
  - {name: grpc, port: 9090, targetPort: rpc}
  - {name: plain, port: 9100}
""")
    assert found.hostname == "reviews.books.svc.cluster.local"
    assert found.addresses == ("10.0.0.5", "fd00::5")
    assert found.resolution is Resolution.STATIC
    assert found.labels == (("a", "1"), ("b", "2"))
    assert found.export_to == (".", "other")
    assert found.selector == (("app", "reviews"),)
    assert [p.target_port for p in found.ports] == [8080, 0, 9100]
    assert found.client_ip_affinity
    assert found.node_local
    assert found.traffic_distribution == "PreferClose"


def test_a_headless_service_goes_to_the_address_that_was_dialled() -> None:
    found = service("""
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, ports: [{name: tcp, port: 5432}]}
""")
    assert found.headless
    assert found.addresses == ()
    assert found.resolution is Resolution.PASSTHROUGH


def test_an_external_name_is_an_alias() -> None:
    found = service("""
apiVersion: v1
kind: Service
metadata: {name: old}
spec: {type: ExternalName, externalName: new.default.svc.cluster.local}
""")
    assert found.external_name == "new.default.svc.cluster.local"


@pytest.mark.parametrize("kind", ["NodePort", "LoadBalancer"])
def test_other_types_are_services_like_cluster_ip(kind: str) -> None:
    found = service(f"""
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{type: {kind}, clusterIP: 10.0.0.9, ports: [{{name: http, port: 80, nodePort: 30080}}]}}
""")
    assert found.addresses == ("10.0.0.9",)
    assert found.external_name == ""


def test_a_service_without_ports_is_none() -> None:
    resources, _ = parse("apiVersion: v1\nkind: Service\nmetadata: {name: empty}\nspec: {}\n")
    assert kubernetes.service(resources[0], "cluster.local") is None
