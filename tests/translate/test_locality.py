"""Which endpoints come first for whom; single rules. Whole clusters: the golden case `locality`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhumb.ir.endpoint import LbEndpoint
from rhumb.model.endpoint import Endpoint, Locality, Workload
from rhumb.model.kinds.destination_rule import (
    Distribute,
    Failover,
    LoadBalancer,
    LocalityLbSetting,
    ZoneAwareLbSetting,
)
from rhumb.model.kinds.mesh_config import MeshConfig
from rhumb.model.proxy import Role
from rhumb.model.service import Service
from rhumb.snapshot.snapshot import Mesh
from rhumb.snapshot.view import View
from rhumb.translate.locality import Placed, Preference, groups, is_weighted, preference

PLACES = st.builds(
    Locality,
    st.sampled_from(["", "east", "west"]),
    st.sampled_from(["", "1", "2"]),
    st.sampled_from(["", "a"]),
)


def service(distribution: str = "") -> Service:
    return Service(
        hostname="a.b", namespace="b", name="a", ports=(), traffic_distribution=distribution
    )


def placed(locality: str, address: str = "", weight: int = 1, **labels: str) -> Placed:
    address = address or locality
    workload = Workload(
        name="w",
        namespace="n",
        locality=Locality.parse(locality),
        labels=tuple(sorted(labels.items())),
        network=labels.get("network", ""),
    )
    source = Endpoint(address=address, port=1, service_port=1, workload=workload, weight=weight)
    return Placed(source, LbEndpoint(address=address, port=1, weight=weight))


def view(locality: str, network: str = "", **labels: str) -> View:
    return View(
        role=Role.SIDECAR,
        namespace="n",
        locality=Locality.parse(locality),
        network=network,
        labels=tuple(sorted(labels.items())),
    )


def order(
    found: list[Placed], client: View, wanted: Preference | None, *, detects: bool = True
) -> list[list[str]]:
    """Return the addresses by priority."""
    made: dict[int, list[str]] = {}
    for group in groups(found, client, wanted, detects=detects):
        made.setdefault(group.priority, []).extend(e.address for e in group.endpoints)
    assert sorted(made) == list(range(len(made)))
    return [made[priority] for priority in sorted(made)]


def test_another_network_comes_after_all_of_the_own_one() -> None:
    labels = ("topology.istio.io/network", "topology.kubernetes.io/region")
    found = [placed("east", "far", network="n2"), placed("west", "near", network="n1")]
    wanted = Preference(LocalityLbSetting(failover_priority=labels))
    assert order(found, view("east", "n1"), wanted) == [["near"], ["far"]]


def test_labels_do_not_outdo_what_is_known_of_a_place() -> None:
    wanted = preference(None, service("PreferClose"), Mesh())
    found = [placed("east", "far", network="n2"), placed("east", "near", network="n1")]
    client = view("east", "n1", **{"topology.istio.io/network": "n2"})
    assert order(found, client, wanted) == [["near"], ["far"]]


def test_nothing_fails_over_that_nothing_can_find_ill() -> None:
    found = [placed("east"), placed("west")]
    plain = Preference(LocalityLbSetting())
    assert order(found, view("east"), plain) == [["east"], ["west"]]
    assert order(found, view("east"), plain, detects=False) == [["east", "west"]]
    forced = Preference(LocalityLbSetting(), is_forced=True)
    assert order(found, view("east"), forced, detects=False) == [["east"], ["west"]]


def test_shares_go_to_whole_patterns_and_the_exact_one_first() -> None:
    found = [placed("east/1", weight=3), placed("east/2", weight=1), placed("west/1")]
    setting = LocalityLbSetting(
        distribute=(Distribute(from_="*", to={"east/*": 60, "east/1": 40}),)
    )
    made = groups(found, view("west"), Preference(setting), detects=False)
    assert [(str(g.locality), g.weight) for g in made] == [("east/1", 40), ("east/2", 60)]


def test_a_client_that_no_share_is_for_sees_all_alike() -> None:
    setting = LocalityLbSetting(distribute=(Distribute(from_="north", to={"east": 100}),))
    found = [placed("east"), placed("west")]
    assert order(found, view("west"), Preference(setting)) == [["east", "west"]]


@pytest.mark.parametrize(
    ("balancer", "distribution", "mesh", "expected"),
    [
        (None, "", None, Preference(LocalityLbSetting())),
        (None, "", LocalityLbSetting(enabled=False), None),
        (LoadBalancer(locality_lb_setting=LocalityLbSetting(enabled=False)), "", None, None),
        (LoadBalancer(), "", LocalityLbSetting(enabled=False), None),
        (
            LoadBalancer(zone_aware_lb_setting=ZoneAwareLbSetting()),
            "PreferClose",
            None,
            Preference(zones=ZoneAwareLbSetting()),
        ),
    ],
)
def test_the_rule_counts_before_the_service_before_the_mesh(
    balancer: LoadBalancer | None,
    distribution: str,
    mesh: LocalityLbSetting | None,
    expected: Preference | None,
) -> None:
    config = Mesh(config=MeshConfig(locality_lb_setting=mesh))
    assert preference(balancer, service(distribution), config) == expected


def test_a_service_that_prefers_its_zone_needs_no_outlier_detection() -> None:
    wanted = preference(
        None, service("PreferClose"), Mesh(config=MeshConfig(locality_lb_setting=None))
    )
    assert wanted is not None
    assert wanted.is_forced
    assert is_weighted(wanted, detects=False)
    found = [placed("east/1"), placed("east/2"), placed("west/1")]
    assert order(found, view("east/1"), wanted, detects=False) == [
        ["east/1"],
        ["east/2"],
        ["west/1"],
    ]


@given(st.lists(PLACES, min_size=1, max_size=8), PLACES, st.booleans())
def test_no_endpoint_is_lost_or_doubled(
    places: list[Locality], mine: Locality, zones: bool
) -> None:
    found = [placed(str(place), f"e{at}") for at, place in enumerate(places)]
    setting = LocalityLbSetting(failover=(Failover(from_="east", to="west"),))
    wanted = Preference(zones=ZoneAwareLbSetting()) if zones else Preference(setting)
    made = order(found, view(str(mine)), wanted)
    assert sorted(a for group in made for a in group) == sorted(p.endpoint.address for p in found)
