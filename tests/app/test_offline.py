"""One proxy's configuration from texts alone: whole, and in order."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st

from rhumb.app.loading import load
from rhumb.app.offline import SECTIONS, Configuration, configuration, node, redact
from rhumb.base.errors import RhumbError
from rhumb.encode.dispatch import message
from rhumb.model.finding import Level
from rhumb.model.proxy import Proxy, Role
from rhumb.testing.world import mesh_config, resources, world
from rhumb.testing.world import proxy as introduced
from rhumb.translate.proxy import resources as translated
from rhumb.xds.types import XdsType

SERVICES = b"""\
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec:
  clusterIP: 10.1.0.1
  selector: {app: reviews}
  ports: [{name: http, port: 9080, targetPort: 8080}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews-1, namespace: default}
spec: {address: 10.2.0.1, labels: {app: reviews}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews-2, namespace: default}
spec: {address: 10.2.0.2, labels: {app: reviews}}
"""
GATEWAY = b"""\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: web, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: ["*.example.com"]
    tls: {mode: SIMPLE, credentialName: web-certificate}
"""


def said(kind: str = "sidecar", **metadata: object) -> Proxy:
    text = {
        "id": f"{kind}~10.2.0.9~client.default~default.svc.cluster.local",
        "metadata": {"NAMESPACE": "default", **metadata},
    }
    return node(json.dumps(text).encode())


def made(*texts: bytes, proxy: Proxy | None = None) -> Configuration:
    loaded = load([(f"{number}.yaml", text) for number, text in enumerate(texts)])
    return configuration(loaded.world, proxy or said())


def names(found: Configuration, section: str) -> list[object]:
    return [each.get("name", each.get("cluster_name")) for each in found.sections[section]]


def test_routes_and_endpoints_are_there_in_full() -> None:
    found = made(SERVICES)
    assert list(found.sections) == list(SECTIONS.values())
    assert "outbound|9080||reviews.default.svc.cluster.local" in names(found, "clusters")
    (table,) = (r for r in found.sections["routes"] if r["name"] == "9080")
    assert isinstance(table["virtual_hosts"], list)
    hosts = [host["name"] for host in table["virtual_hosts"]]
    assert "reviews.default.svc.cluster.local:9080" in hosts
    (endpoints,) = found.sections["endpoints"]
    assert json.dumps(endpoints).count('"port_value": 8080') == 2
    assert names(found, "secrets") == ["ROOTCA", "default"]
    assert not found.findings


def test_virtual_hosts_are_in_their_tables_for_who_takes_them_apart_too() -> None:
    apart, whole = made(SERVICES, proxy=said(RHUMB_VHDS="true")), made(SERVICES)
    assert apart.sections["routes"] == whole.sections["routes"]


def test_only_the_types_that_are_asked_for_are_filled() -> None:
    loaded = load([("a.yaml", SERVICES)])
    found = configuration(loaded.world, said(), (XdsType.EDS,))
    assert {name for name, section in found.sections.items() if section} == {"endpoints"}
    found = configuration(loaded.world, said(), (XdsType.SDS,))
    assert names(found, "secrets") == ["ROOTCA", "default"]


def test_a_proxy_that_the_files_do_not_know_is_served_by_its_labels() -> None:
    found = made(SERVICES, proxy=said(LABELS={"app": "reviews"}))
    assert "inbound|8080||" in names(found, "clusters")
    inbound = next(x for x in found.sections["listeners"] if x["name"] == "virtualInbound")
    assert '"destination_port": 8080' in json.dumps(inbound)


def test_a_missing_secret_is_a_warning_and_one_that_is_there_is_complete_unless_redacted() -> None:
    proxy = said("router", LABELS={"istio": "ingressgateway"})
    found = made(GATEWAY, proxy=proxy)
    (warning,) = found.findings
    assert warning.level is Level.WARNING
    assert "kubernetes://web-certificate" in warning.message
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "web-certificate", "namespace": "default"},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": "-----BEGIN CERTIFICATE-----", "tls.key": "PRIVATE"},
    }
    found = made(GATEWAY, json.dumps(secret).encode(), proxy=proxy)
    assert "kubernetes://web-certificate" in names(found, "secrets")
    assert not found.findings
    key = base64.b64encode(b"PRIVATE").decode()
    assert key in json.dumps(found.sections)
    redact(found)
    assert key not in json.dumps(found.sections)


NODES: list[dict[str, Any]] = [
    {},
    {"INTERCEPTION_MODE": "TPROXY", "CLUSTER_ID": "Kubernetes", "NETWORK": "n1"},
    {"INTERCEPTION_MODE": "NONE", "HTTP_PROXY_PORT": "15080"},
    {"WORKLOAD_NAME": "client", "SERVICE_ACCOUNT": "client", "ISTIO_VERSION": "1.27.0"},
    {"INSTANCE_IPS": "10.2.0.9,fd00::9", "DNS_CAPTURE": "true", "DNS_AUTO_ALLOCATE": "true"},
    {"HTTP10": "1", "MESH_ID": "m", "OWNER": "kubernetes://apis/apps/v1/x", "PILOT_SAN": ["a"]},
    {"PROXY_CONFIG": {"concurrency": 2, "drainDuration": "45s"}, "APP_CONTAINERS": "a,b"},
    {"PLATFORM_METADATA": {"gcp_project": "p"}, "NODE_NAME": "n", "ANNOTATIONS": {"a": "b"}},
    {"POD_PORTS": '[{"name":"http","containerPort":8080,"protocol":"TCP"}]', "what": [None, 1.5]},
    {"LABELS": {"istio-locality": "r.z"}, "ENVOY_STATUS_PORT": 15021, "UNPRIVILEGED_POD": "true"},
    {"INTERCEPTION_MODE": "unheard", "LABELS": None, "NETWORK": ""},
]


@pytest.mark.parametrize("metadata", NODES, ids=lambda said: ",".join(said) or "nothing")
def test_nodes_as_proxies_send_them(metadata: dict[str, Any]) -> None:
    found = made(SERVICES, proxy=said(**metadata))
    assert "outbound|9080||reviews.default.svc.cluster.local" in names(found, "clusters")
    assert names(found, "listeners")


def test_a_whole_node_with_fields_of_tomorrow() -> None:
    text = {
        "id": "router~10.0.0.2~gw-7d9.istio-system~istio-system.svc.cluster.local",
        "cluster": "gw.istio-system",
        "metadata": {"LABELS": {"istio": "ingressgateway"}},
        "locality": {"region": "eu", "zone": "a", "sub_zone": "rack"},
        "userAgentName": "envoy",
        "userAgentBuildVersion": {"version": {"majorNumber": 1}, "metadata": {}},
        "extensions": [{"name": "envoy.x", "category": "c", "typeUrls": ["t"], "unheard": 1}],
        "clientFeatures": ["envoy.lb.does_not_support_overprovisioning"],
        "unheard": {},
    }
    found = node(json.dumps(text).encode())
    assert (found.role, found.name, found.namespace) == (Role.ROUTER, "gw-7d9", "istio-system")
    assert found.locality.zone == "a"


def test_the_labels_tell_the_locality_where_the_platform_put_it() -> None:
    labels = {"topology.kubernetes.io/region": "eu", "topology.kubernetes.io/zone": "eu-1"}
    assert said(LABELS=labels).locality.zone == "eu-1"


@pytest.mark.parametrize(
    "text", ["", "[]", "1", "null", '{"id": 5}', '{"id": "x"}', "{}", '{"metadata": []}', "id: a"]
)
def test_what_is_no_node_is_an_error_that_shows_one(text: str) -> None:
    with pytest.raises(RhumbError) as caught:
        node(text.encode())
    assert "sidecar~" in caught.value.hint


@pytest.mark.parametrize("kind", ["waypoint", "agent"])
def test_nothing_is_made_for_other_roles(kind: str) -> None:
    with pytest.raises(RhumbError, match=kind):
        made(SERVICES, proxy=said(kind))


def test_a_mesh_config_given_by_itself_wins_over_one_among_the_files() -> None:
    among = json.dumps(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "istio", "namespace": "istio-system"},
            "data": {"mesh": "outboundTrafficPolicy: {mode: ALLOW_ANY}"},
        }
    ).encode()
    alone = ("m.yaml", b"outboundTrafficPolicy: {mode: REGISTRY_ONLY}")
    for mesh, expected in ((None, "PassthroughCluster"), (alone, "BlackHoleCluster")):
        loaded = load([("a.yaml", among)], mesh_config=mesh)
        found = configuration(loaded.world, said())
        outbound = next(x for x in found.sections["listeners"] if x["name"] == "virtualOutbound")
        assert f'"cluster": "{expected}"' in json.dumps(outbound)


def test_objects_that_do_not_configure_the_mesh_are_let_be() -> None:
    others = b"""\
apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: b}
---
apiVersion: monitoring.example.com/v1
kind: Monitor
metadata: {name: c}
"""
    loaded = load([("a.yaml", others), ("b.yaml", SERVICES)])
    assert {f.level for f in loaded.findings} == {Level.INFO}
    assert len(loaded.findings) == 3


GOLDEN = Path(__file__).parents[1] / "golden"
CASES = sorted(p.parent for p in GOLDEN.glob("*/input.yaml"))


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_files_streams_and_json_change_nothing(case: Path) -> None:
    text, mesh = (case / "input.yaml").read_bytes(), case / "mesh.yaml"
    found = resources(text.decode())
    if mesh.exists():
        found += mesh_config(mesh.read_text())
    loaded = load(
        [("input.yaml", text)],
        mesh_config=("mesh.yaml", mesh.read_bytes()) if mesh.exists() else None,
    )
    refused = {f.key for f in loaded.findings if f.level is Level.ERROR}
    direct = world(each for each in found if each.key not in refused)
    for metadata in (
        {"labels": {"app": "app"}},
        {"role": Role.ROUTER, "labels": {"istio": "ingressgateway"}},
    ):
        proxy = introduced(**metadata)
        made = configuration(loaded.world, proxy)
        values = translated(direct, direct.view(proxy), XdsType.LDS)
        assert made.sections["listeners"] == [
            MessageToDict(message(value), preserving_proto_field_name=True)
            for value in sorted(values, key=lambda each: each.name)
        ]


_KEYS = (
    "NAMESPACE",
    "LABELS",
    "INSTANCE_IPS",
    "INTERCEPTION_MODE",
    "POD_PORTS",
    "NETWORK",
    "CLUSTER_ID",
    "HTTP_PROXY_PORT",
    "DNS_CAPTURE",
    "ISTIO_VERSION",
    "SERVICE_ACCOUNT",
    "WORKLOAD_NAME",
    "NODE_NAME",
    "PROXY_CONFIG",
    "ANNOTATIONS",
    "RHUMB_BIND",
    "WORKLOAD_ENTRY",
    "IDLE_TIMEOUT",
    "PLATFORM_METADATA",
)
_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=8),
        st.sampled_from(["10.2.0.1", "10.2.0.1,fd00::1", "::", "true", "NONE", "[]", "[{}]", "5s"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(max_examples=80, deadline=None)
@given(
    st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=6),
    st.sampled_from(["sidecar", "router"]),
)
def test_whatever_a_proxy_says_of_itself_it_is_served(metadata: dict[str, Any], kind: str) -> None:
    loaded = load([("a.yaml", SERVICES), ("b.yaml", GATEWAY)])
    found = configuration(loaded.world, said(kind, **metadata))
    assert not [f.text() for f in found.findings if f.level is Level.ERROR]
