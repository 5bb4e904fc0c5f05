"""A proxy comes back with what it holds, and asks for one type after the other: nothing in use is taken away."""

import pytest

from rhumb.ads.channel import State
from rhumb.cache.tables import Table
from rhumb.cache.versions import Difference, Differences, Names
from rhumb.snapshot.build import World
from rhumb.testing.ads import ACK_TIMEOUT_S, Link, views_of
from rhumb.testing.fake_envoy import APART, CDS, EDS, METADATA, RDS, VHDS, FakeEnvoy, sidecar
from rhumb.testing.world import resources, sends, service_entry, world


def mesh(to: str) -> World:
    """Return a mesh where a's requests go to a service that is there for that alone."""
    return world(resources(service_entry("a"), service_entry(to), sends("a", to)))


def cluster(name: str) -> str:
    return f"outbound|9080||{name}.example"


def settled(metadata: dict[str, str]) -> FakeEnvoy:
    """Return a proxy that has all of a mesh where b gets the requests."""
    envoy = FakeEnvoy(sidecar(), metadata)
    Link(views_of(mesh("b")), envoy).settle()
    assert cluster("b") in envoy.active
    assert envoy.dangling() == []
    envoy.responses.clear()
    return envoy


@pytest.mark.parametrize("burst", [False, True])
@pytest.mark.parametrize("metadata", [METADATA, APART])
def test_a_cluster_goes_after_the_routes_that_used_it(
    metadata: dict[str, str], burst: bool
) -> None:
    envoy = settled(metadata)
    link = Link(views_of(mesh("c")), envoy, one_by_one=True)

    def nothing_is_lost() -> None:
        assert envoy.dangling() == []

    link.settle(nothing_is_lost, burst=burst)
    fresh = FakeEnvoy(sidecar(), metadata)
    Link(link.views, fresh).settle()
    assert envoy.held == fresh.held
    removals = [(kind, removed) for kind, _, removed in envoy.responses if removed]
    assert (CDS, (cluster("b"),)) in removals


@pytest.mark.parametrize("metadata", [METADATA, APART])
def test_who_asks_for_no_routes_again_loses_a_cluster_in_time(metadata: dict[str, str]) -> None:
    envoy = settled(metadata)
    envoy._asked = [kind for kind in envoy._asked if kind not in (RDS, VHDS)]
    link = Link(views_of(mesh("c")), envoy, one_by_one=True)
    link.settle()
    assert cluster("b") in envoy.held[CDS]
    assert link.connection.holds_back
    (until,) = link.connection.deadlines()
    assert until == link.now + ACK_TIMEOUT_S
    link.now = until
    link.settle()
    assert cluster("b") not in envoy.held[CDS]
    assert link.connection.deadlines() == []
    assert not link.connection.holds_back


class Sparing(Differences):
    """Spells no response with everything."""

    def between(self, before: Table | None, after: Table, names: Names | None) -> Difference:
        """Return a difference from something."""
        assert before is not None
        return super().between(before, after, names)


def test_nothing_that_is_held_is_spelled_again() -> None:
    envoy = settled(APART)
    assert Link(views_of(mesh("b")), envoy, Sparing()).settle() == 0


def test_full_states_that_are_held_are_not_sent_again() -> None:
    envoy = FakeEnvoy(sidecar(), METADATA, delta=False)
    Link(views_of(mesh("b")), envoy).settle()
    before = {kind: envoy.texts(kind) for kind in envoy.held}
    envoy.responses.clear()
    link = Link(views_of(mesh("b")), envoy, one_by_one=True)
    assert link.settle() == 0
    assert {row.state for row in link.connection.status(link.views)} == {State.SYNCED}
    # What it has was accepted: it is what a refused one is replaced by.
    to_c = cluster("c").encode()
    envoy.reject = lambda kind, name, value: f"{name}: no" * (kind is RDS and to_c in value)
    assert link.connection.view is not None
    link.publish(link.views.following(mesh("c"), {link.connection.view}))
    link.settle()
    assert envoy.texts(RDS) == before[RDS]
    assert {kind for kind, _, _ in envoy.responses} >= {CDS, RDS}
    assert len(envoy.rejected) == 1
    assert [names for kind, names, _ in envoy.responses if kind is RDS] == [("9080",)] * 2


def test_full_states_of_other_names_or_other_content_are_sent() -> None:
    envoy = FakeEnvoy(sidecar(), METADATA, delta=False)
    Link(views_of(mesh("b")), envoy).settle()
    envoy.responses.clear()
    envoy.names[EDS] = envoy.names[EDS] | {"nowhere"}
    Link(views_of(mesh("b")), envoy, one_by_one=True).settle()
    assert [kind for kind, _, _ in envoy.responses] == [EDS]
    envoy.responses.clear()
    Link(views_of(mesh("c")), envoy, one_by_one=True).settle()
    assert {kind for kind, _, _ in envoy.responses} == {CDS, EDS, RDS}
