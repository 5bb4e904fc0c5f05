"""A certificate authority as a value: make a self-signed root, or load one that was given."""

import itertools
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from rhumb.base.errors import RhumbError
from rhumb.identity.certificates import Certificate, join_pem, parse_chain
from rhumb.identity.trust import TrustBundle

CLOCK_SKEW = timedelta(minutes=2)
"""How far back a certificate's life begins, for machines whose clocks are behind (as Istio's)."""

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

# Istio's `cacerts` layout, and the one of a Kubernetes TLS secret: certificate, key, roots, chain.
_LAYOUTS = (
    ("ca-cert.pem", "ca-key.pem", "root-cert.pem", "cert-chain.pem"),
    ("tls.crt", "tls.key", "ca.crt", "tls.crt"),
)
CERTIFICATE, KEY, ROOTS, CHAIN = _LAYOUTS[0]
_OURS = (CERTIFICATE, KEY, ROOTS, CHAIN)


class Authority(msgspec.Struct, frozen=True, eq=False):
    """A key that signs, its certificate with those above it, and the roots it belongs to."""

    key: Key
    chain: tuple[Certificate, ...]
    """The signing certificate first; intermediates after it; no root, unless the root itself signs."""
    roots: TrustBundle

    @property
    def id(self) -> str:
        """Return a short name: the start of the signing certificate's fingerprint."""
        return self.certificate.fingerprint[:16]

    @property
    def certificate(self) -> Certificate:
        """Return the certificate that signs."""
        return self.chain[0]

    @property
    def is_root(self) -> bool:
        """Tell whether the signing certificate is a root itself."""
        return self.certificate in self.roots

    @property
    def intermediates(self) -> tuple[Certificate, ...]:
        """Return what a leaf must bring along for a peer that knows the roots only."""
        return tuple(each for each in self.chain if each not in self.roots)

    @property
    def expires(self) -> datetime:
        """Return when the first certificate on the way up to the root expires."""
        return min(each.not_after for each in self.chain)

    def files(self) -> dict[str, str]:
        """Return the `cacerts` layout: file name to content. The key is in the clear."""
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return {
            CERTIFICATE: self.certificate.pem,
            KEY: key,
            ROOTS: self.roots.pem,
            CHAIN: join_pem(self.chain),
        }


def make_root(*, organization: str, now: datetime, life: timedelta) -> Authority:
    """Make a self-signed ECDSA P-256 root."""
    key = ec.generate_private_key(ec.SECP256R1())
    # Roots of one mesh must differ in their names: some verifiers find an issuer by name alone.
    common = f"root {now:%Y-%m-%d} {secrets.token_hex(4)}"
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    chain = parse_chain(certificate.public_bytes(Encoding.PEM))
    return Authority(key, chain, TrustBundle(chain))


def _key_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def load_directory(directory: Path) -> Authority:
    """Load a CA from a directory in either layout.

    Raises RhumbError naming the file that is missing or does not fit.
    """
    for layout in _LAYOUTS:
        if (directory / layout[0]).is_file():
            return load(_read(directory, layout), where=str(directory))
    raise RhumbError(
        f"no CA in {directory}: neither {_LAYOUTS[0][0]} nor {_LAYOUTS[1][0]} is there",
        hint=f"provide {', '.join(_LAYOUTS[0])}; or {', '.join(_LAYOUTS[1][:3])}",
    )


def _read(directory: Path, layout: tuple[str, ...]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for ours, theirs in zip(_OURS, layout, strict=True):
        try:
            files[ours] = (directory / theirs).read_bytes()
        except FileNotFoundError:
            if ours != CHAIN:  # a root that signs needs no chain
                raise RhumbError(
                    f"{directory / theirs} is missing", hint=f"a CA needs {', '.join(layout)}"
                ) from None
        except OSError as error:
            raise RhumbError(f"cannot read {directory / theirs}: {error.strerror}") from error
    return files


def load(files: Mapping[str, bytes], *, where: str) -> Authority:
    """Check a CA's files against each other and join them.

    Raises RhumbError: a key that is not the certificate's, a certificate that may not sign others,
    a chain that does not end at a root.
    """
    key = _load_key(files[KEY], where)
    roots = TrustBundle.parse(files[ROOTS])
    certificate = parse_chain(files[CERTIFICATE])[0]
    above = parse_chain(files[CHAIN]) if files.get(CHAIN, b"").strip() else ()
    # cert-chain.pem is found with and without the signing certificate, with and without the root.
    chain = (
        certificate,
        *(c for c in above if c.fingerprint != certificate.fingerprint and c not in roots),
    )
    _check_signer(certificate, key, where)
    _check_path(chain, roots, where)
    return Authority(key, chain, roots)


def _load_key(pem: bytes, where: str) -> Key:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise RhumbError(
            f"{where}: the CA's key does not load: {error}", hint="use an unencrypted PEM key"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise RhumbError(
            f"{where}: the CA's key is neither ECDSA nor RSA, which is what Envoy verifies"
        )
    return key


def _check_signer(certificate: Certificate, key: Key, where: str) -> None:
    loaded = x509.load_pem_x509_certificate(certificate.pem.encode())
    if loaded.public_key() != key.public_key():
        raise RhumbError(
            f"{where}: the key is not the one of the certificate {certificate.subject}"
        )
    try:
        usage = loaded.extensions.get_extension_for_class(x509.KeyUsage).value
        may_sign = usage.key_cert_sign
    except x509.ExtensionNotFound:
        may_sign = True
    if not certificate.is_authority or not may_sign:
        raise RhumbError(
            f"{where}: the certificate {certificate.subject} may not sign others",
            hint="it needs basicConstraints CA:TRUE and keyUsage keyCertSign",
        )


def _check_path(chain: tuple[Certificate, ...], roots: TrustBundle, where: str) -> None:
    for lower, upper in itertools.pairwise(chain):
        if not _is_issued_by(lower, upper):
            raise RhumbError(
                f"{where}: {lower.subject} is not signed by the next of the chain, {upper.subject}",
                hint="order the chain from the signing certificate up to the root",
            )
    top = chain[-1]
    if top not in roots and not any(_is_issued_by(top, root) for root in roots.roots):
        raise RhumbError(
            f"{where}: the chain ends at {top.subject}, which no root has signed",
            hint=f"add the missing certificates to {CHAIN}, or the root to {ROOTS}",
        )


def _is_issued_by(lower: Certificate, upper: Certificate) -> bool:
    child, parent = (x509.load_pem_x509_certificate(each.pem.encode()) for each in (lower, upper))
    try:
        child.verify_directly_issued_by(parent)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
