"""The configuration of one proxy in random worlds: any order of files gives the same, and the real Envoy takes it."""

import json
import random
from typing import Any

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from google.protobuf.json_format import ParseDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.app.test_offline import said

from rhumb.app.loading import load
from rhumb.app.offline import Configuration, configuration
from rhumb.model.finding import Level
from rhumb.testing import envoy

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
