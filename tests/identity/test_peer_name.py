"""The name of a workload in certificates and requests."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from rhumb.base.errors import RhumbError
from rhumb.ca.authority import make_root
from rhumb.ca.sign import Names, sign
from rhumb.identity import peer_name
from rhumb.identity.certificates import parse_chain
from rhumb.identity.spiffe import SpiffeId

PEER = "cart-v1;shop;cart;v1;cart;v1;Kubernetes"
CART = SpiffeId.of("cluster.local", "shop", "cart")


@given(st.text(max_size=peer_name.MAX_LENGTH // 4))
def test_what_is_written_is_read(text: str) -> None:
    names = x509.SubjectAlternativeName([x509.DNSName("a"), peer_name.other_name(text)])
    assert peer_name.read(names) == text


def test_absent_is_empty_and_other_kinds_of_names_are_not_ours() -> None:
    foreign = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x01a")
    assert peer_name.read(x509.SubjectAlternativeName([foreign])) == ""


@pytest.mark.parametrize(
    "value", [b"", b"\x0c", b"\x0c\x02a", b"\x0c\x81\x01a", b"\x13\x01a", b"\x0c\x01\xff"]
)
def test_what_is_no_single_utf8_string_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"is no single UTF8String|can't decode byte"):
        peer_name.read(x509.SubjectAlternativeName([x509.OtherName(peer_name.OID, value)]))


def test_two_names_or_an_endless_one_are_refused() -> None:
    twice = [peer_name.other_name("a"), peer_name.other_name("b")]
    with pytest.raises(ValueError, match="no single"):
        peer_name.read(x509.SubjectAlternativeName(twice))
    with pytest.raises(ValueError, match="longer than 1024"):
        peer_name.other_name("a" * 1025)


def test_the_certificate_carries_it_and_stays_one_spiffe_identity() -> None:
    now = datetime.now(UTC)
    root = make_root(organization="test", now=now, life=timedelta(days=1))
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    leaf = sign(root, key, Names.of(CART, PEER), now=now, life=timedelta(hours=1))
    (found,) = parse_chain(leaf.pem)
    assert (found.peer, found.identity) == (PEER, CART)


def test_a_name_of_another_namespace_is_refused() -> None:
    with pytest.raises(RhumbError, match="not of its namespace"):
        Names.of(CART, PEER.replace("shop", "bank"))
