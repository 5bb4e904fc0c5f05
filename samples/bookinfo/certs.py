"""Make a certificate for the HTTPS scenarios: a small authority, and a server certificate by it.

  python certs.py DIRECTORY                 tls.crt, tls.key and ca.crt (its key is thrown away)
  python certs.py DIRECTORY --secret FILE   and a Kubernetes Secret `bookinfo-credential` with the two

The names are bookinfo.example and localhost; ca.crt is what a client verifies them with.
"""

import argparse
import base64
import datetime
import ipaddress
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

NAMES = ("bookinfo.example", "localhost")
LIFE = datetime.timedelta(days=30)

SECRET = """\
apiVersion: v1
kind: Secret
type: kubernetes.io/tls
metadata:
  name: bookinfo-credential
data:
  tls.crt: {certificate}
  tls.key: {key}
"""


def make() -> tuple[bytes, bytes, bytes]:
    """Return authority, certificate and key, PEM."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Bookinfo sample authority")])
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAMES[0])])
    names = [x509.DNSName(name) for name in NAMES]
    authority = (
        _builder(issuer, issuer, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    certificate = (
        _builder(subject, issuer, key)
        .add_extension(
            x509.SubjectAlternativeName(
                [*names, x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    return (
        authority.public_bytes(Encoding.PEM),
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--secret", type=Path, metavar="FILE", help="write a Kubernetes Secret too")
    options = parser.parse_args()
    os.umask(0o077)
    directory: Path = options.directory
    directory.mkdir(parents=True, exist_ok=True)
    if directory.stat().st_uid != os.getuid():
        parser.error(f"{directory} belongs to somebody else")
    authority, certificate, key = make()
    for name, data in (("ca.crt", authority), ("tls.crt", certificate), ("tls.key", key)):
        (directory / name).write_bytes(data)
    if options.secret:
        encoded = {"certificate": certificate, "key": key}
        options.secret.write_text(
            SECRET.format(
                **{name: base64.b64encode(data).decode() for name, data in encoded.items()}
            )
        )
    print(
        f"{directory}: ca.crt, tls.crt, tls.key for {', '.join(NAMES)}, valid for {LIFE.days} days"
    )


if __name__ == "__main__":
    main()
