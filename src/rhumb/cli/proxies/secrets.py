"""Secrets: certificates, how long they are valid, and for which trust domain."""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from cryptography import x509

from rhumb.cli.proxies import origins
from rhumb.cli.proxies.dump import Secret, dig
from rhumb.cli.proxies.origins import Cited

HEAD = (
    "RESOURCE NAME",
    "TYPE",
    "STATUS",
    "VALID CERT",
    "SERIAL NUMBER",
    "NOT AFTER",
    "NOT BEFORE",
    "TRUST DOMAIN",
    "ORIGIN",
)


def rows(
    secrets: Sequence[Secret], known: Mapping[str, list[Cited]], now: datetime
) -> Iterator[tuple[str, ...]]:
    """Yield a row for each certificate of each secret."""
    for secret in sorted(secrets, key=lambda each: each.name):
        type_, pem = _content(secret)
        origin = origins.cell(known.get(secret.name, []))
        certificates = _certificates(pem)
        # Of a chain the first is the workload's own; of roots each counts.
        for found in certificates[:1] if type_ == "Cert Chain" else certificates:
            start, end = found.not_valid_before_utc, found.not_valid_after_utc
            yield (
                secret.name,
                type_,
                secret.state,
                "true" if start <= now <= end else "false",
                f"{found.serial_number:x}",
                f"{end:%Y-%m-%dT%H:%M:%SZ}",
                f"{start:%Y-%m-%dT%H:%M:%SZ}",
                _trust_domain(found),
                origin,
            )
        if not certificates:
            yield secret.name, type_, secret.state, "false", "", "", "", "", origin


def _content(secret: Secret) -> tuple[str, bytes]:
    chain = dig(secret.value, "tls_certificate", "certificate_chain")
    if chain is not None:
        return "Cert Chain", _bytes(chain)
    roots = dig(secret.value, "validation_context", "trusted_ca")
    if roots is not None:
        return "CA", _bytes(roots)
    return "-", b""


def _bytes(source: object) -> bytes:
    inline = dig(source, "inline_string")
    if inline is not None:
        return str(inline).encode()
    try:
        return base64.b64decode(str(dig(source, "inline_bytes") or ""))
    except binascii.Error:
        return b""


def _certificates(pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem) if pem else []
    except ValueError:
        return []


def _trust_domain(certificate: x509.Certificate) -> str:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ""
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    found = (uri.removeprefix("spiffe://") for uri in uris if uri.startswith("spiffe://"))
    return next(found, "").partition("/")[0]
