from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from rhumb.ca.authority import make_root
from rhumb.ca.sign import Names, sign
from rhumb.identity.authenticate import (
    Credentials,
    Method,
    NoTokens,
    TokenGrant,
    UnauthenticatedError,
    authenticate,
)
from rhumb.identity.spiffe import SpiffeId
from rhumb.identity.trust import TrustDomains

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ROOT = make_root(organization="test", now=NOW, life=timedelta(days=10))
CART = SpiffeId.of("cluster.local", "shop", "cart")
TRUST = TrustDomains()


class OneToken:
    def verify(self, token: str, now: datetime) -> TokenGrant:
        if token != "good":
            raise UnauthenticatedError("unknown token")
        return TokenGrant(
            id="1", namespace="shop", service_account="cart", expires=now + timedelta(hours=1)
        )


def _der(names: Names) -> bytes:
    leaf = sign(
        ROOT,
        ec.generate_private_key(ec.SECP256R1()).public_key(),
        names,
        now=NOW,
        life=timedelta(hours=1),
    )
    return x509.load_pem_x509_certificate(leaf.pem.encode()).public_bytes(Encoding.DER)


def test_a_certificate_proves_its_one_identity() -> None:
    found = authenticate(
        Credentials(certificate=_der(Names.of(CART))), now=NOW, trust=TRUST, tokens=NoTokens()
    )
    assert (found.identity, found.method, found.expires) == (
        CART,
        Method.CERTIFICATE,
        NOW + timedelta(hours=1),
    )


@pytest.mark.parametrize(
    ("names", "at", "reason"),
    [
        (Names.of(CART), NOW + timedelta(hours=2), "not now"),
        (Names.of(CART), NOW - timedelta(hours=2), "not now"),
        (Names(dns_names=("cart",)), NOW, "not one SPIFFE id"),
        (Names(uris=(str(CART), "spiffe://cluster.local/ns/a/sa/b")), NOW, "not one SPIFFE id"),
        (Names.of(SpiffeId.of("elsewhere", "shop", "cart")), NOW, "not of this mesh"),
    ],
)
def test_a_certificate_that_proves_nothing(names: Names, at: datetime, reason: str) -> None:
    with pytest.raises(UnauthenticatedError, match=reason):
        authenticate(Credentials(certificate=_der(names)), now=at, trust=TRUST, tokens=OneToken())


def test_an_authority_is_no_workload() -> None:
    der = x509.load_pem_x509_certificate(ROOT.certificate.pem.encode()).public_bytes(Encoding.DER)
    with pytest.raises(UnauthenticatedError, match="authority"):
        authenticate(Credentials(certificate=der), now=NOW, trust=TRUST, tokens=NoTokens())


def test_a_token_proves_what_it_was_made_for() -> None:
    found = authenticate(
        Credentials(authorization="bearer good"), now=NOW, trust=TRUST, tokens=OneToken()
    )
    assert (found.identity, found.method) == (CART, Method.JOIN_TOKEN)


@pytest.mark.parametrize(
    ("credentials", "reason"),
    [
        (Credentials(), "no certificate and no token"),
        (Credentials(authorization="Basic eDp5"), "Bearer"),
        (Credentials(authorization="Bearer bad"), "unknown token"),
        (
            Credentials(certificate=b"rubbish", authorization="Bearer bad"),
            "no certificate: .*; unknown token",
        ),
    ],
)
def test_every_reason_is_told(credentials: Credentials, reason: str) -> None:
    with pytest.raises(UnauthenticatedError, match=reason):
        authenticate(credentials, now=NOW, trust=TRUST, tokens=OneToken())


def test_two_authorization_headers_are_none() -> None:
    twice = [("authorization", "Bearer good"), ("authorization", "Bearer bad")]
    assert Credentials.of_call(b"", twice).authorization == ""
