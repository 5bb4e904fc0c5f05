"""Pods, Nodes, EndpointSlices and Endpoints: the workloads that Kubernetes knows."""

import pytest

from rhumb.model.codec import parse
from rhumb.model.endpoint import Endpoint, Health, Locality
from rhumb.model.resource import Changes, Key, ResourceSet
from rhumb.registry import join
from rhumb.registry.catalog import EMPTY, Catalog
from rhumb.snapshot.instances import view
from rhumb.testing.world import proxy

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: a}
spec:
  clusterIP: 10.0.0.1
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: web}
  - {name: tcp, port: 90, targetPort: 9090}
"""
POD = """
apiVersion: v1
kind: Pod
metadata:
  name: web-5d8f7-x2x
  generateName: web-5d8f7-
  namespace: a
  labels: {app: web, version: v2, pod-template-hash: 5d8f7, security.istio.io/tlsMode: istio}
  ownerReferences:
  - {apiVersion: apps/v1, kind: ReplicaSet, name: web-5d8f7, uid: "1", controller: true}
spec:
  nodeName: node-1
  serviceAccountName: web
  dnsPolicy: ClusterFirst
  containers:
  - name: app
    image: example.com/app
    ports:
    - {name: web, containerPort: 8080, protocol: TCP}
    - {name: tcp, containerPort: 7}
    - {name: dns, containerPort: 53, protocol: UDP}
status:
  phase: Running
  podIP: 172.16.0.1
  podIPs: [{ip: 172.16.0.1}, {ip: "fd00::1"}]
  conditions: [{type: Ready, status: "True"}]
"""
NODE = """
apiVersion: v1
kind: Node
metadata:
  name: node-1
  labels: {topology.kubernetes.io/region: eu, topology.kubernetes.io/zone: eu-1, topology.istio.io/subzone: r7}
spec: {podCIDR: 172.16.0.0/24}
"""
SLICE = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-abc, namespace: a, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints:
- addresses: [172.16.0.1]
  conditions: {ready: true, serving: true, terminating: false}
  nodeName: node-1
  zone: eu-1
  targetRef: {kind: Pod, name: web-5d8f7-x2x, namespace: a, uid: "1"}
- addresses: [172.16.0.9]
  conditions: {ready: false}
  hostname: web-9
- addresses: [172.16.0.10]
  conditions: {ready: false, serving: true, terminating: true}
ports:
- {name: http, port: 8080, protocol: TCP}
"""
WEB = ("web.a.svc.cluster.local", "a")


def catalog(*texts: str) -> Catalog:
    resources, findings = parse("\n---\n".join(texts))
    assert not findings, [f.text() for f in findings]
    return join.build(ResourceSet(resources), "cluster.local")


def ends(found: Catalog) -> list[tuple[str, int, int, Health]]:
    return [(e.address, e.port, e.service_port, e.health) for e in found.endpoints.get(WEB, ())]


def one(found: Catalog) -> Endpoint:
    return found.endpoints[WEB][0]


def test_a_selector_finds_pods_and_their_named_ports() -> None:
    found = catalog(SERVICE, POD, NODE)
    assert ends(found) == [
        ("172.16.0.1", 8080, 80, Health.HEALTHY),
        ("172.16.0.1", 9090, 90, Health.HEALTHY),
    ]
    endpoint = one(found)
    assert endpoint.workload.name == "web"
    assert endpoint.workload.service_account == "web"
    assert endpoint.workload.locality == Locality("eu", "eu-1", "r7")
    assert endpoint.node == "node-1"
    assert endpoint.mtls
    assert not endpoint.additional


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("phase: Running", "phase: Succeeded"),
        ("phase: Running", "phase: Failed"),
        ("  generateName", '  deletionTimestamp: "2026-01-01T00:00:00Z"\n  generateName'),
        ("  podIP: 172.16.0.1\n  podIPs: [{ip: 172.16.0.1}, {ip: 'fd00::1'}]", "  hostIP: 1.1.1.1"),
    ],
)
def test_pods_that_are_over_or_have_no_address_take_no_part(before: str, after: str) -> None:
    pod = POD.replace('"fd00::1"', "'fd00::1'")
    assert before in pod
    assert ends(catalog(SERVICE, pod.replace(before, after))) == []


def test_a_pod_that_is_not_ready_is_known_and_not_balanced_to() -> None:
    unready = POD.replace('status: "True"', 'status: "False"')
    assert {e[3] for e in ends(catalog(SERVICE, unready))} == {Health.UNHEALTHY}
    published = SERVICE + "  publishNotReadyAddresses: true\n"
    assert {e[3] for e in ends(catalog(published, unready))} == {Health.HEALTHY}
    silent = POD.replace('  conditions: [{type: Ready, status: "True"}]\n', "")
    assert {e[3] for e in ends(catalog(SERVICE, silent))} == {Health.HEALTHY}
    assert {e[3] for e in ends(catalog(SERVICE, silent.replace("Running", "Pending")))} == {
        Health.UNHEALTHY
    }


@pytest.mark.parametrize(
    ("kind", "owner", "name"),
    [
        ("ReplicaSet", "web-5d8f7", "web"),
        ("ReplicaSet", "bare", "bare"),
        ("StatefulSet", "db", "db"),
        ("Job", "nightly-28812345", "nightly"),
        ("Job", "once", "once"),
    ],
)
def test_the_workload_is_named_after_what_controls_the_pod(
    kind: str, owner: str, name: str
) -> None:
    owned = POD.replace("kind: ReplicaSet, name: web-5d8f7", f"kind: {kind}, name: {owner}")
    assert one(catalog(SERVICE, owned)).workload.name == name


def test_families_of_a_service_choose_among_the_addresses_of_a_pod() -> None:
    dual = SERVICE + "  ipFamilies: [IPv6, IPv4]\n"
    endpoint = one(catalog(dual, POD))
    assert endpoint.addresses == ("fd00::1", "172.16.0.1")
    six = SERVICE.replace("10.0.0.1", "'fd00:1::1'")
    assert one(catalog(six, POD)).addresses == ("fd00::1",)


def test_slices_beat_the_selector_and_pods_tell_the_rest() -> None:
    found = catalog(SERVICE, POD, NODE, SLICE)
    assert ends(found) == [
        ("172.16.0.1", 8080, 80, Health.HEALTHY),
        ("172.16.0.9", 8080, 80, Health.UNHEALTHY),
    ]
    known, stranger = found.endpoints[WEB]
    assert known.workload.name == "web"
    assert known.mtls
    assert known.workload.locality == Locality("eu", "eu-1", "r7")
    assert stranger.hostname == "web-9"
    assert not stranger.mtls


def test_slices_of_two_families_that_name_one_pod_are_one_endpoint() -> None:
    other = SLICE.replace("web-abc", "web-six").replace("172.16.0.1]", "'fd00::1']")
    other = other.replace("addressType: IPv4", "addressType: IPv6")
    dual = SERVICE + "  ipFamilies: [IPv4, IPv6]\n"
    found = catalog(dual, POD, SLICE, other)
    assert one(found).addresses == ("172.16.0.1", "fd00::1")


def test_every_address_of_a_slice_is_an_endpoint() -> None:
    written = SLICE.replace("[172.16.0.9]", "[172.16.0.9, 172.16.0.8]")
    found = {e[0] for e in ends(catalog(SERVICE, POD, written))}
    assert found == {"172.16.0.1", "172.16.0.8", "172.16.0.9"}


def test_endpoints_count_where_no_slice_is() -> None:
    endpoints = """
apiVersion: v1
kind: Endpoints
metadata: {name: web, namespace: a}
subsets:
- addresses: [{ip: 172.16.1.1, hostname: first}]
  notReadyAddresses: [{ip: 172.16.1.2}]
  ports: [{name: http, port: 81}]
"""
    expected = [
        ("172.16.1.1", 81, 80, Health.HEALTHY),
        ("172.16.1.2", 81, 80, Health.UNHEALTHY),
    ]
    assert ends(catalog(SERVICE, POD, endpoints)) == expected
    assert "172.16.1.1" not in [e[0] for e in ends(catalog(SERVICE, POD, endpoints, SLICE))]


def test_workload_entries_stand_beside_pods() -> None:
    machine = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm, namespace: a}
spec: {address: 10.9.9.9, labels: {app: web}, ports: {web: 88}}
"""
    assert ("10.9.9.9", 88, 80, Health.HEALTHY) in ends(catalog(SERVICE, POD, SLICE, machine))


def test_a_service_entry_selects_pods() -> None:
    entry = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web, namespace: a}
spec:
  hosts: [web.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 443, name: web, protocol: TCP}, {number: 444, name: other, protocol: TCP}]
  workloadSelector: {labels: {app: web}}
"""
    found = catalog(entry, POD).endpoints["web.example.com", "a"]
    assert [(e.address, e.port, e.service_port) for e in found] == [
        ("172.16.0.1", 444, 444),
        ("172.16.0.1", 8080, 443),
    ]


def test_a_stateful_pod_has_a_name_below_its_own_service_alone() -> None:
    named = POD.replace("  nodeName", "  hostname: web-0\n  subdomain: web\n  nodeName")
    assert one(catalog(SERVICE, named)).hostname == "web-0"
    assert one(catalog(SERVICE, named.replace("subdomain: web", "subdomain: x"))).hostname == ""


def test_a_list_as_kubectl_writes_it_is_read() -> None:
    def item(text: str) -> str:
        return "- " + text.strip().replace("\n", "\n  ")

    text = "apiVersion: v1\nkind: List\nmetadata: {resourceVersion: ''}\nitems:\n"
    found = catalog(text + "\n".join(item(t) for t in (SERVICE, POD, NODE, SLICE)))
    assert len(found.endpoints[WEB]) == 2


def test_every_order_of_arrival_makes_the_same_catalog() -> None:
    texts = (SERVICE, POD, NODE, SLICE)
    whole = catalog(*texts)
    for first in range(len(texts)):
        resources, _ = parse("\n---\n".join(texts[first:] + texts[:first]))
        known, state = ResourceSet(), EMPTY
        for resource in resources:
            known, changes = known.apply([resource], ())
            state, _ = join.update(state, known, changes, "cluster.local")
        assert state.endpoints == whole.endpoints
        for resource in resources:
            known, changes = known.apply((), [resource.key])
            state, _ = join.update(state, known, changes, "cluster.local")
        assert not state.endpoints
        assert not state.slices
        assert not state.nodes


def test_a_node_that_moves_moves_its_pods() -> None:
    resources, _ = parse("\n---\n".join((SERVICE, POD, NODE)))
    known = ResourceSet(resources)
    state = join.build(known, "cluster.local")
    moved, _ = parse(NODE.replace("eu-1", "eu-2"))
    known, changes = known.apply(moved, ())
    state, touched = join.update(state, known, changes, "cluster.local")
    assert one(state).workload.locality.zone == "eu-2"
    assert touched.endpoints == {WEB}
    heartbeat, _ = parse(NODE.replace("eu-1", "eu-2") + "status: {phase: x}\n")
    known, changes = known.apply(heartbeat, ())
    assert not changes, "its status says nothing of a Node that matters"
    labelled, _ = parse(NODE.replace("eu-1", "eu-2").replace("labels: {", "labels: {a: b, "))
    known, changes = known.apply(labelled, ())
    assert changes.changed == {Key("", "Node", "", "node-1")}
    assert join.update(state, known, changes, "cluster.local")[1].endpoints == frozenset()


def test_pods_in_the_network_of_their_node_serve_their_own_services() -> None:
    other = SERVICE.replace("web", "db").replace("10.0.0.1", "10.0.0.2")
    neighbour = POD.replace("web", "db")
    found = catalog(SERVICE, POD, other, neighbour)
    seen = view(
        proxy(address="172.16.0.1", name="web-5d8f7-x2x", namespace="a"), found, "cluster.local"
    )
    assert {i.hostname for i in seen.instances} == {WEB[0]}


def test_a_pod_says_what_its_proxy_does_not() -> None:
    found = catalog(SERVICE, POD, NODE)
    seen = view(
        proxy(address="172.16.0.1", name="web-5d8f7-x2x", namespace="a"), found, "cluster.local"
    )
    assert seen.locality == Locality("eu", "eu-1", "r7")
    assert dict(seen.labels)["version"] == "v2"
    assert [(i.port.number, i.target_port) for i in seen.instances] == [(80, 8080), (90, 9090)]


def test_nothing_changes_where_nothing_differs() -> None:
    resources, _ = parse("\n---\n".join((SERVICE, POD, SLICE)))
    known = ResourceSet(resources)
    state = join.build(known, "cluster.local")
    again, touched = join.update(state, known, Changes(changed=frozenset(known)), "cluster.local")
    assert touched.endpoints == frozenset()
    assert again.endpoints is state.endpoints


def test_udp_leaves_tcp_of_the_same_number_alone() -> None:
    dns = SERVICE.replace(
        "- {name: http, port: 80, targetPort: web}",
        "- {name: dns, port: 80, targetPort: dns, protocol: UDP}\n"
        "  - {name: http, port: 80, targetPort: web}\n"
        "  - {name: quic, port: 81, protocol: UDP}",
    )
    found = catalog(dns, POD)
    assert ("172.16.0.1", 8080, 80, Health.HEALTHY) in ends(found)
    assert [(p.number, p.name) for p in found.services[WEB].ports] == [
        (80, "http"),
        (81, "quic"),
        (90, "tcp"),
    ]


def test_names_and_sockets_are_endpoints_where_envoy_takes_them() -> None:
    entry = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: %s, namespace: a}
spec: {address: "%s", labels: {app: web}, ports: {web: 88}}
"""
    socket = entry.replace(", ports: {web: 88}", "") % ("socket", "unix:///run/x.sock")
    texts = (SERVICE, entry % ("named", "vm.example.com"), socket)
    alone = catalog(*texts)
    assert {e[0] for e in ends(alone)} == {"unix:///run/x.sock"}
    (finding,) = alone.findings
    assert finding.key is not None
    assert finding.key.name == "named"
    assert '"vm.example.com" is no endpoint of web.a.svc.cluster.local' in finding.message
    resolved = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web, namespace: a}
spec:
  hosts: [web.example.com]
  resolution: DNS
  ports: [{number: 443, name: web, protocol: TCP}]
  workloadSelector: {labels: {app: web}}
"""
    found = catalog(resolved, *texts[1:]).endpoints["web.example.com", "a"]
    assert [e.address for e in found] == ["vm.example.com"]
