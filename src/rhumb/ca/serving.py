"""The control plane's own certificate on 15012, issued by its CA and replaced without closing anything."""

import logging
import ssl
import tempfile
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from rhumb.base.clock import Clock
from rhumb.base.errors import RhumbError
from rhumb.ca.active import CertificateAuthority
from rhumb.ca.sign import Names, sign
from rhumb.identity.certificates import Certificate, join_pem

_log = logging.getLogger(__name__)


class ServingCertificate:
    """Gives the TLS context for the next handshake: `TlsFront(ServingCertificate(...).context)`.

    The context is made anew at half life of the certificate, when the CA rotates, and when the
    trusted roots change; handshakes in between share it.
    """

    def __init__(self, authority: CertificateAuthority, clock: Clock) -> None:
        self._authority = authority
        self._clock = clock
        self._context: ssl.SSLContext | None = None
        self._made_for = ("", "")
        self._renew_at: datetime | None = None
        self._certificate: Certificate | None = None

    @property
    def certificate(self) -> Certificate | None:
        """Return the certificate that is shown now; None before the first handshake."""
        return self._certificate

    def context(self) -> ssl.SSLContext:
        """Return the context in force.

        Raises RhumbError when the CA has expired, OSError when the disk takes no key.
        """
        now = self._clock.now()
        wanted = (self._authority.serving.id, self._authority.bundle.pem)
        is_due = self._renew_at is None or now >= self._renew_at
        # A clock that was moved back leaves a certificate that is not valid yet.
        is_early = self._certificate is not None and now < self._certificate.not_before
        if self._context is None or wanted != self._made_for or is_due or is_early:
            try:
                self._context = self._make(now)
                self._made_for = wanted
            except (RhumbError, OSError) as error:
                if self._context is None:
                    raise
                _log.error(
                    "serving certificate not renewed, the old one stays", extra={"error": error}
                )
        return self._context

    def _make(self, now: datetime) -> ssl.SSLContext:
        settings = self._authority.settings
        issuer = self._authority.serving
        key = ec.generate_private_key(ec.SECP256R1())
        names = Names(dns_names=settings.serving_names, addresses=settings.serving_addresses)
        leaf = sign(issuer, key.public_key(), names, now=now, life=settings.serving_ttl)
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        directory = self._authority.store.serving
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        # OpenSSL's Python binding takes keys from files only; others may make theirs here as well.
        with tempfile.NamedTemporaryFile("w", dir=directory, suffix=".pem") as file:
            file.write(secret + join_pem((leaf, *issuer.intermediates)))
            file.flush()
            context.load_cert_chain(file.name)
        context.num_tickets = 0  # a session that is taken up again is not asked for its certificate
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["h2"])
        # Asked for, not demanded: who joins by token has none yet.
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=self._authority.bundle.pem)
        self._certificate, self._renew_at = leaf, leaf.renew_at()
        return context
