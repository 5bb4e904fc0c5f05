"""Automatic addresses: unique, stable, no matter the order."""

import ipaddress
import random

from hypothesis import given
from hypothesis import strategies as st

from rhumb.registry.addresses import Rank, allocate

names = st.text("abcdefgh.-/", min_size=1, max_size=12)
ranks = st.tuples(st.booleans(), st.sampled_from(["", "2024-01-01", "2025-01-01"]))
wanted = st.dictionaries(names, ranks, max_size=60)


@given(wanted)
def test_addresses_are_unique_and_of_the_range(hosts: dict[str, Rank]) -> None:
    found = allocate(hosts)
    assert found.keys() == hosts.keys()
    assert len(set(found.values())) == len(found)
    network = ipaddress.ip_network("240.240.0.0/16")
    for v4, v6 in found.values():
        assert ipaddress.ip_address(v4) in network
        assert v4.rsplit(".", 1)[1] not in ("0", "255")
        assert ipaddress.ip_address(v6) in ipaddress.ip_network("2001:2::/48")
        assert str(ipaddress.ip_address(v6)) == v6


def test_addresses_that_others_gave_are_not_given_again() -> None:
    (first,) = allocate({"ns/host": (True, "")}).values()
    (second,) = allocate({"ns/host": (True, "")}, [first[0], "10.0.0.1", "no address"]).values()
    assert second != first


@given(wanted, st.randoms(use_true_random=False))
def test_the_order_of_input_does_not_matter(hosts: dict[str, Rank], shuffle: random.Random) -> None:
    items = list(hosts.items())
    shuffle.shuffle(items)
    assert allocate(dict(items)) == allocate(hosts)


def test_a_younger_host_never_moves_an_older_one() -> None:
    old: dict[str, Rank] = {f"ns/host-{i}": (False, "2024") for i in range(5000)}
    young: dict[str, Rank] = {f"ns/late-{i}": (False, "2025") for i in range(5000)}
    before = allocate(old)
    after = allocate({**young, **old})
    assert {host: after[host] for host in old} == before
    assert len(set(after.values())) == 10_000  # so many that first choices did collide


def test_a_full_range_gives_nothing_rather_than_something_twice() -> None:
    hosts: dict[str, Rank] = {f"n/{i}": (True, "") for i in range(65_100)}
    found = allocate(hosts)
    assert len(found) == 256 * 254
    assert len(set(found.values())) == len(found)
