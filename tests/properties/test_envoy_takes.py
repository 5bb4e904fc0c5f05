"""Whatever validation lets pass, the real Envoy takes: one odd object costs no proxy its configuration."""

import json
from collections.abc import Callable, Iterator

import pytest
from tests.properties.traffic import Json, Maker

from rhumb.encode.clusters import cluster
from rhumb.encode.listeners import listener
from rhumb.encode.routes import route_configuration
from rhumb.ir.cluster import Cluster
from rhumb.ir.listener import Listener
from rhumb.ir.route import RouteConfiguration
from rhumb.model.finding import Level
from rhumb.model.proxy import Role
from rhumb.testing import envoy
from rhumb.testing.world import proxy, resources, world
from rhumb.translate.proxy import resources as translated
from rhumb.validation.load import Loader
from rhumb.xds.types import XdsType

COUNT = 40
BASE = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {clusterIP: 10.1.0.7, ports: [{name: http, port: 80}, {name: tcp, port: 81}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: default}
spec: {host: web, subsets: [{name: v1, labels: {v: a}}]}
"""
FRONT = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: default}
spec:
  selector: {istio: front}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
"""
PROXIES = (proxy(), proxy(role=Role.ROUTER, labels={"istio": "front"}))


def accepted(make: Callable[[int], list[Json]], count: int) -> Iterator[str]:
    """Yield so many groups of objects that validation lets pass, with or without a warning."""
    at = 0
    while at < count:
        text = "\n---\n".join(json.dumps(each) for each in make(at))
        findings = [f for d in Loader().load(text) for f in d.findings]
        if not any(f.level is Level.ERROR for f in findings):
            at += 1
            yield text


def refusal(texts: list[str]) -> str:
    """Return what Envoy says of what the proxies receive, "" when all is well."""
    snapshot = world(resources(*texts))
    for each in PROXIES:
        view = snapshot.view(each)
        lds, rds, cds = (
            translated(snapshot, view, t) for t in (XdsType.LDS, XdsType.RDS, XdsType.CDS)
        )
        routes = [route_configuration(v) for v in rds if isinstance(v, RouteConfiguration)]
        said = envoy.validate(
            [listener(v) for v in lds if isinstance(v, Listener)],
            {r.name: r for r in routes},
            [cluster(v) for v in cds if isinstance(v, Cluster)],
        )
        if said:
            return said
    return ""


def culprit(base: str, texts: list[str]) -> str:
    """Find the object that Envoy refuses the whole for."""
    while len(texts) > 1:
        half = len(texts) // 2
        texts = texts[:half] if refusal([base, *texts[:half]]) else texts[half:]
    return texts[0]


@pytest.mark.envoy
@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", ["virtual_service", "destination_rule", "gateway"])
def test_what_validation_lets_pass_envoy_takes(kind: str, seed: int) -> None:
    maker = Maker(seed)
    base = BASE if kind == "gateway" else f"{BASE}---{FRONT}"
    texts = list(accepted(getattr(maker, kind), COUNT))
    said = refusal([base, *texts])
    assert said == "", culprit(base, texts)
