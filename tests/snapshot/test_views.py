"""Proxies become views; who may read which secrets."""

import pytest

from rhumb.model.codec import parse
from rhumb.model.endpoint import Locality
from rhumb.model.proxy import Proxy, UserAgent
from rhumb.model.resource import Changes, ResourceSet
from rhumb.snapshot.build import World, build, empty
from rhumb.snapshot.view import Capabilities, View

SERVICES = """
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: books}
spec:
  clusterIP: 10.0.0.1
  selector: {app: reviews}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: grpc, port: 90, targetPort: rpc}]
---
apiVersion: v1
kind: Service
metadata: {name: dns, namespace: books}
spec:
  clusterIP: 10.0.0.2
  selector: {app: reviews}
  ports: [{name: dns, port: 53, protocol: UDP}]
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: other}
spec: {clusterIP: 10.0.0.3, selector: {app: reviews}, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews-0, namespace: books}
spec:
  address: 172.16.0.1
  labels: {app: reviews, version: v1}
  ports: {rpc: 9999}
  locality: eu/eu-1
  network: lan
"""


def world(yaml: str = SERVICES) -> World:
    resources, findings = parse(yaml)
    assert not findings, [f.text() for f in findings]
    known = ResourceSet(resources)
    return build(empty(), known, Changes(added=frozenset(known)))


def proxy(
    address: str = "172.16.0.1",
    name: str = "reviews-0",
    kind: str = "sidecar",
    **metadata: object,
) -> Proxy:
    return Proxy.parse(f"{kind}~{address}~{name}.books~books.svc.mesh.test", metadata)


def served(view: View) -> list[tuple[str, int, int]]:
    return [(i.hostname.partition(".svc")[0], i.port.number, i.target_port) for i in view.instances]


def test_a_registered_workload_serves_its_endpoints() -> None:
    view = world().view(proxy())
    assert served(view) == [("reviews.books", 80, 8080), ("reviews.books", 90, 9999)]
    assert view.labels == (("app", "reviews"), ("version", "v1"))
    assert view.locality == Locality("eu", "eu-1")
    assert view.network == "lan"
    assert view.cluster == "Kubernetes"
    assert view.domain == "mesh.test"


def test_an_unhealthy_workload_still_serves() -> None:
    sick = SERVICES + 'status: {conditions: [{type: Healthy, status: "False"}]}\n'
    assert served(world(sick).view(proxy())) == served(world().view(proxy()))


def test_what_a_proxy_says_of_itself_comes_first() -> None:
    view = world().view(proxy(LABELS={"app": "mine"}, NETWORK="own", CLUSTER_ID="c1"))
    assert (view.labels, view.network, view.cluster) == ((("app", "mine"),), "own", "c1")


def test_the_network_is_a_label_where_nothing_else_tells_it() -> None:
    said = {"topology.istio.io/network": "labelled"}
    assert world().view(proxy("172.16.0.9", "new", LABELS=said)).network == "labelled"
    assert world().view(proxy("172.16.0.9", "new", LABELS=said, NETWORK="own")).network == "own"
    assert world().view(proxy(LABELS=said)).network == "lan"


def test_an_unregistered_workload_is_matched_by_its_labels() -> None:
    labels = {"app": "reviews"}
    view = world().view(proxy("172.16.0.9", "new", LABELS=labels))
    assert served(view) == [("reviews.books", 80, 8080)]
    ports = '[{"name": "rpc", "containerPort": 7000, "protocol": "TCP"}]'
    view = world().view(proxy("172.16.0.9", "new", LABELS=labels, POD_PORTS=ports))
    assert served(view) == [("reviews.books", 90, 7000), ("reviews.books", 80, 8080)]
    broken = world().view(proxy("172.16.0.9", "new", LABELS=labels, POD_PORTS="{"))
    assert served(broken) == [("reviews.books", 80, 8080)]


def test_replicas_share_a_view() -> None:
    second = SERVICES.partition("kind: WorkloadEntry")[2].replace("reviews-0", "reviews-1")
    second = "---\napiVersion: networking.istio.io/v1\nkind: WorkloadEntry" + second
    found = world(SERVICES + second.replace("172.16.0.1", "172.16.0.2"))
    assert found.view(proxy()) == found.view(proxy("172.16.0.2", "reviews-1"))


def test_sidecars_of_one_address_are_told_apart_by_their_entry() -> None:
    shared = (
        SERVICES
        + """---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ratings-0, namespace: books}
spec: {address: 172.16.0.1, labels: {app: ratings}}
---
apiVersion: v1
kind: Service
metadata: {name: ratings, namespace: books}
spec: {clusterIP: 10.0.0.4, selector: {app: ratings}, ports: [{name: http, port: 70}]}
"""
    )
    view = world(shared).view(proxy(name="ratings-0", WORKLOAD_ENTRY="ratings-0"))
    assert served(view) == [("ratings.books", 70, 70)]
    assert view.labels == (("app", "ratings"),)


def test_a_router_knows_its_own_ports_and_an_agent_needs_none() -> None:
    assert served(world().view(proxy(kind="router"))) == served(world().view(proxy()))
    assert world().view(proxy(kind="agent")).instances == ()


def test_capabilities_are_texts_in_the_metadata() -> None:
    assert world().view(proxy()).capabilities == Capabilities()
    said = proxy(
        "fd00::1",
        RHUMB_FILE_SDS="true",
        RHUMB_STATS="true",
        RHUMB_VHDS="1",
        HTTP_PROXY_PORT="15080",
        DNS_CAPTURE="true",
        HTTP10="1",
        UNPRIVILEGED_POD="true",
    )
    assert world().view(said).capabilities == Capabilities(
        file_sds=True,
        stats_access_logger=True,
        vhds=True,
        http_proxy_port=15080,
        dns_capture=True,
        http10=True,
        unprivileged=True,
        ipv6=True,
    )


@pytest.mark.parametrize(
    ("said", "agent", "expected"),
    [
        ({}, UserAgent("envoy", (1, 40)), True),
        ({}, UserAgent("envoy", (2, 0)), True),
        ({}, UserAgent("envoy"), True),
        ({}, UserAgent("envoy", (1, 39)), False),
        ({}, UserAgent("gRPC Go"), False),
        ({}, UserAgent(), False),
        ({"RHUMB_VHDS": "true"}, UserAgent(), True),
        ({"RHUMB_VHDS": "false"}, UserAgent("envoy", (1, 40)), False),
    ],
)
def test_envoys_take_virtual_hosts_one_by_one(
    said: dict[str, object], agent: UserAgent, expected: bool
) -> None:
    node = Proxy.parse("sidecar~10.0.0.9~x.books~books.svc.cluster.local", said, user_agent=agent)
    assert world().view(node).capabilities.vhds is expected


SECRETS = """
apiVersion: v1
kind: Secret
metadata: {name: web, namespace: edge}
type: kubernetes.io/tls
data: {tls.crt: Y2VydA==, tls.key: a2V5, ca.crt: Y2E=}
---
apiVersion: v1
kind: Secret
metadata: {name: generic, namespace: edge}
stringData: {cert: c, key: k, cacert: r, crl: l, tls.crt: other}
---
apiVersion: v1
kind: Secret
metadata: {name: split, namespace: edge}
stringData: {tls.crt: c, tls.key: k}
---
apiVersion: v1
kind: Secret
metadata: {name: split-cacert, namespace: edge}
stringData: {cacert: root, key: never}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: roots, namespace: edge}
data: {ca.crt: pem}
"""


def test_secrets_of_both_forms() -> None:
    found = world(SECRETS)
    tls = found.secret("edge", "web")
    assert tls is not None
    assert (tls.certificate, tls.private_key, tls.ca) == (b"cert", b"key", b"ca")
    generic = found.secret("edge", "generic")
    assert generic is not None
    assert (generic.certificate, generic.private_key, generic.ca, generic.crl) == (
        b"c",
        b"k",
        b"r",
        b"l",
    )
    assert found.secret("edge", "missing") is None
    assert found.secret("elsewhere", "web") is None


def test_the_ca_half_never_carries_a_key() -> None:
    found = world(SECRETS)
    own, part = found.secret("edge", "split-cacert"), found.secret("edge", "web-cacert")
    assert own is not None
    assert part is not None
    assert (own.ca, own.certificate, own.private_key) == (b"root", b"", b"")
    assert (part.ca, part.certificate, part.private_key) == (b"ca", b"", b"")
    roots = found.config_map("edge", "roots")
    assert roots is not None
    assert roots.ca == b"pem"
