"""X.509 certificates as values: parse, fingerprint, remaining life at a given time."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from rhumb.base.errors import RhumbError
from rhumb.identity import peer_name
from rhumb.identity.spiffe import SCHEME, SpiffeId

T = TypeVar("T", bound=x509.ExtensionType)


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What the mesh asks of a certificate."""

    fingerprint: str
    """SHA-256 of the DER form, lower-case hex."""
    serial: str
    """Lower-case hex, as Envoy prints it."""
    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    uris: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    peer: str = ""
    """Who the workload is to metrics (`rhumb.model.peer`)."""
    is_authority: bool = False
    pem: str

    @property
    def identity(self) -> SpiffeId:
        """Return the one SPIFFE id (X.509-SVID 2: exactly one URI SAN).

        Raises RhumbError when there is none, or more than one.
        """
        if len(self.uris) != 1 or not self.uris[0].startswith(SCHEME):
            raise RhumbError(
                f"certificate {self.serial} carries {len(self.uris)} URI names, not one SPIFFE id"
            )
        return SpiffeId.parse(self.uris[0])

    def remaining(self, now: datetime) -> timedelta:
        """Return how long the certificate is still valid; negative once it has expired."""
        return self.not_after - now

    def is_valid(self, now: datetime) -> bool:
        """Tell whether `now` lies within the certificate's life."""
        return self.not_before <= now < self.not_after

    def renew_at(self, ratio: float = 0.5) -> datetime:
        """Return when the given part of the life has passed (Istio: SECRET_GRACE_PERIOD_RATIO)."""
        return self.not_after - (self.not_after - self.not_before) * ratio


def parse_chain(pem: bytes | str) -> tuple[Certificate, ...]:
    """Read every certificate of a PEM text, in order.

    Raises RhumbError when there is none, or one that does not parse.
    """
    raw = pem.encode() if isinstance(pem, str) else pem
    try:
        return tuple(describe(each) for each in x509.load_pem_x509_certificates(raw))
    except ValueError as error:
        raise RhumbError(f"no PEM certificate chain: {error}") from error


def parse_der(der: bytes) -> Certificate:
    """Read one DER certificate, as TLS stacks hand it out; RhumbError when it does not parse."""
    try:
        return describe(x509.load_der_x509_certificate(der))
    except ValueError as error:
        raise RhumbError(f"no certificate: {error}") from error


def describe(certificate: x509.Certificate) -> Certificate:
    """Turn the library's object into a value; ValueError when an extension is broken."""
    names = _extension(certificate, x509.SubjectAlternativeName)
    constraints = _extension(certificate, x509.BasicConstraints)
    return Certificate(
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        serial=f"{certificate.serial_number:x}",
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        uris=tuple(names.get_values_for_type(x509.UniformResourceIdentifier)) if names else (),
        dns_names=tuple(names.get_values_for_type(x509.DNSName)) if names else (),
        addresses=tuple(str(a) for a in names.get_values_for_type(x509.IPAddress)) if names else (),
        peer=peer_name.read(names) if names else "",
        is_authority=constraints is not None and constraints.ca,
        pem=certificate.public_bytes(Encoding.PEM).decode(),
    )


def _extension(certificate: x509.Certificate, kind: type[T]) -> T | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def join_pem(certificates: Iterable[Certificate]) -> str:
    """Write certificates as one PEM text, each once, in order."""
    return "".join(dict.fromkeys(each.pem for each in certificates))
