from rhumb.model.proxy import Role
from rhumb.model.service import Port, Protocol, Registry, Resolution, Service
from rhumb.snapshot.view import View
from rhumb.translate.routes.domains import Claimed, alternatives, of_service

HERE = View(role=Role.SIDECAR, namespace="default")
REVIEWS = Service(
    hostname="reviews.default.svc.cluster.local",
    namespace="default",
    name="reviews",
    ports=(Port(9080, "http", Protocol.HTTP),),
)


def test_short_names_are_valid_in_the_own_namespace_only() -> None:
    elsewhere = View(role=Role.SIDECAR, namespace="other")
    assert "reviews" in alternatives(REVIEWS.hostname, HERE)
    assert alternatives(REVIEWS.hostname, elsewhere) == (
        "reviews.default.svc.cluster.local.",
        "reviews.default.svc",
        "reviews.default",
    )


def test_hosts_outside_the_mesh_have_only_their_absolute_spelling() -> None:
    assert alternatives("api.example.com", HERE) == ("api.example.com.",)
    assert alternatives("10.0.0.1", HERE) == ()


def test_addresses_and_aliases_are_domains_and_ranges_are_not() -> None:
    found, _ = of_service(REVIEWS, ["other.name"], ["10.1.0.1", "10.0.0.0/8", "2001::1"], HERE, 0)
    assert "10.1.0.1" in found
    assert "[2001::1]" in found
    assert "10.0.0.0/8" not in found
    assert "other.name" in found


def test_a_port_can_be_part_of_each_domain() -> None:
    found, _ = of_service(REVIEWS, [], ["10.1.0.1"], HERE, 9080)
    assert {"reviews:9080", "10.1.0.1:9080", "reviews"} <= set(found)


def test_instances_of_headless_services_can_be_named() -> None:
    headless = Service(
        hostname=REVIEWS.hostname,
        namespace="default",
        name="reviews",
        ports=REVIEWS.ports,
        headless=True,
        resolution=Resolution.PASSTHROUGH,
        registry=Registry.KUBERNETES,
    )
    assert "*.reviews.default.svc.cluster.local" in of_service(headless, [], [], HERE, 0)[0]


def test_no_domain_is_given_twice_whatever_its_case() -> None:
    claimed = Claimed([])
    assert claimed.claim(["A.com", "b.com"]) == ("A.com", "b.com")
    assert claimed.claim(["a.COM", "c.com"]) == ("c.com",)


def test_a_spelling_never_takes_the_name_of_another_service() -> None:
    claimed = Claimed(["foo.com"])
    assert claimed.claim(["foo.com.cluster.local", "foo.com"], spellings=["foo.com"]) == (
        "foo.com.cluster.local",
    )
    assert claimed.claim(["foo.com"]) == ("foo.com",)
