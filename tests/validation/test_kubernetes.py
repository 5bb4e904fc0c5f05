"""Kubernetes' kinds: what the API server would refuse, and what has no effect in the mesh."""

import pytest

from rhumb.model.finding import Level
from rhumb.validation.load import Loader

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: x%s}
spec: {ports: [{name: http, port: 80}], %s}
"""
SLICE = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: x, labels: {%s}}
addressType: %s
endpoints: [{addresses: [%s]}]
ports: [{name: http, port: 80}]
"""
OWNED = "kubernetes.io/service-name: x"


def said(text: str) -> list[tuple[Level, str]]:
    (document,) = Loader().load(text)
    return [(f.level, f.message) for f in document.findings]


@pytest.mark.parametrize(
    "spec",
    [
        "clusterIP: 10.0.0.1",
        'clusterIP: None, clusterIPs: ["None"]',
        'clusterIPs: [10.0.0.1, "fd00::1"], ipFamilies: [IPv4, IPv6], ipFamilyPolicy: RequireDualStack',
        "type: NodePort, internalTrafficPolicy: Local, externalTrafficPolicy: Cluster",
        "type: LoadBalancer, trafficDistribution: PreferClose, publishNotReadyAddresses: true",
        "sessionAffinity: ClientIP",
        "type: ExternalName, externalName: a.example.com",
    ],
)
def test_services_that_are_right(spec: str) -> None:
    assert said(SERVICE % ("", spec)) == []


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("type: Other", 'Unsupported value: "Other"'),
        ("clusterIP: x", "x is not a valid IP"),
        ("clusterIPs: [x]", "x is not a valid IP"),
        ("ipFamilies: [IPv5]", 'Unsupported value: "IPv5"'),
        ("internalTrafficPolicy: local", 'Unsupported value: "local"'),
        ("trafficDistribution: Near", 'Unsupported value: "Near"'),
        ("sessionAffinity: Cookie", 'Unsupported value: "Cookie"'),
        ("type: ExternalName", "must be set for a Service of type ExternalName"),
    ],
)
def test_services_that_are_wrong(spec: str, words: str) -> None:
    ((level, message),) = said(SERVICE % ("", spec))
    assert level is Level.ERROR
    assert words in message


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        ("networking.istio.io/exportTo: a b", "exports to nobody"),
        ("networking.istio.io/traffic-distribution: Near", "has no effect"),
    ],
)
def test_annotations_without_effect_are_told(annotation: str, words: str) -> None:
    ((level, message),) = said(SERVICE % (f", annotations: {{{annotation}}}", "type: ClusterIP"))
    assert level is Level.WARNING
    assert words in message


def test_annotations_of_istio() -> None:
    text = "networking.istio.io/exportTo: '., b,c', networking.istio.io/traffic-distribution: PreferClose"
    assert said(SERVICE % (f", annotations: {{{text}}}", "type: ClusterIP")) == []


@pytest.mark.parametrize(
    ("labels", "kind", "address", "level", "words"),
    [
        (OWNED, "IPv4", "a.example.com", Level.ERROR, "is not a valid IP"),
        (OWNED, "IPv4", "", Level.ERROR, "at least one address"),
        (OWNED, "IPX", "1.1.1.1", Level.ERROR, 'Unsupported value: "IPX"'),
        (OWNED, "FQDN", "a.example.com", Level.WARNING, "FQDN has no effect"),
        ("", "IPv4", "1.1.1.1", Level.WARNING, "it is of no Service"),
    ],
)
def test_slices(labels: str, kind: str, address: str, level: Level, words: str) -> None:
    ((found, message),) = said(SLICE % (labels, kind, address))
    assert found is level
    assert words in message
    assert said(SLICE % (OWNED, "IPv6", "'fd00::1'")) == []


def test_endpoints() -> None:
    text = "apiVersion: v1\nkind: Endpoints\nmetadata: {name: x}\nsubsets: [{%s: [{ip: %s}]}]\n"
    assert said(text % ("addresses", "1.1.1.1")) == []
    ((level, message),) = said(text % ("notReadyAddresses", "x"))
    assert (level, message) == (Level.ERROR, "x is not a valid IP")


def test_pods_and_nodes_may_hold_whatever_kubernetes_knows() -> None:
    pod = """
apiVersion: v1
kind: Pod
metadata: {name: x, generateName: y, ownerReferences: [{kind: Job, name: z, controller: true}]}
spec:
  containers: [{name: a, image: b, resources: {limits: {cpu: 1}}, ports: [{containerPort: 80, hostIP: 0.0.0.0}]}]
  tolerations: [{operator: Exists}]
status: {podIP: 1.1.1.1, qosClass: BestEffort, containerStatuses: []}
"""
    node = "apiVersion: v1\nkind: Node\nmetadata: {name: x}\nspec: {podCIDR: 10.0.0.0/24, taints: []}\n"
    assert said(pod) == []
    assert said(node) == []
