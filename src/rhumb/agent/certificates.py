"""Keeps one workload's certificate: makes the key, asks the CA, writes for Envoy, renews in time.

The key is made here and never leaves the machine. Time is read anew at least every CHECK_S seconds, so a
clock that is moved changes the plan within that time. One keeper for each identity; many may
run in one process.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from rhumb.agent import sds
from rhumb.agent.ca_client import RefusedError, Signer
from rhumb.agent.sds import KeyPair
from rhumb.base.backoff import delays
from rhumb.base.clock import Clock, SystemClock
from rhumb.base.errors import RhumbError
from rhumb.identity import peer_name
from rhumb.identity.certificates import Certificate, parse_chain
from rhumb.identity.spiffe import SpiffeId
from rhumb.identity.trust import TrustBundle

_log = logging.getLogger(__name__)

CHECK_S = 30.0
"""The longest sleep: after this the wall clock is looked at again."""
_ALARM_SHARE = 0.25
"""With less of its life left than this, a failed attempt is an error, not a warning."""


class KeeperSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a certificate is kept."""

    life: timedelta = timedelta()
    """Life to ask for; zero leaves it to the CA."""
    renew_ratio: float = 0.5
    """The part of the life that is left when it is renewed (Istio: SECRET_GRACE_PERIOD_RATIO)."""
    jitter: float = 0.01
    """How far the ratio is drawn from its middle, either way."""
    retry_first_s: float = 0.5
    retry_cap_s: float = 30.0
    """Delays between attempts: from, and at most."""
    least_interval_s: float = 60.0
    """The least time between two successful renewals, whatever the clock says."""


class CertificateStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What `rhumb status` and the agent's metrics say of a certificate."""

    identity: SpiffeId
    serial: str = ""
    fingerprint: str = ""
    not_before: datetime | None = None
    not_after: datetime | None = None
    renew_at: datetime | None = None
    failures: int = 0
    """Attempts that failed since the last success."""
    last_error: str = ""


class _Held(msgspec.Struct, frozen=True, eq=False):
    pair: KeyPair
    certificate: Certificate
    renew_at: datetime


_DEFAULTS = KeeperSettings()


class CertificateKeeper:
    """Writes `directory`/default.json and rootca.json, and keeps them current while `run` runs."""

    def __init__(
        self,
        *,
        identity: SpiffeId,
        peer: str = "",
        directory: Path,
        signer: Signer,
        roots: str,
        join_token: str = "",
        clock: Clock | None = None,
        settings: KeeperSettings = _DEFAULTS,
        draw: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take the SDS directory, and the root certificates (PEM) that the joiner was given.

        `peer` is what metrics call the workload (`rhumb.model.peer`): servers read it off the certificate.

        A certificate that is there already, valid and of the same identity, is used; then no join
        token is needed.
        """
        self._identity = identity
        self._peer = peer
        self._directory = directory
        self._signer = signer
        self._pinned = roots
        self._roots = roots
        self._token = join_token
        self._clock = clock or SystemClock()
        self._settings = settings
        self._draw = draw
        self._sleep = sleep
        self._held: _Held | None = None
        self._pending: ec.EllipticCurvePrivateKey | None = None
        self._unwritten: tuple[KeyPair, str] | None = None
        self._renewed_at = 0.0
        self._failures = 0
        self._last_error = ""
        self._ready = asyncio.Event()

    @property
    def status(self) -> CertificateStatus:
        """Return what is held and how the last attempt went."""
        held = self._held
        return CertificateStatus(
            identity=self._identity,
            serial=held.certificate.serial if held else "",
            fingerprint=held.certificate.fingerprint if held else "",
            not_before=held.certificate.not_before if held else None,
            not_after=held.certificate.not_after if held else None,
            renew_at=held.renew_at if held else None,
            failures=self._failures,
            last_error=self._last_error,
        )

    @property
    def pair(self) -> KeyPair | None:
        """Return key and chain for the agent's own connection to the control plane."""
        return self._held.pair if self._held else None

    @property
    def roots(self) -> str:
        """Return the roots in force, PEM."""
        return self._roots

    def expiry_seconds(self) -> float | None:
        """Return the seconds until expiry, negative after it (istio_agent_cert_expiry_seconds)."""
        return self._left(self._held).total_seconds() if self._held else None

    async def wait_ready(self) -> None:
        """Wait until Envoy has a certificate to use."""
        await self._ready.wait()

    def update_roots(self, pem: str) -> None:
        """Put other roots in force, as the control plane distributes them.

        Raises RhumbError when the text holds no certificate; OSError when the disk takes no more.
        """
        found = TrustBundle.parse(pem).pem
        if found != self._roots or not (self._directory / sds.ROOTS_FILE).exists():
            sds.write_roots(self._directory, found)
            self._roots = found
            _log.info("trusted roots replaced", extra={"identity": self._identity})

    async def run(self) -> None:
        """Get, write and renew, until cancelled."""
        self._resume()
        retries = self._retries()
        while True:
            pause = self._pause()
            if pause > 0:
                await self._sleep(min(pause, CHECK_S))
                continue
            try:
                await self._renew()
            except (RhumbError, OSError) as error:
                self._failed(error)
                await self._sleep(next(retries))
            else:
                retries = self._retries()

    def _retries(self) -> Iterator[float]:
        return delays(self._settings.retry_first_s, self._settings.retry_cap_s, draw=self._draw)

    def _pause(self) -> float:
        held = self._held
        if held is None or self._unwritten is not None:
            return 0.0
        now = self._clock.now()
        pause = (held.renew_at - now).total_seconds()
        if not held.certificate.is_valid(now):
            pause = 0.0  # expired, or the clock went back before its beginning
        since = self._clock.monotonic() - self._renewed_at
        return max(pause, self._settings.least_interval_s - since) if self._renewed_at else pause

    def _resume(self) -> None:
        """Take up what an earlier run left on the disk, when it is still good."""
        try:
            roots, pair = sds.read_roots(self._directory), sds.read_pair(self._directory)
            if not roots or pair is None:
                return
            held = self._checked(pair)
            TrustBundle.parse(roots)
        except (RhumbError, ValueError, TypeError) as error:
            _log.warning(
                "certificate on disk is of no use",
                extra={"identity": self._identity, "error": error},
            )
            return
        if held.certificate.peer != self._peer:
            held = msgspec.structs.replace(held, renew_at=self._clock.now())
        self._roots, self._held = roots, held
        if held.certificate.is_valid(self._clock.now()):
            self._ready.set()

    def _checked(self, pair: KeyPair) -> _Held:
        chain = parse_chain(pair.chain)
        key = load_pem_private_key(pair.key.encode(), password=None)
        leaf = x509.load_pem_x509_certificate(chain[0].pem.encode())
        if leaf.public_key() != key.public_key():
            raise RhumbError("the certificate is not for the key that was made here")
        if chain[0].identity != self._identity:
            raise RhumbError(
                f"the certificate is for {chain[0].identity}, and this workload is {self._identity}",
                hint="make a join token for this workload's namespace and service account",
            )
        ratio = self._settings.renew_ratio + (self._draw() * 2 - 1) * self._settings.jitter
        return _Held(pair, chain[0], chain[0].renew_at(ratio))

    async def _renew(self) -> None:
        if self._unwritten is None:
            key = self._pending = self._pending or ec.generate_private_key(ec.SECP256R1())
            chain = await self._ask(_signing_request(key, self._identity, self._peer))
            if len(chain) < 2:
                raise RhumbError("the CA's answer has no chain and root")
            secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
            self._unwritten = KeyPair(secret, "".join(chain[:-1])), chain[-1]
        pair, roots = self._unwritten
        try:
            held = self._checked(pair)
        except RhumbError:
            self._unwritten = None
            raise
        # What was issued is kept until the disk takes it, so a full disk costs no further requests.
        self.update_roots(roots)  # first, for the peers whose chains may end there already
        sds.write_pair(self._directory, pair)
        self._unwritten = self._pending = None
        self._succeeded(held)

    async def _ask(self, request: str) -> tuple[str, ...]:
        """Prove who we are by the certificate that is held, or by the join token."""
        held = self._held if self._held and self._left(self._held) > timedelta() else None
        life = self._settings.life
        if held is not None:
            try:
                return await self._signer.issue(
                    request, life=life, roots=self._roots, pair=held.pair
                )
            except RefusedError:
                if not self._token:
                    raise
            except RhumbError:
                # Perhaps another mesh now stands at that address, to which we were given a token.
                if not self._token or self._is_pinned_known():
                    raise
        if not self._token:
            raise RhumbError(
                f"{self._identity} has no valid certificate and no join token",
                hint="make a token with rhumb ca token create and start the agent with it",
            )
        try:
            return await self._signer.issue(
                request, life=life, roots=self._roots, token=self._token
            )
        except RefusedError:
            raise
        except RhumbError:
            if self._is_pinned_known():
                raise
        return await self._signer.issue(request, life=life, roots=self._pinned, token=self._token)

    def _is_pinned_known(self) -> bool:
        known = TrustBundle.parse(self._roots)
        return all(root in known for root in TrustBundle.parse(self._pinned).roots)

    def _succeeded(self, held: _Held) -> None:
        self._held, self._failures, self._last_error = held, 0, ""
        self._renewed_at = self._clock.monotonic()
        fields = {
            "identity": self._identity,
            "serial": held.certificate.serial,
            "expires": held.certificate.not_after.isoformat(),
        }
        _log.info("certificate in force", extra=fields)
        if not held.certificate.is_valid(self._clock.now()):
            _log.error(
                "the new certificate is not valid by this machine's clock: set the clock",
                extra=fields,
            )
        self._ready.set()

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        self._last_error = str(error)
        fields: dict[str, object] = {
            "identity": self._identity,
            "error": error,
            "failures": self._failures,
        }
        hint = getattr(error, "hint", "")
        if hint:
            fields["hint"] = hint
        held = self._held
        if held is None:
            _log.error("no certificate yet", extra=fields)
            return
        left = self._left(held)
        life = held.certificate.not_after - held.certificate.not_before
        fields["expires_in_s"] = int(left.total_seconds())
        if left <= timedelta():
            _log.error(
                "CERTIFICATE EXPIRED and not renewed: peers refuse this workload", extra=fields
            )
        elif left < life * _ALARM_SHARE:
            _log.error("certificate not renewed and about to expire", extra=fields)
        else:
            _log.warning("certificate not renewed, trying again", extra=fields)

    def _left(self, held: _Held) -> timedelta:
        return held.certificate.remaining(self._clock.now())


def _signing_request(key: ec.EllipticCurvePrivateKey, identity: SpiffeId, peer: str) -> str:
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(str(identity))]
    if peer:
        names.append(peer_name.other_name(peer))
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
        .decode()
    )
