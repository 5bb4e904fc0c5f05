"""What goes and comes back, or never comes, while a client is being told: nothing is lost, nobody waits for it."""

from rhumb.snapshot.build import World
from rhumb.testing.ads import Link, views_of
from rhumb.testing.fake_envoy import APART, CDS, LDS, METADATA, RDS, VHDS, FakeEnvoy, sidecar
from rhumb.testing.world import resources, sends, service_entry, world


def mesh(*names: str, apart: str = "", to: str = "a") -> World:
    """Return a mesh of services on one port, of others on another (a letter each), and where a's requests go."""
    services = [service_entry(name) for name in names]
    services += [service_entry(name, port=9081) for name in apart]
    return world(resources(*services, sends("a", to)))


def publish(link: Link, changed: World) -> None:
    """Serve another mesh, as a control plane does that goes on."""
    assert link.connection.view is not None
    link.publish(link.views.following(changed, {link.connection.view}))


def take(link: Link) -> str:
    """Pass one response and what the client says to it; return its type's short name."""
    response = link.next()
    assert response is not None
    for request in link.envoy.receive(response):
        link.hear(request)
    return link.envoy.responses[-1][0].short


def test_a_virtual_host_that_is_back_before_anything_was_said_is_sent_again() -> None:
    envoy = FakeEnvoy(sidecar(), APART)
    link = Link(views_of(mesh("a", apart="bc")), envoy)
    link.settle()
    before = envoy.texts(VHDS)
    envoy.responses.clear()
    publish(link, mesh("a"))
    while take(link) != LDS.short:
        pass
    # The client has let go of the route, and of its hosts; nothing was said of these.
    assert not any(name.startswith("9081/") for name in envoy.held[VHDS])
    publish(link, mesh("a", apart="b"))
    while take(link) != RDS.short:
        pass
    assert VHDS not in {kind for kind, _, _ in envoy.responses}
    publish(link, mesh("a", apart="bc"))
    link.settle()
    assert envoy.texts(VHDS) == before


def test_nobody_waits_for_the_endpoints_of_a_cluster_that_has_gone() -> None:
    lost = "outbound|9080||c.example"
    envoy = FakeEnvoy(sidecar(), METADATA, reject=lambda _, name, __: "no" * (name == lost))
    link = Link(views_of(mesh("a", "b")), envoy)
    link.settle()
    envoy.responses.clear()
    publish(link, mesh("a", "b", "c", to="c"))
    link.settle()
    # It refused the cluster, asks for no endpoints of it, and its routes wait for these.
    assert {kind for kind, _, _ in envoy.responses} == {CDS}
    assert link.connection.deadlines() != []
    publish(link, mesh("a", "b", to="b"))
    link.settle()
    assert RDS in {kind for kind, _, _ in envoy.responses}
    assert link.connection.deadlines() == []
    assert envoy.dangling() == []
