"""Which namespaces see of others what everybody sees."""

import pytest

from rhumb.model.proxy import Role
from rhumb.snapshot.build import World
from rhumb.snapshot.view import View
from rhumb.testing.world import following, mesh_config, resources, service, world

ONE, TWO = service("one", "10.0.0.1", namespace="a"), service("two", "10.0.0.2", namespace="b")


def mesh(*objects: str) -> World:
    return world(resources(ONE, TWO, *objects))


def is_public(found: World, namespace: str, role: Role = Role.SIDECAR) -> bool:
    view = View(role=role, namespace=namespace, service_account="x")
    public = found.public(view)
    assert public is found.public(public)
    assert public.namespace in ("", namespace)
    return public is not found.common(view)


def rule(spec: str, namespace: str = "a") -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: rule, namespace: {namespace}}}
spec: {{{spec}}}
"""


def routes(spec: str, namespace: str = "a") -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: routes, namespace: {namespace}}}
spec: {{hosts: [one.a.svc.cluster.local], {spec}}}
"""


TO_ONE = "route: [{destination: {host: one.a.svc.cluster.local}}]"


def test_namespaces_are_alike_where_rules_stand_beside_their_services() -> None:
    found = mesh(rule("host: one"), routes(f"http: [{{{TO_ONE}}}]", "b"))
    assert is_public(found, "a")
    assert is_public(found, "b")
    assert is_public(found, "elsewhere")
    assert is_public(found, "a", Role.AGENT)
    one, other = (View(role=Role.SIDECAR, namespace=n) for n in ("a", "b"))
    assert found.public(one) is found.public(other)


def test_gateways_stay_apart() -> None:
    assert not is_public(mesh(), "a", Role.ROUTER)


@pytest.mark.parametrize(
    "spec",
    [
        "host: two.b.svc.cluster.local",
        "host: '*.svc.cluster.local'",
        "host: one, exportTo: [.]",
        "host: one, exportTo: [c]",
        "host: one, workloadSelector: {matchLabels: {app: x}}",
    ],
    ids=["of others", "wildcard", "private", "for some", "for workloads"],
)
def test_a_rule_that_is_not_for_everybody_sets_its_namespace_apart(spec: str) -> None:
    found = mesh(rule(spec))
    assert not is_public(found, "a")
    assert is_public(found, "b")


@pytest.mark.parametrize("default", ["'.'", "'.', '*'"])
def test_a_rule_that_is_private_by_default_sets_its_namespace_apart(default: str) -> None:
    said = mesh_config(f"defaultDestinationRuleExportTo: [{default}]")
    found = world((*said, *resources(ONE, TWO, rule("host: one"))))
    assert not is_public(found, "a")
    assert is_public(found, "b")


def test_a_namespace_that_a_rule_names_is_apart() -> None:
    found = mesh(rule("host: one, exportTo: [c]"))
    assert not is_public(found, "c")
    assert is_public(found, "d")


def test_the_root_namespace_is_apart() -> None:
    found = mesh(rule("host: '*.local'", "istio-system"))
    assert not is_public(found, "istio-system")
    assert is_public(found, "a")


def test_services_and_routes_for_some_set_those_apart() -> None:
    private = ONE.replace(
        "namespace: a}", 'namespace: c, annotations: {networking.istio.io/exportTo: "."}}'
    )
    found = mesh(private, routes(f"exportTo: [b], http: [{{{TO_ONE}}}]"))
    assert not is_public(found, "c")
    assert not is_public(found, "b")
    assert is_public(found, "d")


@pytest.mark.parametrize(
    "asks",
    [
        f"http: [{{match: [{{sourceNamespace: c}}], {TO_ONE}}}, {{{TO_ONE}}}]",
        f"tls: [{{match: [{{sniHosts: [one.a.svc.cluster.local], sourceNamespace: c}}], {TO_ONE}}}]",
        f"tcp: [{{match: [{{sourceNamespace: c}}], {TO_ONE}}}]",
    ],
    ids=["http", "tls", "tcp"],
)
def test_where_rules_are_for_clients_of_a_namespace_it_is_apart(asks: str) -> None:
    found = mesh(routes(asks))
    assert not is_public(found, "c")
    assert is_public(found, "a")
    assert is_public(found, "d")


def test_a_namespace_is_apart_as_long_as_there_are_rules_for_its_clients() -> None:
    asks = f"http: [{{match: [{{sourceNamespace: %s}}], {TO_ONE}}}, {{{TO_ONE}}}]"
    before = mesh(routes(asks % "c"))
    after = following(before, resources(routes(asks % "d")))
    assert (is_public(before, "c"), is_public(before, "d")) == (False, True)
    assert (is_public(after, "c"), is_public(after, "d")) == (True, False)


def test_another_name_of_a_service_sets_its_namespace_apart() -> None:
    alias = """
apiVersion: v1
kind: Service
metadata: {name: alias, namespace: b}
spec: {type: ExternalName, externalName: %s}
"""
    found = mesh(alias % "one.a.svc.cluster.local")
    assert not is_public(found, "b")
    assert is_public(found, "a")
    assert is_public(mesh(alias % "elsewhere.example.com"), "b")


def test_a_sidecar_sets_its_namespace_apart() -> None:
    sidecar = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: a}
spec: {egress: [{hosts: ["*/*"]}]}
"""
    found = mesh(sidecar)
    assert not is_public(found, "a")
    assert is_public(found, "b")
    assert not is_public(mesh(sidecar.replace("namespace: a", "namespace: istio-system")), "b")


def test_labels_count_where_they_are_selected_as_they_are() -> None:
    selecting = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: some, namespace: a}
spec: {workloadSelector: {labels: {app: x}}, egress: [{hosts: ["./*"]}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: some, namespace: a}
spec: {selector: {matchLabels: {version: v1}}, mtls: {mode: STRICT}}
"""
    failover = rule(
        "host: one, trafficPolicy: {loadBalancer: {localityLbSetting: {failoverPriority: [rack]}},"
        " outlierDetection: {}}"
    )
    found = mesh(selecting, failover)

    def kept(**labels: str) -> dict[str, str]:
        view = View(role=Role.SIDECAR, namespace="a", labels=tuple(sorted(labels.items())))
        return dict(found.common(view).labels)

    assert kept(app="x", version="v1", rack="1") == {"app": "x", "rack": "1"}
    assert kept(app="y", version="v1", rack="2") == {"rack": "2"}
