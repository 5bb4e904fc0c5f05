"""Which changes matter to which types and whom."""

import pytest

from rhumb.model.codec import parse
from rhumb.model.proxy import Role
from rhumb.model.resource import Changes, ResourceSet
from rhumb.snapshot.affects import ALL, CDS, EDS, LDS, NDS, RDS, VHDS
from rhumb.snapshot.build import World, build, empty
from rhumb.snapshot.view import View
from rhumb.xds.types import XdsType

WORLD = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: a}
spec: {clusterIP: 10.0.0.1, selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: a}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: tcp, port: 5432}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: dns, namespace: a}
spec:
  hosts: [dns.com]
  resolution: DNS
  ports: [{number: 80, name: http, protocol: HTTP}]
  workloadSelector: {labels: {app: dns}}
"""
SIDECAR = """---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: b}
spec: {egress: [{hosts: ["*/dns.com"]}]}
"""


def workload(app: str, *, address: str = "1.1.1.1", account: str = "", weight: int = 1) -> str:
    return f"""---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: one, namespace: a}}
spec: {{address: {address}, labels: {{app: {app}}}, serviceAccount: "{account}", weight: {weight}}}
"""


def pod(app: str, ready: str = "True", *, node: str = "node-1") -> str:
    return f"""---
apiVersion: v1
kind: Pod
metadata: {{name: one, namespace: a, labels: {{app: {app}}}}}
spec: {{nodeName: {node}}}
status: {{phase: Running, podIP: 1.1.1.1, conditions: [{{type: Ready, status: "{ready}"}}]}}
"""


def node(zone: str) -> str:
    return f"""---
apiVersion: v1
kind: Node
metadata: {{name: node-1, labels: {{topology.kubernetes.io/zone: {zone}}}}}
"""


def known(yaml: str) -> ResourceSet:
    resources, findings = parse(yaml)
    assert not findings, [f.text() for f in findings]
    return ResourceSet(resources)


def step(before: str, after: str) -> tuple[World, World]:
    start = known(before)
    world = build(empty(), start, Changes(added=frozenset(start)))
    wanted = known(after)
    following, changes = start.apply(wanted.values(), set(start) - set(wanted))
    return world, build(world, following, changes)


@pytest.mark.parametrize(
    ("before", "after", "types"),
    [
        ("", "", set()),
        (workload("web"), workload("web", weight=2), {EDS}),
        (workload("web"), workload("web", account="sa"), {CDS, EDS}),
        (workload("db"), workload("db", address="1.1.1.2"), {CDS, EDS, LDS, RDS, VHDS, NDS}),
        (workload("dns"), workload("dns", address="1.1.1.2"), {CDS, EDS}),
        (workload("none"), workload("none", address="1.1.1.2"), set()),
        (pod("web"), pod("web", "False"), {EDS}),
        (pod("web"), pod("web", node="node-2"), {EDS}),
        (pod("db"), pod("db", "False"), {CDS, EDS, LDS, RDS, VHDS, NDS}),
        (pod("none"), pod("none", "False"), set()),
        (pod("web") + node("eu-1"), pod("web") + node("eu-2"), {EDS}),
    ],
)
def test_endpoints_are_eds_unless_something_is_made_of_them(
    before: str, after: str, types: set[XdsType]
) -> None:
    _, world = step(WORLD + before, WORLD + after)
    assert world.impact.types == types
    assert world.impact.services == frozenset()


def test_a_service_that_differs_matters_to_all() -> None:
    _, world = step(WORLD, WORLD.replace("port: 80}", "port: 81}"))
    assert world.impact.types == ALL
    assert world.impact.services == {("web.a.svc.cluster.local", "a")}
    assert world.impact.hostnames == {"web.a.svc.cluster.local"}


def test_an_annotation_that_says_nothing_matters_to_nobody() -> None:
    _, world = step(WORLD, WORLD.replace("{name: web,", '{annotations: {x1: "2"}, name: web,'))
    assert world.impact.types == frozenset()


RULES = {
    "networking.istio.io/v1 DestinationRule {host: x}": ALL - {NDS},
    "networking.istio.io/v1 VirtualService {hosts: [x], http: []}": ALL - {LDS},
    "networking.istio.io/v1 VirtualService {hosts: [x], tcp: [{}]}": ALL,
    "security.istio.io/v1 PeerAuthentication {mtls: {mode: STRICT}}": {CDS, EDS, LDS},
    "networking.istio.io/v1 WorkloadGroup {}": set(),
}


@pytest.mark.parametrize("rule", sorted(RULES))
def test_rules_matter_to_types(rule: str) -> None:
    version, kind, spec = rule.split(" ", 2)
    text = f"---\napiVersion: {version}\nkind: {kind}\nmetadata: {{name: r}}\nspec: {spec}\n"
    _, world = step(WORLD, WORLD + text)
    assert world.impact.types == RULES[rule]


def test_mesh_settings_matter_to_everything() -> None:
    mesh = """---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "trustDomain: td"}
"""
    _, world = step(WORLD + workload("web"), WORLD + workload("web") + mesh)
    assert world.impact.is_full
    assert world.impact.types == ALL
    assert ("web.a.svc.cluster.local", "a") in world.impact.endpoints


def test_who_does_not_see_the_service_does_not_care() -> None:
    before, after = step(
        WORLD + SIDECAR + workload("web"), WORLD + SIDECAR + workload("web", weight=2)
    )
    narrow = View(role=Role.SIDECAR, namespace="b")
    wide = View(role=Role.SIDECAR, namespace="a")
    assert not after.impact.matters(before.scope(narrow), after.scope(narrow))
    assert after.impact.matters(before.scope(wide), after.scope(wide))
    assert after.impact.types == {EDS}
    assert not after.impact.is_full
