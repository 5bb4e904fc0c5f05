from datetime import UTC, datetime, timedelta

import pytest

from rhumb.base.errors import RhumbError
from rhumb.ca.authority import make_root
from rhumb.identity.spiffe import SpiffeId
from rhumb.identity.trust import TrustBundle, TrustDomains

NOW = datetime(2030, 1, 1, tzinfo=UTC)
MESH = TrustDomains.of("new.example", "old.example", "older.example")
CART = SpiffeId.of("new.example", "shop", "cart")


def _root() -> TrustBundle:
    return make_root(organization="test", now=NOW, life=timedelta(days=1)).roots


def test_an_identity_is_the_same_under_every_alias() -> None:
    old = SpiffeId.of("old.example", "shop", "cart")
    assert MESH.is_same(CART, old)
    assert MESH.under_own_name(old) == CART


def test_a_foreign_trust_domain_stays_foreign() -> None:
    foreign = SpiffeId.of("other.example", "shop", "cart")
    assert not MESH.trusts(foreign)
    assert not MESH.is_same(CART, foreign)


def test_a_trust_domain_must_be_well_formed() -> None:
    with pytest.raises(RhumbError, match="not a trust domain"):
        TrustDomains.of("ok", "Not Ok")


def test_a_bundle_holds_each_root_once_in_order() -> None:
    one, two = _root(), _root()
    both = one.plus(two).plus(one)
    assert [r.fingerprint for r in both.roots] == [
        one.roots[0].fingerprint,
        two.roots[0].fingerprint,
    ]
    assert TrustBundle.parse(both.pem) == both
    assert one.roots[0] in both
    assert one.roots[0] not in two


def test_a_text_without_certificates_is_no_bundle() -> None:
    with pytest.raises(RhumbError, match="no PEM"):
        TrustBundle.parse("nothing")
