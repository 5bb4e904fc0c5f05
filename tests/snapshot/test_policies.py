"""DestinationRules and PeerAuthentications: which one is in force."""

import pytest

from rhumb.model.codec import parse
from rhumb.model.proxy import Role
from rhumb.model.resource import Changes, ResourceSet
from rhumb.snapshot.build import World, build, empty
from rhumb.snapshot.view import View

HOST = "reviews.books.svc.cluster.local"
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: books}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}
"""


def world(yaml: str) -> World:
    resources, findings = parse(SERVICE + yaml)
    assert not findings, [f.text() for f in findings]
    known = ResourceSet(resources)
    return build(empty(), known, Changes(added=frozenset(known)))


def rule(
    name: str, namespace: str, host: str = HOST, more: str = "trafficPolicy: {tls: {mode: SIMPLE}}"
) -> str:
    return f"""---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{host: "{host}", {more}}}
"""


def chosen(found: World, namespace: str, **labels: str) -> list[str]:
    view = View(role=Role.SIDECAR, namespace=namespace, labels=tuple(sorted(labels.items())))
    policy = found.policy(view, found.services(HOST)[0])
    return [r.meta.name for r in policy.resources] if policy else []


def test_client_namespace_then_service_namespace_then_root() -> None:
    root = rule("root", "istio-system", "*.local")
    service = rule("service", "books", "reviews")
    client = rule("client", "shop", "*")
    assert chosen(world(root), "shop") == ["root"]
    assert chosen(world(root + service), "shop") == ["service"]
    assert chosen(world(root + service + client), "shop") == ["client"]
    assert chosen(world(root + service + client), "else") == ["service"]
    assert chosen(world(""), "shop") == []


def test_a_client_in_the_root_namespace_asks_the_service_first() -> None:
    root = rule("root", "istio-system", "*.local")
    service = rule("service", "books")
    assert chosen(world(root + service), "istio-system") == ["service"]
    private = rule("private", "istio-system", HOST, 'exportTo: ["."]')
    assert chosen(world(root + service + private), "istio-system") == ["private"]
    assert chosen(world(root + private), "shop") == ["root"]


def test_the_most_specific_host_decides() -> None:
    wide = rule("wide", "books", "*")
    near = rule("near", "books", "*.books.svc.cluster.local")
    exact = rule("exact", "books")
    assert chosen(world(wide + near), "books") == ["near"]
    assert chosen(world(wide + near + exact), "books") == ["exact"]


def test_export_to_hides_rules_from_other_namespaces() -> None:
    private = rule("private", "books", HOST, 'exportTo: ["."]')
    assert chosen(world(private), "books") == ["private"]
    assert chosen(world(private), "shop") == []
    shown = rule("shown", "books", HOST, "exportTo: [shop]")
    assert chosen(world(shown), "shop") == ["shown"]
    assert chosen(world(shown), "else") == []
    assert chosen(world(shown), "books") == []


def test_rules_of_one_host_are_merged() -> None:
    first = rule("a", "books", HOST, "subsets: [{name: v1, labels: {v: first}}]")
    second = rule(
        "b",
        "books",
        "reviews",
        "trafficPolicy: {tls: {mode: SIMPLE}}, subsets: [{name: v1, labels: {v: late}}, {name: v2}]",
    )
    third = rule("c", "books", HOST, "trafficPolicy: {tls: {mode: MUTUAL}}")
    found = world(third + second + first)
    policy = found.policy(View(role=Role.SIDECAR, namespace="z"), found.services(HOST)[0])
    assert policy is not None
    assert [r.meta.name for r in policy.resources] == ["a", "b", "c"]
    assert policy.spec.host == HOST
    assert [(s.name, dict(s.labels)) for s in policy.spec.subsets] == [
        ("v1", {"v": "first"}),
        ("v2", {}),
    ]
    assert policy.spec.traffic_policy is not None
    assert policy.spec.traffic_policy.tls is not None
    assert policy.spec.traffic_policy.tls.mode == "SIMPLE"


def test_rules_with_different_visibility_are_not_merged() -> None:
    private = rule("a", "books", HOST, 'exportTo: ["."], subsets: [{name: v1}]')
    public = rule("b", "books", HOST, "subsets: [{name: v2}]")
    found = world(private + public)
    assert chosen(found, "books") == ["a"]
    assert chosen(found, "shop") == ["b"]


def test_a_workload_selector_chooses_among_the_clients_of_its_namespace() -> None:
    some = rule("some", "shop", HOST, "workloadSelector: {matchLabels: {app: till}}")
    rest = rule("rest", "shop", HOST)
    found = world(some + rest)
    assert chosen(found, "shop", app="till", version="v1") == ["some"]
    assert chosen(found, "shop", app="other") == ["rest"]
    assert chosen(world(some), "other", app="till") == []


def authentication(name: str, namespace: str, spec: str, created: str = "") -> str:
    return f"""---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: {name}, namespace: {namespace}, creationTimestamp: "{created}"}}
spec: {spec}
"""


LABELS = (("app", "reviews"), ("version", "v1"))
MESH = authentication("mesh", "istio-system", "{mtls: {mode: STRICT}}")
NAMESPACE = authentication("namespace", "books", "{mtls: {mode: DISABLE}}")
UNSET = authentication("unset", "books", "{mtls: {}}")
WORKLOAD = authentication(
    "workload",
    "books",
    "{selector: {matchLabels: {app: reviews}}, mtls: {mode: PERMISSIVE},"
    " portLevelMtls: {8080: {mode: DISABLE}, 9090: {mode: UNSET}}}",
)


@pytest.mark.parametrize(
    ("yaml", "port", "mode", "name"),
    [
        ("", 80, "PERMISSIVE", None),
        (MESH, 80, "STRICT", "mesh"),
        (MESH + NAMESPACE, 80, "DISABLE", "namespace"),
        (MESH + UNSET, 80, "STRICT", "mesh"),
        (MESH + NAMESPACE + WORKLOAD, 80, "PERMISSIVE", "workload"),
        (MESH + NAMESPACE + WORKLOAD, 8080, "DISABLE", "workload"),
        (MESH + NAMESPACE + WORKLOAD, 9090, "PERMISSIVE", "workload"),
        (WORKLOAD.replace("namespace: books", "namespace: istio-system"), 80, "PERMISSIVE", None),
        (WORKLOAD.replace("mtls: {mode: PERMISSIVE}", "mtls: {}") + MESH, 80, "STRICT", "mesh"),
    ],
)
def test_workload_over_namespace_over_mesh(
    yaml: str, port: int, mode: str, name: str | None
) -> None:
    found = world(yaml).mtls("books", LABELS, port)
    assert found.mode == mode
    assert (found.resource.meta.name if found.resource else None) == name


def test_the_oldest_of_a_level_wins() -> None:
    young = authentication("a", "books", "{mtls: {mode: STRICT}}", "2005-01-01T00:00:00Z")
    old = authentication("b", "books", "{mtls: {mode: DISABLE}}", "2001-01-01T00:00:00Z")
    assert world(young + old).mtls("books", LABELS, 80).mode == "DISABLE"


def test_ports_with_a_mode_of_their_own() -> None:
    found = world(WORKLOAD)
    ports = [(port, m.mode.value) for port, m in found.port_mtls("books", LABELS)]
    assert ports == [(8080, "DISABLE"), (9090, "PERMISSIVE")]
    assert found.mtls("books", LABELS, 8080).field == "spec.portLevelMtls.8080.mode"
    assert found.port_mtls("books", (("app", "other"),)) == ()
    assert found.port_mtls("shop", LABELS) == ()


def test_a_rule_that_goes_leaves_the_others() -> None:
    found = world(rule("a", "books") + rule("b", "books") + WORKLOAD)
    gone = [key for key in found.resources if key.name in ("a", "workload")]
    following, changes = found.resources.apply((), gone)
    after = build(found, following, changes)
    assert chosen(found, "books") == ["a", "b"]
    assert chosen(after, "books") == ["b"]
    assert after.mtls("books", LABELS, 8080).mode == "PERMISSIVE"
    following, changes = following.apply((), [key for key in following if key.name == "b"])
    assert chosen(build(after, following, changes), "books") == []
