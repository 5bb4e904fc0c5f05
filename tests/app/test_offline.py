"""One proxy's configuration from texts alone: whole, in order, and such that the real Envoy takes it."""

import base64
import json
import random
from pathlib import Path
from typing import Any

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from google.protobuf.json_format import MessageToDict, ParseDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rhumb.app.loading import load
from rhumb.app.offline import SECTIONS, Configuration, configuration, node, redact
from rhumb.base.errors import RhumbError
from rhumb.encode.dispatch import message
from rhumb.model.finding import Level
from rhumb.model.proxy import Proxy, Role
from rhumb.testing import envoy
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


# Random worlds


HOSTS = ["s0", "s1.a.svc.cluster.local", "x.example.com", "*.example.com", "s2"]
LABELS = [{"app": "x"}, {"app": "y"}, {"app": "x", "version": "v1"}]
PORTS = [80, 443, 3306, 9000]
ADDRESSES = ["10.2.0.1", "10.2.0.9", "10.2.0.3"]

_labels, _hosts, _ports = (st.sampled_from(v) for v in (LABELS, HOSTS, PORTS))
_modes = st.sampled_from(["DISABLE", "SIMPLE", "ISTIO_MUTUAL"])
_percent = st.integers(0, 100)


def _match() -> st.SearchStrategy[dict[str, Any]]:
    text = st.one_of(
        st.builds(lambda v: {"exact": v}, st.sampled_from(["/a", "b"])),
        st.builds(lambda v: {"prefix": v}, st.sampled_from(["/a", "/b/"])),
        st.just({"regex": "/a.*"}),
    )
    return st.fixed_dictionaries(
        {},
        optional={
            "uri": text,
            "headers": st.fixed_dictionaries({"x-a": text}),
            "queryParams": st.fixed_dictionaries({"q": st.just({"exact": "1"})}),
            "method": st.just({"exact": "GET"}),
            "port": _ports,
            "sourceLabels": _labels,
        },
    )


def _destination() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"host": st.sampled_from(["s0", "s1", "s2", "x.example.com", "nowhere"])},
        optional={
            "subset": st.sampled_from(["v1", "v2"]),
            "port": _ports.map(lambda p: {"number": p}),
        },
    )


def _http() -> st.SearchStrategy[dict[str, Any]]:
    weighted = st.lists(_destination(), min_size=1, max_size=3).map(
        lambda found: [
            {"destination": d} | ({"weight": 10} if len(found) > 1 else {}) for d in found
        ]
    )
    action = st.one_of(
        st.fixed_dictionaries(
            {"route": weighted},
            optional={
                "timeout": st.just("5s"),
                "retries": st.just({"attempts": 2, "perTryTimeout": "1s", "retryOn": "5xx,503"}),
                "rewrite": st.sampled_from(
                    [
                        {"uri": "/z"},
                        {"authority": "z"},
                        {"uriRegexRewrite": {"match": "a", "rewrite": "b"}},
                    ]
                ),
                "mirrors": _destination().map(
                    lambda d: [{"destination": d, "percentage": {"value": 5}}]
                ),
                "corsPolicy": st.just({"allowOrigins": [{"prefix": "https://"}], "maxAge": "1h"}),
                "headers": st.just({"request": {"set": {"x-b": "1"}, "remove": ["x-c"]}}),
                "fault": _percent.map(
                    lambda p: {"abort": {"httpStatus": 503, "percentage": {"value": p}}}
                ),
            },
        ),
        st.just({"redirect": {"uri": "/new", "redirectCode": 308}}),
        st.just({"directResponse": {"status": 404, "body": {"string": "no"}}}),
    )
    return st.builds(
        lambda match, said: {"match": match, **said} if match else said,
        st.lists(_match(), max_size=2),
        action,
    )


def _policy() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"tls": _modes.map(lambda m: {"mode": m})},
        optional={
            "loadBalancer": st.sampled_from(
                [
                    {"simple": "ROUND_ROBIN"},
                    {"simple": "PASSTHROUGH"},
                    {"consistentHash": {"httpHeaderName": "x"}},
                    {"consistentHash": {"useSourceIp": True, "maglev": {"tableSize": 5}}},
                ]
            ),
            "connectionPool": st.just(
                {"tcp": {"maxConnections": 5}, "http": {"idleTimeout": "9s"}}
            ),
            "outlierDetection": st.just({"consecutive5xxErrors": 3, "interval": "5s"}),
        },
    )


def _server() -> st.SearchStrategy[dict[str, Any]]:
    kinds = st.sampled_from(
        [
            (80, "HTTP", None),
            (443, "HTTPS", {"mode": "SIMPLE", "credentialName": "c"}),
            (443, "TLS", {"mode": "PASSTHROUGH"}),
            (3306, "TCP", None),
            (15443, "TLS", {"mode": "AUTO_PASSTHROUGH"}),
        ]
    )
    return st.builds(
        lambda kind, host: (
            {
                "port": {"number": kind[0], "protocol": kind[1], "name": f"p{kind[0]}"},
                "hosts": [host],
            }
            | ({"tls": kind[2]} if kind[2] else {})
        ),
        kinds,
        st.sampled_from(["*", "x.example.com", "./*.example.com"]),
    )


def _spec() -> st.SearchStrategy[tuple[str, str, dict[str, Any]]]:
    networking = "networking.istio.io/v1"

    def of(
        version: str, kind: str, spec: st.SearchStrategy[dict[str, Any]]
    ) -> st.SearchStrategy[tuple[str, str, dict[str, Any]]]:
        return spec.map(lambda said: (version, kind, said))

    listed = st.lists(
        st.tuples(_ports, st.sampled_from(["http", "tcp", "tls", "grpc", "https", "x"])),
        min_size=1,
        max_size=3,
        unique_by=lambda pair: pair[0],
    )
    return st.one_of(
        of(
            "v1",
            "Service",
            st.builds(
                lambda address, labels, ports: {
                    "clusterIP": address,
                    "selector": labels,
                    "ports": [{"port": p, "name": f"{n}-{p}"} for p, n in ports],
                },
                st.sampled_from(["None", "10.1.0.1", "10.1.0.2", "10.1.0.3"]),
                _labels,
                listed,
            ),
        ),
        of(
            networking,
            "WorkloadEntry",
            st.fixed_dictionaries({"address": st.sampled_from(ADDRESSES), "labels": _labels}),
        ),
        of(
            networking,
            "ServiceEntry",
            st.builds(
                lambda ports, resolution: {
                    "hosts": ["x.example.com"],
                    "ports": [
                        {"number": p, "name": f"{n}-{p}", "protocol": "HTTP"} for p, n in ports
                    ],
                    "resolution": resolution,
                },
                listed,
                st.sampled_from(["NONE", "DNS", "DNS_ROUND_ROBIN"]),
            ),
        ),
        of(
            networking,
            "VirtualService",
            st.fixed_dictionaries(
                {
                    "hosts": _hosts.map(lambda h: [h]),
                    "gateways": st.sampled_from([["mesh"], ["g0", "mesh"], ["a/g1"]]),
                    "http": st.lists(_http(), min_size=1, max_size=3),
                }
            ),
        ),
        of(
            networking,
            "DestinationRule",
            st.fixed_dictionaries(
                {"host": _hosts, "trafficPolicy": _policy()},
                optional={"subsets": st.just([{"name": "v1", "labels": {"version": "v1"}}])},
            ),
        ),
        of(
            networking,
            "Gateway",
            st.builds(
                lambda servers: {"selector": {"istio": "ingressgateway"}, "servers": servers},
                st.lists(
                    _server(), min_size=1, max_size=2, unique_by=lambda s: s["port"]["number"]
                ),
            ),
        ),
        of(
            "security.istio.io/v1",
            "PeerAuthentication",
            st.sampled_from(["STRICT", "PERMISSIVE", "DISABLE"]).map(
                lambda m: {"mtls": {"mode": m}}
            ),
        ),
        of(
            networking,
            "Sidecar",
            st.sampled_from([["./*"], ["*/*"], ["a/*", "~/*"]]).map(
                lambda hosts: {"egress": [{"hosts": hosts}]}
            ),
        ),
    )


_SPECS = _spec()


@st.composite
def worlds(draw: st.DrawFn, at_least: int = 3) -> list[tuple[str, bytes]]:
    """Return files, one object each."""
    found = []
    for number, (version, kind, spec) in enumerate(
        draw(st.lists(_SPECS, min_size=at_least, max_size=18))
    ):
        letter = {"Service": "s", "Gateway": "g"}.get(kind, "o")
        said = {
            "apiVersion": version,
            "kind": kind,
            "metadata": {
                "name": f"{letter}{draw(st.integers(0, 2)) if letter != 'o' else number}",
                "namespace": draw(st.sampled_from(["default", "a", "istio-system"])),
            },
            "spec": spec,
        }
        found.append((f"{number:02}.json", json.dumps(said).encode()))
    return found


PROXIES = [
    ("sidecar", {"LABELS": {"app": "x"}}),
    ("sidecar", {"LABELS": {"app": "y"}, "INTERCEPTION_MODE": "NONE", "NAMESPACE": "a"}),
    ("router", {"LABELS": {"istio": "ingressgateway"}}),
]


@pytest.mark.timeout(120)
@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(worlds(), st.randoms(use_true_random=False), st.sampled_from(PROXIES))
def test_any_world_gives_the_same_whatever_the_order_of_the_files(
    files: list[tuple[str, bytes]], chance: random.Random, who: tuple[str, dict[str, Any]]
) -> None:
    proxy = said(who[0], **who[1])
    first = load(files)
    found = configuration(first.world, proxy)
    assert not [f.text() for f in found.findings if f.level is Level.ERROR]
    assert all(finding.location.file for finding in first.findings)
    chance.shuffle(files)
    second = load(files)
    assert configuration(second.world, proxy).sections == found.sections
    assert second.findings == first.findings


@pytest.mark.envoy
@settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(worlds(at_least=12), st.sampled_from(PROXIES))
def test_envoy_takes_what_is_printed(
    files: list[tuple[str, bytes]], who: tuple[str, dict[str, Any]]
) -> None:
    found = configuration(load(files).world, said(who[0], **who[1]))
    assert _refused(found) == ""


def _refused(found: Configuration) -> str:
    listeners = [ParseDict(each, Listener()) for each in found.sections["listeners"]]
    routes = [ParseDict(each, RouteConfiguration()) for each in found.sections["routes"]]
    clusters = [ParseDict(each, Cluster()) for each in found.sections["clusters"]]
    return envoy.validate(listeners, {r.name: r for r in routes}, clusters)


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
