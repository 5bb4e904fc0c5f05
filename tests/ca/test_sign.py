from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import PolicyBuilder, Store

from rhumb.base.errors import RhumbError
from rhumb.ca.authority import make_root
from rhumb.ca.sign import Names, RequestError, life_of, parse_request, sign
from rhumb.identity import peer_name
from rhumb.identity.spiffe import SpiffeId

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ROOT = make_root(organization="test", now=NOW, life=10 * DAY)
CART = SpiffeId.of("cluster.local", "shop", "cart")

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def _request(key: Key, uri: str = "spiffe://cluster.local/ns/bank/sa/vault") -> str:
    names = x509.SubjectAlternativeName(
        [x509.UniformResourceIdentifier(uri), x509.DNSName("evil.example")]
    )
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    builder = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(names, critical=False)
    )
    return builder.sign(key, algorithm).public_bytes(Encoding.PEM).decode()


def test_the_names_come_from_the_caller_never_from_the_request() -> None:
    request = parse_request(_request(ec.generate_private_key(ec.SECP256R1())))
    leaf = sign(ROOT, request.key, Names.of(CART), now=NOW, life=DAY)
    assert (leaf.uris, leaf.dns_names, leaf.identity) == ((str(CART),), (), CART)


def test_the_profile_that_envoy_asks_for() -> None:
    request = parse_request(_request(rsa.generate_private_key(65537, 2048)))
    leaf = x509.load_pem_x509_certificate(
        sign(ROOT, request.key, Names.of(CART), now=NOW, life=DAY).pem.encode()
    )
    found = leaf.extensions
    assert found.get_extension_for_class(x509.SubjectAlternativeName).critical
    assert not leaf.subject.rdns
    assert not found.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = found.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert usage.key_encipherment
    assert not usage.key_cert_sign
    purposes = {oid._name for oid in found.get_extension_for_class(x509.ExtendedKeyUsage).value}
    assert purposes == {"serverAuth", "clientAuth"}
    assert leaf.not_valid_before_utc == NOW - timedelta(minutes=2)
    assert leaf.not_valid_after_utc == NOW + DAY


def test_an_independent_verifier_accepts_the_chain() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = sign(ROOT, key.public_key(), Names(dns_names=("localhost",)), now=NOW, life=DAY)
    store = Store([x509.load_pem_x509_certificate(ROOT.certificate.pem.encode())])
    verifier = PolicyBuilder().store(store).time(NOW).build_client_verifier()
    verified = verifier.verify(x509.load_pem_x509_certificate(leaf.pem.encode()), [])
    assert len(verified.chain) == 2


def test_a_life_is_capped_by_the_authoritys() -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    leaf = sign(ROOT, key, Names.of(CART), now=NOW + 9 * DAY, life=5 * DAY)
    assert leaf.not_after == ROOT.expires
    with pytest.raises(RhumbError, match="expired"):
        sign(ROOT, key, Names.of(CART), now=NOW + 10 * DAY, life=DAY)


def test_how_long_a_life_may_be() -> None:
    def ask(requested: timedelta) -> timedelta:
        return life_of(requested, default=DAY, longest=90 * DAY)

    assert ask(timedelta()) == DAY
    assert ask(-DAY) == DAY
    assert ask(timedelta(hours=1)) == timedelta(hours=1)
    assert ask(90 * DAY) == 90 * DAY
    with pytest.raises(RequestError, match="longest allowed"):
        ask(91 * DAY)


def test_a_request_whose_signature_is_not_its_keys() -> None:
    der = bytearray(
        x509.load_pem_x509_csr(
            _request(ec.generate_private_key(ec.SECP256R1())).encode()
        ).public_bytes(Encoding.DER)
    )
    at = der.find(b"bank")
    der[at : at + 4] = b"bonk"
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM).decode()
    with pytest.raises(RequestError, match="not made with its key"):
        parse_request(forged)


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 1024),
        ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=["short", "P-521", "Ed25519"],
)
def test_keys_that_the_mesh_does_not_take(key: Key) -> None:
    with pytest.raises(RequestError, match="kind"):
        parse_request(_request(key))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rubbish",
        "x" * 70_000,
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
    ],
)
def test_rubbish_is_no_request(text: str) -> None:
    with pytest.raises(RequestError):
        parse_request(text)


def test_what_metrics_call_a_workload_is_taken_from_the_request() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([peer_name.other_name("vault-v1;bank;vault")])
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    assert parse_request(request.public_bytes(Encoding.PEM).decode()).peer == "vault-v1;bank;vault"
