"""The CA at work: which authority signs now, whose roots are trusted, and the steps of a rotation."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from rhumb.base.errors import RhumbError
from rhumb.ca import rotation
from rhumb.ca.authority import Authority, load_directory, make_root
from rhumb.ca.rotation import Phase, Rotation
from rhumb.ca.settings import CaSettings
from rhumb.ca.store import Store
from rhumb.identity.trust import TrustBundle

_log = logging.getLogger(__name__)

_ISSUED_STEP = timedelta(hours=1)
"""The end of the longest-lived certificate is written rounded up, so that not every signature writes."""


class CertificateAuthority:
    """Authorities in force, kept in the state directory.

    `open` it once, then `refresh` now and then: it picks up what `rhumb ca` or another control plane
    changed on disk and takes the steps of a rotation when they are due. A disk that is full or a
    directory that is gone leaves everything as it is in memory.
    """

    def __init__(self, settings: CaSettings) -> None:
        self._settings = settings
        self._store = Store(settings.directory)
        self._listeners: list[Callable[[TrustBundle], None]] = []
        self._state: Rotation | None = None
        self._stamp = (0, 0)
        self._authorities: dict[str, Authority] = {}

    @property
    def settings(self) -> CaSettings:
        """Return what this CA was told."""
        return self._settings

    @property
    def store(self) -> Store:
        """Return the state directory."""
        return self._store

    @property
    def state(self) -> Rotation:
        """Return where the rotation stands; RhumbError before `open`."""
        if self._state is None:
            raise RhumbError("the CA is not open")
        return self._state

    @property
    def signing(self) -> Authority:
        """Return the authority that signs workload certificates."""
        return self._authorities[self.state.signing]

    @property
    def serving(self) -> Authority:
        """Return the authority that signs the control plane's own certificate."""
        return self._authorities[self.state.serving]

    @property
    def bundle(self) -> TrustBundle:
        """Return all trusted roots, those of the older authority first."""
        result = TrustBundle()
        for name in self.state.trusted:
            result = result.plus(self._authorities[name].roots)
        return result

    def on_bundle(self, listener: Callable[[TrustBundle], None]) -> None:
        """Call the listener whenever the trusted roots change."""
        self._listeners.append(listener)

    def open(self, now: datetime) -> None:
        """Load what is in force, or take the given CA, or make a self-signed root.

        Raises RhumbError when neither can be had; OSError when the disk does not take it.
        """
        given = load_directory(self._settings.cacerts) if self._settings.cacerts else None
        with self._store.locked():
            state = self._store.read()
            if state is None:
                first = given or self._new_root(now)
                state = self._keep(first, rotation.start(first.id, now=now))
                _log.info("CA created", extra={"id": first.id, "root": first.certificate.subject})
            elif given is not None:
                state = self._adopt(given, state, now)
            self._load(state)

    def refresh(self, now: datetime) -> None:
        """Pick up changes of the state directory and take the step of a rotation that is due."""
        try:
            if self._store.stamp() == self._stamp and not self._is_due(now):
                return
            with self._store.locked():
                # What is due is judged by what is there now: another control plane may have done it.
                self._load(self._read())
                if self._is_step_due(now):
                    self._advance(now)
                elif self._is_root_old(now):
                    self._rotate(now, self._new_root(now))
        except (RhumbError, OSError) as error:
            _log.error("CA state not refreshed; what is in force stays", extra={"error": error})

    def rotate(self, now: datetime, coming: Authority | None = None) -> None:
        """Begin a rotation to another authority, by default a new self-signed root.

        Raises RhumbError when one is under way; OSError when the disk does not take it.
        """
        with self._store.locked():
            self._rotate(now, coming or self._new_root(now))

    def advance(self, now: datetime) -> None:
        """Take the next step of the rotation, due or not; RhumbError when none is under way."""
        with self._store.locked():
            self._advance(now)

    def note_issued(self, authority: Authority, expires: datetime) -> None:
        """Remember how long certificates of an authority live, so that its root stays as long.

        Raises OSError when the disk does not take it; the certificate must not be handed out then.
        """
        if rotation.issued(self.state, expires, by=authority.id) is self.state:
            return
        with self._store.locked():
            state = rotation.issued(self._read(), expires + _ISSUED_STEP, by=authority.id)
            self._store.write(state)
            self._load(state)

    def _rotate(self, now: datetime, coming: Authority) -> None:
        state = rotation.begin(self._read(), coming.id, now=now)
        self._load(self._keep(coming, state))
        _log.warning("CA rotation begun: the new root is trusted", extra={"new": coming.id})

    def _advance(self, now: datetime) -> None:
        before = self._read()
        state = rotation.advance(before, now=now)
        self._store.write(state)
        if state.phase is Phase.STEADY:
            self._store.forget(before.other)
        self._load(state)
        _log.warning("CA rotation advanced", extra={"phase": state.phase, "signing": state.signing})

    def _is_due(self, now: datetime) -> bool:
        return self._is_step_due(now) or self._is_root_old(now)

    def _is_step_due(self, now: datetime) -> bool:
        period = self._settings.trust_period
        return rotation.step(self.state, now=now, trust_period=period) is not self.state

    def _read(self) -> Rotation:
        state = self._store.read()
        if state is None:
            raise RhumbError(
                f"the CA in {self._settings.directory} is gone",
                hint="restore it from a backup: nobody would trust a new one",
            )
        return state

    def _keep(self, authority: Authority, state: Rotation) -> Rotation:
        self._store.save(authority)
        self._store.write(state)
        return state

    def _load(self, state: Rotation) -> None:
        before = self.bundle.pem if self._state is not None else None
        known = self._authorities
        stamp = self._store.stamp()
        self._authorities = {
            name: known.get(name) or self._store.load(name) for name in state.trusted
        }
        self._state, self._stamp = state, stamp
        if before is not None and self.bundle.pem != before:
            for listener in self._listeners:
                listener(self.bundle)

    def _adopt(self, given: Authority, state: Rotation, now: datetime) -> Rotation:
        if given.id in state.trusted:
            return state
        if state.phase is not Phase.STEADY:
            _log.error(
                "the given CA is a new one, but a rotation is under way: it is taken up after that",
                extra={"given": given.id, "phase": state.phase},
            )
            return state
        current = self._store.load(state.signing)
        if all(root in current.roots for root in given.roots.roots):
            # A new intermediate under a root that everyone trusts already.
            _log.info("the CA's signing certificate is replaced", extra={"id": given.id})
            return self._keep(given, msgspec.structs.replace(state, signing=given.id))
        _log.warning("the given CA has another root: rotating to it", extra={"id": given.id})
        return self._keep(given, rotation.begin(state, given.id, now=now))

    def _new_root(self, now: datetime) -> Authority:
        return make_root(
            organization=self._settings.trust.own, now=now, life=self._settings.root_ttl
        )

    def _is_root_old(self, now: datetime) -> bool:
        root = self.signing.certificate
        if (
            self.state.phase is not Phase.STEADY
            or self._settings.cacerts
            or not self.signing.is_root
        ):
            return False
        return now >= root.renew_at(self._settings.root_renewal_share)
