"""What Istio's push context counts of a mesh, in a mesh where each of it is there once."""

from rhumb.ads.conditions import Conditions
from rhumb.model.proxy import Proxy
from rhumb.snapshot.build import World
from rhumb.snapshot.view import View
from rhumb.testing.world import following, resources, world

SERVICES = """
apiVersion: v1
kind: Service
metadata: {name: %s}
spec: {clusterIP: 10.96.0.%d, selector: {app: a}, ports: [{name: %s, port: %d, targetPort: %d}]}
"""
WORKLOAD = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: a-1}
spec: {address: 10.0.0.1, labels: {app: a, version: v1}}
"""
ROUTES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: %s}
spec: {hosts: [%s], http: [{route: [{destination: {host: a}}]}]}
"""
RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: %s}
spec: {host: a, subsets: [{name: %s, labels: {version: v1}}]}
"""
ELSEWHERE = """
apiVersion: v1
kind: Service
metadata: {name: alias}
spec: {type: ExternalName, externalName: a.default.svc.cluster.local}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: any}
spec: {hosts: [any.example], resolution: NONE, ports: [{number: 80, name: http, protocol: HTTP}]}
"""
"""Services whose endpoints nobody has to know."""
NAMES = (
    "pilot_eds_no_instances",
    "pilot_endpoint_not_ready",
    "pilot_conflict_outbound_listener_tcp_over_current_tcp",
    "pilot_conflict_inbound_listener",
    "pilot_vservice_dup_domain",
    "pilot_destrule_subsets",
)


def counted(found: World, conditions: Conditions | None = None) -> dict[str, float]:
    addresses = (("10.0.0.1", {"app": "a"}), ("10.0.0.2", {"app": "client"}))
    served = frozenset(
        found.view(
            Proxy.parse(f"sidecar~{at}~x.default~default.svc.cluster.local", {"LABELS": labels})
        )
        for at, labels in addresses
    )
    gauges = (conditions or Conditions()).gauges(found, served)
    assert all(text and not labels for _, text, labels, _ in gauges)
    return {name: value for name, _, _, value in gauges}


def test_a_mesh_without_conflicts_counts_none() -> None:
    found = world(
        resources(
            SERVICES % ("a", 1, "http", 80, 8080),
            SERVICES % ("b", 2, "http", 80, 8081),
            WORKLOAD,
            ROUTES % ("a", "a"),
            ROUTES % ("b", "b"),
            RULE % ("one", "v1"),
            RULE % ("two", "v2"),
        )
    )
    assert counted(found) == dict.fromkeys(NAMES, 0)


def test_two_services_at_one_port_of_a_workload_are_an_inbound_conflict() -> None:
    texts = [SERVICES % (name, at, "http", 80, 8080) for at, name in enumerate("abc", 1)]
    found = counted(world(resources(*texts, WORKLOAD)))
    assert found == dict.fromkeys(NAMES, 0) | {"pilot_conflict_inbound_listener": 2}


def test_two_ports_of_one_service_at_one_port_of_a_workload_are_none() -> None:
    text = SERVICES % ("a", 1, "http", 80, 8080)
    text = text.replace("ports: [", "ports: [{name: more, port: 81, targetPort: 8080}, ")
    assert counted(world(resources(text, WORKLOAD))) == dict.fromkeys(NAMES, 0)


def test_a_host_that_two_route_is_counted_once() -> None:
    routes = [ROUTES % (name, "a") for name in ("one", "two", "three")]
    found = counted(world(resources(SERVICES % ("a", 1, "http", 80, 8080), WORKLOAD, *routes)))
    assert found == dict.fromkeys(NAMES, 0) | {"pilot_vservice_dup_domain": 1}


def test_a_subset_that_two_rules_define_is_counted_by_host() -> None:
    rules = [RULE % (name, "v1") for name in ("one", "two", "three")]
    found = counted(world(resources(SERVICES % ("a", 1, "http", 80, 8080), WORKLOAD, *rules)))
    assert found == dict.fromkeys(NAMES, 0) | {"pilot_destrule_subsets": 1}


def test_two_tcp_services_at_one_address_are_an_outbound_conflict() -> None:
    texts = [SERVICES % (name, 1, "tcp", 80, port) for name, port in (("a", 8080), ("b", 8081))]
    found = counted(world(resources(*texts, WORKLOAD)))
    assert found == dict.fromkeys(NAMES, 0) | {
        "pilot_conflict_outbound_listener_tcp_over_current_tcp": 1
    }


def test_services_without_workloads_are_counted() -> None:
    found = counted(world(resources(SERVICES % ("a", 1, "http", 80, 8080), ELSEWHERE)))
    assert found == dict.fromkeys(NAMES, 0) | {"pilot_eds_no_instances": 1}


def test_workloads_that_are_ill_are_counted() -> None:
    ill = WORKLOAD + 'status: {conditions: [{type: Healthy, status: "False"}]}\n'
    found = counted(world(resources(SERVICES % ("a", 1, "http", 80, 8080), ill)))
    assert found == dict.fromkeys(NAMES, 0) | {"pilot_endpoint_not_ready": 1}


def test_one_world_is_counted_once() -> None:
    conditions = Conditions()
    found = world(resources(SERVICES % ("a", 1, "http", 80, 8080)))
    counted(found, conditions)
    nobody = frozenset[View]()
    assert conditions.gauges(found, nobody) is conditions.gauges(found, nobody)
    assert counted(following(found, resources(WORKLOAD)), conditions)["pilot_eds_no_instances"] == 0


def test_who_connects_later_is_counted_too() -> None:
    texts = [SERVICES % (name, at, "http", 80, 8080) for at, name in enumerate("ab", 1)]
    conditions = Conditions()
    found = world(resources(*texts, WORKLOAD))
    assert ("pilot_conflict_inbound_listener", 0) in {
        (name, value) for name, _, _, value in conditions.gauges(found, frozenset())
    }
    assert counted(found, conditions)["pilot_conflict_inbound_listener"] == 1
