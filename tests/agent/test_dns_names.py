"""Which names the mesh knows, and in which form."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.agent.dns_hosts import service, table

from rhumb.agent.dns_names import Host, expand


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("reviews", "10.0.0.1"),
        ("reviews.books", "10.0.0.1"),
        ("reviews.books.svc", "10.0.0.1"),
        ("reviews.books.svc.cluster.local", "10.0.0.1"),
        ("reviews.other", "10.0.0.2"),
        ("db-0.db", "172.16.0.1"),
        ("db-0.db.books.svc.cluster.local", "172.16.0.1"),
        ("api.example.com", "240.240.0.9"),
        ("x.example.com", "240.240.0.10"),
        ("x.y.example.com", "240.240.0.10"),
        ("x.deep.example.com", "240.240.0.11"),
        ("deep.example.com", "240.240.0.10"),
        ("api.example.com.books.svc.cluster.local", "240.240.0.9"),
        ("x.example.com.svc.cluster.local", "240.240.0.10"),
        ("reviews.other.svc.cluster.local", "10.0.0.2"),
    ],
)
def test_names_that_are_known(name: str, address: str) -> None:
    found = table().find(name)
    assert found is not None
    assert found.addresses[0] == address


@pytest.mark.parametrize(
    "name",
    [
        "ratings",
        "example.com",
        "reviews.svc.cluster.local",
        "reviews.books.books.svc.cluster.local",
        "reviews.books.svc.svc.cluster.local",
        "reviews.books.svc.cluster.local.example.org",
        "",
    ],
)
def test_names_that_are_nobodys(name: str) -> None:
    assert table().find(name) is None


def test_short_names_are_of_the_own_namespace() -> None:
    found = table("other").find("reviews")
    assert found is not None
    assert found.addresses == ("10.0.0.2",)
    assert table("third").find("reviews") is None
    assert table("other").find("db-0.db") is None


def test_a_full_name_is_never_hidden_by_a_short_one() -> None:
    hosts = (service("web", "shop", "1.1.1.1"), Host(name="web.shop", addresses=("2.2.2.2",)))
    found = expand(hosts, "shop", "cluster.local").find("web.shop")
    assert found is not None
    assert found.addresses == ("2.2.2.2",)


labels = st.text("ab", min_size=1, max_size=2)
domains = st.sampled_from(["example.com", "a.b", "svc", "cluster.local"])


@st.composite
def hosts(draw: st.DrawFn) -> Host:
    name, namespace = draw(labels), draw(st.sampled_from(["books", "other"]))
    address = draw(st.integers(1, 250).map(lambda n: f"10.0.0.{n}"))
    if draw(st.booleans()):
        return service(name, namespace, address)
    star = "*." if draw(st.booleans()) else ""
    return Host(name=f"{star}{name}.{draw(domains)}", addresses=(address,))


@settings(deadline=None)
@given(st.lists(hosts(), max_size=8, unique_by=lambda h: h.name), labels)
def test_whatever_the_hosts_each_is_found_by_its_full_name(found: list[Host], label: str) -> None:
    names = expand(found, "books", "cluster.local")
    exact = {h.name: h for h in found if not h.name.startswith("*.")}
    for host in found:
        if host.name in exact:
            told = names.find(host.name)
            assert told is not None
            assert (told.name, told.addresses) == (host.name, host.addresses)
            continue
        told = names.find(f"{label}{host.name[1:]}")
        assert told is not None, "some wildcard, or a host that is written out, has it"
    stranger = names.find(f"{label}.never")
    assert stranger is None
