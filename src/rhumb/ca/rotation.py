"""Changing the root without an error, as a pure state machine.

    STEADY    one authority signs, its roots are trusted
      begin ->
    TRUSTING  the old one signs, both are trusted: everyone learns the new root first
      after the trust period ->
    SIGNING   the new one signs, both are trusted: what the old one signed runs out
      after the last certificate of the old one ->
    STEADY    the new one signs, and the old root is trusted no longer

While SIGNING, the control plane itself still shows a certificate of the old authority: a proxy that
slept through the trust period can still connect, and learns the new root.
"""

import enum
from datetime import datetime, timedelta

import msgspec

from rhumb.base.errors import RhumbError


class Phase(enum.StrEnum):
    """Where a rotation stands."""

    STEADY = "steady"
    TRUSTING = "trusting"
    SIGNING = "signing"


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """Which authorities (by id) are in force, and for what."""

    signing: str
    """Signs workload certificates."""
    other: str = ""
    """While TRUSTING the coming authority, while SIGNING the leaving one."""
    phase: Phase = Phase.STEADY
    since: datetime
    """When the phase began."""
    issued_until: datetime
    """No certificate signed by `signing` so far lives longer than this."""
    leaving_until: datetime | None = None
    """While SIGNING: no certificate of the leaving authority lives longer than this."""

    @property
    def trusted(self) -> tuple[str, ...]:
        """Return the ids of the authorities whose roots are trusted, the older one first."""
        if self.phase is Phase.SIGNING:
            return (self.other, self.signing)
        return (self.signing, self.other) if self.other else (self.signing,)

    @property
    def serving(self) -> str:
        """Return the id of the authority that signs the control plane's own certificate."""
        return self.other if self.phase is Phase.SIGNING else self.signing


def start(authority: str, *, now: datetime) -> Rotation:
    """Return the first state: one authority, nothing issued yet."""
    return Rotation(signing=authority, since=now, issued_until=now)


def begin(state: Rotation, coming: str, *, now: datetime) -> Rotation:
    """Start to trust another authority.

    Raises RhumbError when a rotation is under way, or the authority is already in force.
    """
    if state.phase is not Phase.STEADY:
        raise RhumbError(
            f"a rotation is under way since {state.since:%Y-%m-%d %H:%M:%S} UTC ({state.phase})",
            hint="see rhumb ca show; finish it with rhumb ca rotate --advance",
        )
    if coming == state.signing:
        raise RhumbError(f"authority {coming} signs already")
    return msgspec.structs.replace(state, other=coming, phase=Phase.TRUSTING, since=now)


def advance(state: Rotation, *, now: datetime) -> Rotation:
    """Take the next step, due or not.

    Raises RhumbError when no rotation is under way.
    """
    if state.phase is Phase.TRUSTING:
        return Rotation(
            signing=state.other,
            other=state.signing,
            phase=Phase.SIGNING,
            since=now,
            issued_until=now,
            leaving_until=state.issued_until,
        )
    if state.phase is Phase.SIGNING:
        return Rotation(signing=state.signing, since=now, issued_until=state.issued_until)
    raise RhumbError("no rotation is under way", hint="begin one with rhumb ca rotate")


def due_at(state: Rotation, *, trust_period: timedelta) -> datetime | None:
    """Return when the next step may be taken without breaking anyone; None when steady."""
    if state.phase is Phase.TRUSTING:
        return state.since + trust_period
    if state.phase is Phase.SIGNING:
        return max(state.leaving_until or state.since, state.since)
    return None


def step(state: Rotation, *, now: datetime, trust_period: timedelta) -> Rotation:
    """Take the next step if it is due; otherwise return the state unchanged.

    A clock that was moved back merely waits longer.
    """
    due = due_at(state, trust_period=trust_period)
    return advance(state, now=now) if due is not None and now >= due else state


def issued(state: Rotation, expires: datetime, *, by: str) -> Rotation:
    """Note that an authority signed a certificate with this end."""
    if by == state.signing and expires > state.issued_until:
        return msgspec.structs.replace(state, issued_until=expires)
    if by == state.other and state.leaving_until is not None and expires > state.leaving_until:
        return msgspec.structs.replace(state, leaving_until=expires)
    return state
