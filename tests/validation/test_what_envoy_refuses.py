"""What Istio lets pass and Envoy does not: one such field would cost a proxy the whole table that it is in."""

import json
from typing import Any

import pytest

from rhumb.model.finding import Level
from rhumb.validation.load import Loader

ROUTE: dict[str, Any] = {"route": [{"destination": {"host": "web"}}]}
BREAK = "a\nb"


def rule(**more: object) -> tuple[str, dict[str, Any]]:
    return "VirtualService", {"hosts": ["a.example.com"], "http": [{**ROUTE, **more}]}


def redirect(**fields: str) -> tuple[str, dict[str, Any]]:
    return "VirtualService", {"hosts": ["a.example.com"], "http": [{"redirect": fields}]}


def hashed(**by: object) -> tuple[str, dict[str, Any]]:
    return "DestinationRule", {
        "host": "web",
        "trafficPolicy": {"loadBalancer": {"consistentHash": by}},
    }


@pytest.mark.parametrize(
    ("object_", "field"),
    [
        (rule(headers={"request": {"set": {BREAK: "x"}}}), "headers.request.set[a\nb]"),
        (rule(headers={"response": {"add": {BREAK: "x"}}}), "headers.response.add[a\nb]"),
        (rule(headers={"request": {"remove": [BREAK]}}), "headers.request.remove[0]"),
        (rule(headers={"request": {"set": {"x": "x" * 16_385}}}), "headers.request.set[x]"),
        (rule(rewrite={"uri": BREAK}), "rewrite.uri"),
        (rule(rewrite={"authority": BREAK}), "rewrite.authority"),
        (
            rule(rewrite={"uriRegexRewrite": {"match": "a", "rewrite": BREAK}}),
            "rewrite.uriRegexRewrite.rewrite",
        ),
        (redirect(uri=BREAK), "redirect.uri"),
        (redirect(authority=BREAK), "redirect.authority"),
        (hashed(httpHeaderName=BREAK), "consistentHash.httpHeaderName"),
        (
            hashed(httpCookie={"name": "c", "attributes": [{"name": "a", "value": BREAK}]}),
            "consistentHash.httpCookie.attributes[0]",
        ),
        (("Sidecar", {"egress": [{"hosts": ["*/*"], "bind": "None"}]}), "egress[0].bind"),
    ],
    ids=lambda value: value.replace("\n", " ") if isinstance(value, str) else value[0],
)
def test_it_is_refused_at_its_field(object_: tuple[str, dict[str, Any]], field: str) -> None:
    kind, spec = object_
    text = json.dumps(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": kind,
            "metadata": {"name": "a"},
            "spec": spec,
        }
    )
    (document,) = Loader().load(text)
    assert document.resource is None
    errors = [f.field for f in document.findings if f.level is Level.ERROR]
    assert [found for found in errors if found.endswith(field)]


@pytest.mark.parametrize(
    "text",
    [
        "{apiVersion: v1, kind: Endpoints, metadata: {name: a}, subsets: [{addresses: [{ip: 10.0.0.1}], ports: [{port: -1}]}]}",
        "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: a, labels: {kubernetes.io/service-name: a}},"
        " addressType: IPv4, endpoints: [{addresses: [10.0.0.1]}], ports: [{port: 65536}]}",
    ],
    ids=["Endpoints", "EndpointSlice"],
)
def test_ports_of_endpoints_are_ports(text: str) -> None:
    (document,) = Loader().load(text)
    (finding,) = document.findings
    assert finding.field.endswith("ports[0].port")
    assert "must be in the range 1..65535" in finding.message


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("tcpKeepalive: {interval: -1s}", "tcpKeepalive.interval"),
        ("dnsRefreshRate: 1ns", "dnsRefreshRate"),
        ("dnsRefreshRate: -1s", "dnsRefreshRate"),
        (
            "defaultConfig: {connectionSettings: {httpIdleTimeout: -1s}}",
            "defaultConfig.connectionSettings.httpIdleTimeout",
        ),
        (
            "defaultConfig: {connectionSettings: {http2InitialStreamWindowSize: 2}}",
            "defaultConfig.connectionSettings.http2InitialStreamWindowSize",
        ),
        (
            'defaultConfig: {proxyHeaders: {server: {value: "a\\nb"}}}',
            "defaultConfig.proxyHeaders.server.value",
        ),
    ],
)
def test_settings_of_the_mesh_are_refused_at_their_field(text: str, field: str) -> None:
    (document,) = Loader().load_mesh_config(text)
    assert document.resource is None
    assert [f.field for f in document.findings if f.level is Level.ERROR] == [field]
