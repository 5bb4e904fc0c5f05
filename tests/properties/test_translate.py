"""What must hold for every configuration: order does not matter, no name dangles, values are keys."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhumb.encode.dispatch import encode
from rhumb.ir.cluster import Cluster
from rhumb.ir.listener import Listener, TcpProxy
from rhumb.ir.route import Forward, RouteConfiguration
from rhumb.model.proxy import Role
from rhumb.model.resource import Resource
from rhumb.snapshot.view import View
from rhumb.testing.world import proxy, resources, world
from rhumb.translate.proxy import Value
from rhumb.translate.proxy import resources as translated
from rhumb.xds.types import XdsType

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = sorted(p.parent.name for p in GOLDEN.glob("*/input.yaml"))
TYPES = (XdsType.CDS, XdsType.LDS, XdsType.RDS)
UNKNOWN = {
    # Destinations that the cases name although nothing of the kind exists: these answer 503.
    "outbound|99||unknown.default.svc.cluster.local",
    "outbound|80|none|web.default.svc.cluster.local",
    "outbound|80|v9|copy.other.svc.cluster.local",
    "outbound|5432||other.default.svc.cluster.local",
}


def _read(case: str) -> tuple[Resource, ...]:
    return resources((GOLDEN / case / "input.yaml").read_text())


def _views(found: tuple[Resource, ...]) -> Iterator[tuple[View, dict[XdsType, tuple[Value, ...]]]]:
    snapshot = world(found)
    for said in (
        proxy(address="10.0.0.3", labels={"app": "reviews"}),
        proxy(address="10.0.0.40", labels={"app": "app"}),
        proxy(address="10.0.0.50", labels={"app": "web"}),
        proxy(role=Role.ROUTER, address="10.0.0.2", labels={"istio": "ingressgateway"}),
    ):
        view = snapshot.view(said)
        yield view, {kind: translated(snapshot, view, kind) for kind in TYPES}


@pytest.mark.parametrize("case", CASES)
def test_the_order_of_the_input_does_not_matter(case: str) -> None:
    found = _read(case)
    expected = list(_views(found))
    for seed in range(3):
        shuffled = list(found)
        random.Random(seed).shuffle(shuffled)
        assert list(_views(tuple(shuffled))) == expected


@pytest.mark.parametrize("case", CASES)
def test_no_name_dangles(case: str) -> None:
    for _, made in _views(_read(case)):
        clusters = {v.name for v in made[XdsType.CDS] if isinstance(v, Cluster)}
        routes = {v.name for v in made[XdsType.RDS] if isinstance(v, RouteConfiguration)}
        asked, used = set(), set()
        for listener in made[XdsType.LDS]:
            assert isinstance(listener, Listener)
            found_routes, found_clusters = _named(listener)
            asked |= found_routes
            used |= found_clusters
        for table in made[XdsType.RDS]:
            assert isinstance(table, RouteConfiguration)
            used |= _targets(table)
        assert asked == routes
        assert used - clusters <= UNKNOWN


@pytest.mark.parametrize("case", CASES)
def test_names_are_unique_and_values_are_keys(case: str) -> None:
    for _, made in _views(_read(case)):
        for values in made.values():
            spelled = [encode(value) for value in values]
            names = [name for name, _, _ in spelled]
            assert len(set(names)) == len(names)
            assert len({hash(value) for value in values}) == len(values)
    again = [encode(v) for _, made in _views(_read(case)) for vs in made.values() for v in vs]
    assert again == [
        encode(v) for _, made in _views(_read(case)) for vs in made.values() for v in vs
    ]


@pytest.mark.parametrize("case", CASES)
def test_chains_of_a_listener_and_domains_of_a_table_are_distinct(case: str) -> None:
    for _, made in _views(_read(case)):
        for listener in made[XdsType.LDS]:
            assert isinstance(listener, Listener)
            matches = [chain.match for chain in listener.chains]
            assert len(set(matches)) == len(matches)
        for table in made[XdsType.RDS]:
            assert isinstance(table, RouteConfiguration)
            domains = [d.lower() for v in table.virtual_hosts for d in v.domains]
            assert len(set(domains)) == len(domains)


def _named(listener: Listener) -> tuple[set[str], set[str]]:
    routes, clusters = set(), set()
    chains = list(listener.chains)
    if listener.default_chain is not None:
        chains.append(listener.default_chain)
    for chain in chains:
        if isinstance(chain.filter, TcpProxy):
            clusters |= {t.cluster for t in chain.filter.targets}
        elif chain.filter.rds:
            routes.add(chain.filter.rds)
        elif chain.filter.routes is not None:
            clusters |= _targets(chain.filter.routes)
    return routes, clusters


def _targets(table: RouteConfiguration) -> set[str]:
    found = set()
    for virtual_host in table.virtual_hosts:
        for route in virtual_host.routes:
            if isinstance(route.action, Forward):
                found |= {t.cluster for t in route.action.targets}
                found |= {m.cluster for m in route.action.mirrors}
    return found


_PORTS = st.lists(
    st.tuples(
        st.sampled_from([80, 443, 3306, 9000]),
        st.sampled_from(["http", "tcp", "tls", "", "grpc", "mongo", "https"]),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda pair: pair[0],
)
_SERVICES = st.lists(
    st.tuples(st.sampled_from(["None", "10.1.0.1", "10.1.0.2", "10.1.0.3"]), _PORTS),
    min_size=1,
    max_size=5,
)


@settings(max_examples=40, deadline=None)
@given(_SERVICES, st.randoms(use_true_random=False))
def test_any_mix_of_protocols_gives_distinct_listeners_and_chains(
    services: list[tuple[str, list[tuple[int, str]]]], chance: random.Random
) -> None:
    texts = []
    for number, (address, ports) in enumerate(services):
        listed = ", ".join(
            f"{{name: {name + '-' if name else 'p'}{port}, port: {port}}}" for port, name in ports
        )
        texts.append(
            f"apiVersion: v1\nkind: Service\nmetadata: {{name: s{number}, namespace: default}}\n"
            f'spec: {{clusterIP: "{address}", selector: {{app: s}}, ports: [{listed}]}}\n'
        )
    found = list(resources(*texts))
    before = list(_views(tuple(found)))
    chance.shuffle(found)
    assert list(_views(tuple(found))) == before
    for _, made in before:
        names = [v.name for v in made[XdsType.LDS] if isinstance(v, Listener)]
        assert len(set(names)) == len(names)
        for listener in made[XdsType.LDS]:
            assert isinstance(listener, Listener)
            matches = [chain.match for chain in listener.chains]
            assert len(set(matches)) == len(matches)
            assert encode(listener)
