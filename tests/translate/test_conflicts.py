"""Two objects that want one thing: the winner is Istio's, the loser is told."""

import pytest

from rhumb.testing.world import resources, world
from rhumb.translate.conflicts import findings

OLD = 'creationTimestamp: "2020-01-01T00:00:00Z"'
NEW = 'creationTimestamp: "2021-01-01T00:00:00Z"'


def told(*texts: str) -> list[tuple[str, str, str]]:
    """Return who is told, of which field, and what."""
    return [(str(f.key), f.field, f.message) for f in findings(world(resources(*texts)))]


def sidecar(name: str, created: str, labels: str = "", namespace: str = "default") -> str:
    selector = f"workloadSelector: {{labels: {labels}}}" if labels else ""
    return f"""
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: {name}, namespace: {namespace}, {created}}}
spec:
  {selector}
  egress: [{{hosts: ["*/*"]}}]
"""


def test_of_sidecars_for_a_whole_namespace_the_oldest_is_in_force() -> None:
    ((who, _, what),) = told(sidecar("b", OLD), sidecar("a", NEW))
    assert who == "Sidecar default/a"
    assert what == "has no effect: Sidecar default/b is for the whole namespace and older"
    assert told(sidecar("a", OLD), sidecar("a", NEW, namespace="other")) == []
    assert told(sidecar("a", OLD), sidecar("b", NEW, "{app: x}")) == []


def test_of_sidecars_for_the_same_workloads_the_oldest_is_in_force() -> None:
    ((who, field, what),) = told(sidecar("b", OLD, "{app: x}"), sidecar("a", NEW, "{app: x}"))
    assert (who, field) == ("Sidecar default/a", "spec.workloadSelector")
    assert "Sidecar default/b is for the same workloads" in what


def route(name: str, created: str, host: str, more: str = "", namespace: str = "default") -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: {namespace}, {created}}}
spec:
  hosts: [other.example.com, {host}]
  {more}
  http: [{{route: [{{destination: {{host: a.example.com}}}}]}}]
"""


def test_of_virtual_services_for_one_host_the_first_routes_alone() -> None:
    found = told(
        route("late", NEW, "Shop.example.com"),
        route("early", OLD, "shop.example.com").replace("other.", "another."),
    )
    ((who, field, what),) = found
    assert (who, field) == ("VirtualService default/late", "spec.hosts[1]")
    assert 'host "shop.example.com" is routed by VirtualService default/early' in what


def test_what_is_private_to_the_namespace_comes_first() -> None:
    found = told(
        route("early", OLD, "shop.example.com").replace("other.", "another."),
        route("late", NEW, "shop.example.com", 'exportTo: ["."]'),
    )
    assert [who for who, _, _ in found] == ["VirtualService default/early"]


def test_at_gateways_the_routes_of_one_host_are_joined() -> None:
    more = "gateways: [gw]"
    assert (
        told(route("a", OLD, "x.example.com", more), route("b", NEW, "x.example.com", more)) == []
    )


def rule(name: str, created: str, more: str, host: str = "shop") -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {name}, namespace: default, {created}}}
spec: {{host: {host}, {more}}}
"""


def test_destination_rules_of_one_host_lose_what_an_older_one_says() -> None:
    found = told(
        rule("late", NEW, "subsets: [{name: v1}, {name: v2}], trafficPolicy: {tls: {mode: DISABLE}}"),
        rule("early", OLD, "subsets: [{name: v1}], trafficPolicy: {tls: {mode: SIMPLE}}",
             "shop.default.svc.cluster.local"),
    )  # fmt: skip
    assert [(who, field) for who, field, _ in found] == [
        ("DestinationRule default/late", "spec.subsets[0]"),
        ("DestinationRule default/late", "spec.trafficPolicy"),
    ]
    assert "is defined by DestinationRule default/early" in found[0][2]


def test_destination_rules_that_complete_each_other_are_fine() -> None:
    late = rule("late", NEW, "subsets: [{name: v2}]")
    early = rule("early", OLD, "trafficPolicy: {tls: {mode: SIMPLE}}")
    assert told(late, early) == []


def entry(name: str, created: str, port: str, address: str = "", how: str = "STATIC") -> str:
    addresses = f"addresses: [{address}]" if address else ""
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: default, {created}}}
spec:
  hosts: [{name}.example.com]
  {addresses}
  resolution: {how}
  ports: [{port}]
"""


TCP = "{number: 3306, name: db, protocol: TCP}"


@pytest.mark.parametrize(("address", "how"), [("", "NONE"), ("10.1.1.1", "STATIC")])
def test_tcp_at_one_place_goes_to_the_older_service(address: str, how: str) -> None:
    ((who, field, what),) = told(
        entry("late", NEW, TCP, address, how), entry("early", OLD, TCP, address, how)
    )
    assert (who, field) == ("ServiceEntry default/late", "spec.ports[0]")
    assert what.startswith("connections to late.example.com:3306 go there: listener ")
    assert "is that of early.example.com, which is older" in what


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (entry("a", OLD, TCP, "10.1.1.1"), entry("b", NEW, TCP, "10.1.1.2")),
        (entry("a", OLD, TCP), entry("b", NEW, TCP)),  # by their automatic addresses
        (
            entry("a", OLD, TCP, how="NONE"),
            entry("b", NEW, TCP.replace("3306", "3307"), how="NONE"),
        ),
        (entry("a", OLD, TCP.replace("TCP", "HTTP")), entry("b", NEW, TCP.replace("TCP", "HTTP"))),
    ],
)
def test_what_can_be_told_apart_is_no_conflict(one: str, other: str) -> None:
    assert told(one, other) == []


def called(name: str, created: str, protocol: str, port: int = 80) -> str:
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default, {created}}}
spec:
  clusterIP: 10.2.2.{len(name)}
  selector: {{app: x}}
  ports: [{{name: {protocol}, port: {port}, targetPort: 8080}}]
"""


WORKLOAD = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: w, namespace: default}
spec: {address: 10.0.0.7, labels: {app: x}, serviceAccount: x}
"""


def test_a_port_of_a_workload_speaks_as_the_older_service_says() -> None:
    ((who, field, what),) = told(called("late", NEW, "tcp"), called("early", OLD, "http"), WORKLOAD)
    assert (who, field) == ("Service default/late", "spec.ports[0]")
    assert "its workloads take port 8080 as HTTP: early.default.svc.cluster.local" in what
    assert told(called("late", NEW, "http"), called("early", OLD, "http"), WORKLOAD) == []
    assert told(called("late", NEW, "tcp"), called("early", OLD, "http")) == []
