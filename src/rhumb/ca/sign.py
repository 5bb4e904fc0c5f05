"""A signing request becomes a certificate. Its identity comes from the caller's proof, never from the request."""

import ipaddress
from datetime import datetime, timedelta

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from rhumb.base.errors import RhumbError
from rhumb.ca.authority import CLOCK_SKEW, Authority
from rhumb.identity import peer_name
from rhumb.identity.certificates import Certificate, parse_chain
from rhumb.identity.spiffe import SpiffeId
from rhumb.model.peer import parse_peer

MAX_REQUEST = 64 * 1024
_MIN_RSA_BITS = 2048
_CURVES = (ec.SECP256R1, ec.SECP384R1)
_SERVER_AND_CLIENT = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class RequestError(RhumbError):
    """The signing request cannot be honoured, whoever sends it."""


class Request(msgspec.Struct, frozen=True, eq=False):
    """What matters of a signing request: a public key that was proved, and the names it asks for."""

    key: PublicKey
    key_digest: str
    """SHA-256 of the public key, lower-case hex."""
    uris: tuple[str, ...]
    peer: str = ""
    """What metrics shall call the workload (`rhumb.model.peer`)."""


class Names(msgspec.Struct, frozen=True):
    """Subject alternative names of a certificate."""

    uris: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    peer: str = ""

    @classmethod
    def of(cls, identity: SpiffeId, peer: str = "") -> "Names":
        """Return the names of a workload: its SPIFFE id, and what metrics call it.

        Raises RequestError when that name is of another namespace than the identity.
        """
        if peer and parse_peer(peer).namespace != identity.namespace:
            raise RequestError(
                f"{identity} asks to be called {peer}, which is not of its namespace",
                hint="the second field of the name must be the workload's own namespace",
            )
        return cls(uris=(str(identity),), peer=peer)

    def general(self) -> x509.SubjectAlternativeName:
        """Spell the names as the X.509 extension."""
        return x509.SubjectAlternativeName(
            [
                *(x509.UniformResourceIdentifier(uri) for uri in self.uris),
                *(x509.DNSName(name) for name in self.dns_names),
                *(x509.IPAddress(ipaddress.ip_address(address)) for address in self.addresses),
                *((peer_name.other_name(self.peer),) if self.peer else ()),
            ]
        )


def parse_request(pem: str) -> Request:
    """Read a PKCS #10 request and verify that its sender holds the key.

    Raises RequestError: unreadable, signature wrong, or a key that the mesh does not take.
    """
    if len(pem) > MAX_REQUEST:
        raise RequestError(f"the signing request is longer than {MAX_REQUEST} bytes")
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        proved = request.is_signature_valid
        key = request.public_key()
        names = _requested_names(request)
        uris = names.get_values_for_type(x509.UniformResourceIdentifier) if names else []
        peer = peer_name.read(names) if names else ""
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise RequestError(
            f"the signing request does not parse: {error}", hint="send PEM, PKCS #10"
        ) from error
    if not proved:
        raise RequestError("the signing request's signature is not made with its key")
    return Request(
        _accepted(key),
        x509.SubjectKeyIdentifier.from_public_key(key).digest.hex(),
        tuple(uris),
        peer,
    )


def _requested_names(request: x509.CertificateSigningRequest) -> x509.SubjectAlternativeName | None:
    try:
        return request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None


def _accepted(key: object) -> PublicKey:
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES):
        return key
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _MIN_RSA_BITS:
        return key
    raise RequestError(
        "the signing request's key is of a kind that the mesh does not take",
        hint=f"use ECDSA P-256 or P-384, or RSA of at least {_MIN_RSA_BITS} bits",
    )


def life_of(requested: timedelta, *, default: timedelta, longest: timedelta) -> timedelta:
    """Return how long a certificate shall live (zero or less asks for the default).

    Raises RequestError when more is asked than is allowed.
    """
    if requested <= timedelta():
        return default
    if requested > longest:
        raise RequestError(
            f"a life of {requested} is asked for, and {longest} is the longest allowed",
            hint="ask for less, or raise max_workload_ttl of the CA",
        )
    return requested


def sign(
    authority: Authority, key: PublicKey, names: Names, *, now: datetime, life: timedelta
) -> Certificate:
    """Issue a leaf certificate for a proved public key, capped by the authority's own life.

    Raises RhumbError when the authority has expired.
    """
    if authority.expires <= now:
        raise RhumbError(
            f"the CA's certificate {authority.certificate.subject} expired at {authority.expires}",
            hint="rotate the CA: rhumb ca rotate",
        )
    parent = x509.load_pem_x509_certificate(authority.certificate.pem.encode())
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(parent.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(min(now + life, authority.expires))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(), critical=True)
        .add_extension(x509.ExtendedKeyUsage(_SERVER_AND_CLIENT), critical=False)
        # RFC 5280 4.2.1.6: critical, because the subject is empty.
        .add_extension(names.general(), critical=True)
        .add_extension(_key_identifier(parent), critical=False)
    )
    leaf = builder.sign(authority.key, hashes.SHA256())
    return parse_chain(leaf.public_bytes(Encoding.PEM))[0]


def _key_usage() -> x509.KeyUsage:
    # Envoy enforces keyUsage since 1.39: both, so that RSA keys serve as well.
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=True,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_identifier(parent: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        known = parent.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(_public(parent))
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known)


def _public(parent: x509.Certificate) -> PublicKey:
    key = parent.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)  # checked when loaded
    return key
