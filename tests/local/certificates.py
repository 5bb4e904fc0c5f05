"""A small authority for tests, and what it signs."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

_START = datetime(2020, 1, 1, tzinfo=UTC)
_END = _START + timedelta(days=36500)


class Authority:
    """Signs certificates; `pem` is its own."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        made = _builder(self._name, self._name, self._key.public_key())
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        signed = made.add_extension(constraints, critical=True).sign(self._key, hashes.SHA256())
        self.pem = signed.public_bytes(Encoding.PEM)

    def issue(self, *names: str) -> tuple[bytes, bytes]:
        """Return a certificate for DNS names, and its key, as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        made = _builder(_name(names[0]), self._name, key.public_key())
        signed = made.add_extension(alternatives, critical=False).sign(self._key, hashes.SHA256())
        spelled = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return signed.public_bytes(Encoding.PEM), spelled

    def revoke(self, certificate: bytes) -> bytes:
        """Return the list of revoked certificates, which has this one."""
        serial = x509.load_pem_x509_certificate(certificate).serial_number
        revoked = x509.RevokedCertificateBuilder(serial, _START).build()
        made = x509.CertificateRevocationListBuilder(self._name, _START, _END, [], [revoked])
        return made.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def files(self, folder: Path, stem: str, *names: str) -> tuple[str, str]:
        """Write a certificate and its key, and return their paths."""
        paths = folder / f"{stem}.crt", folder / f"{stem}.key"
        for path, content in zip(paths, self.issue(*names), strict=True):
            path.write_bytes(content)
        return str(paths[0]), str(paths[1])


def spki(certificate: bytes) -> str:
    """Return the pin of a certificate's key, as `verifyCertificateSpki` has it."""
    key = x509.load_pem_x509_certificate(certificate).public_key()
    spelled = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return b64encode(sha256(spelled).digest()).decode()


def identities(certificate: bytes) -> list[str]:
    """Return the URIs that a certificate, as DER, is for."""
    found = x509.load_der_x509_certificate(certificate).extensions
    names = found.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def secret(name: str, **content: bytes) -> str:
    """Write a Secret; keys have `_` for the dot."""
    data = "".join(f", {k.replace('_', '.')}: {b64encode(v).decode()}" for k, v in content.items())
    return f"apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\ndata: {{{data[2:]}}}\n"


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    serial = x509.random_serial_number()
    return x509.CertificateBuilder(issuer, subject, key, serial, _START, _END)
