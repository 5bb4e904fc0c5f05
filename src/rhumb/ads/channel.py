"""One type on one stream: what the client holds, and the next response it needs.

No I/O and no clock. What a client holds is written as "that table, restricted to its subscription",
plus small exceptions, so an idle stream costs the same however many resources it has.
"""

import enum
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from types import MappingProxyType
from typing import Generic, TypeVar

import msgspec

from rhumb.cache.encoded import Entry
from rhumb.cache.tables import Table
from rhumb.cache.versions import (
    Differences,
    Names,
    change_body,
    full_body,
    select,
)
from rhumb.xds import wire
from rhumb.xds.delta import NOBODY, DeltaWatch
from rhumb.xds.events import Answer
from rhumb.xds.sotw import SotwWatch
from rhumb.xds.types import XdsType

_NOTHING: Mapping[str, Entry | None] = MappingProxyType({})

Watch = TypeVar("Watch", DeltaWatch, SotwWatch)


class State(enum.StrEnum):
    """What `rhumb status` says of one type of one proxy."""

    NOT_SENT = "NOT SENT"
    SYNCED = "SYNCED"
    STALE = "STALE"
    NACK = "NACK"


class Refusal(msgspec.Struct, frozen=True, eq=False):
    """A resource that the client rejected, and what it had before (None: nothing)."""

    entry: Entry
    last_good: Entry | None
    stand_in: Entry | None = None
    """What was sent instead: the resource without patches, to a client that has none."""


class Sent(msgspec.Struct, frozen=True, eq=False):
    """A response that waits for its ACK."""

    nonce: str
    changed: tuple[Entry, ...]
    """What is new in it; for a full state, what it differs by from the one before."""
    at: float
    """Monotonic seconds."""


class Response(msgspec.Struct, frozen=True, eq=False):
    """A response to write: the bytes of a discovery response, nonce included."""

    data: bytes
    changed: tuple[Entry, ...]
    removed: int


class _Channel(Generic[Watch]):
    """What one client holds of one type, and what is owed to it."""

    __slots__ = (
        "accepted", "differences", "due", "error", "forced", "good", "initial", "leftover", "open",
        "refused", "rejects", "responses", "retries", "returns", "sent_at", "table", "version", "wanted",
        "watch",
    )  # fmt: skip

    def __init__(self, watch: Watch, differences: Differences) -> None:
        self.watch: Watch = watch
        self.differences = differences
        self.table: Table | None = None
        """The client holds this, restricted to its subscription; None before the first response."""
        self.good: Table | None = None
        """The last table that was accepted as a whole."""
        self.due = False
        """An answer is owed even if nothing changed."""
        self.wanted = NOBODY
        """Names to answer for in the next response."""
        self.forced = NOBODY
        """Names to send again although the client holds them."""
        self.initial: Mapping[str, str] = {}
        self.returns = False
        """The client came with resources of an earlier stream, which are in use."""
        self.version = ""
        """Of the full state that it came with."""
        self.leftover: Mapping[str, Entry | None] = _NOTHING
        """Held by the client, gone from the table, not yet removed: removals come last."""
        self.refused: Mapping[str, Refusal] = {}
        self.retries: tuple[tuple[Entry, ...], ...] = ()
        self.open: Sent | None = None
        self.error = ""
        """The client's words at its last rejection; "" once all is well again."""
        self.accepted = 0
        self.rejects = 0
        self.responses = 0
        self.sent_at = 0.0

    @property
    def is_fresh(self) -> bool:
        """Tell whether the client holds nothing of this type: nothing can break."""
        return self.table is None and not self.returns

    def owes(self, target: Table) -> bool:
        """Tell whether anything may have to be sent to get to `target`."""
        return (
            self.table is not target
            or self.due
            or bool(self.retries or self.forced or self.wanted or self.leftover)
        )

    @property
    def scope(self) -> Names | None:
        """Return the subscription as a filter: None for everything."""
        return None if self.watch.wildcard else self.watch.names

    def has_name(self, name: str) -> bool:
        """Tell whether the client wants this resource."""
        return self.watch.wildcard or name in self.watch.names

    def answer(self, action: Answer) -> None:
        """Owe the client an answer."""
        self.due = True
        self.wanted |= action.names
        if self.table is None:
            self.initial, self.returns = action.initial, action.returns
            self.version = action.version
        elif self.watch.wildcard and not action.names:
            self.table = None  # asked for everything again

    def unsubscribed(self) -> None:
        """Forget debts for names that the client no longer wants."""
        if not self.watch.wildcard:
            self.wanted &= self.watch.names
            if self.leftover:
                self.leftover = {n: e for n, e in self.leftover.items() if n in self.watch.names}

    def force(self, names: Iterable[str]) -> None:
        """Send these again even if the client holds them."""
        self.forced |= {name for name in names if self.has_name(name)}

    def is_settled(self, target: Table) -> bool:
        """Tell whether the client has answered for all it must have (removals apart)."""
        return not (
            self.open or self.retries or self.due or self.forced or self.table is not target
        )

    def state(self, target: Table) -> State:
        """Return the word for `rhumb status`."""
        if self.refused or self.error:
            return State.NACK
        if not self.responses and self.table is None:
            return State.NOT_SENT
        return State.SYNCED if self.is_settled(target) and not self.leftover else State.STALE

    def accept(self) -> None:
        """Take an ACK."""
        sent, self.open = self.open, None
        self.accepted += 1
        if self.refused and sent is not None:
            tried = {e.name: e for e in sent.changed}
            self.refused = {
                n: r for n, r in self.refused.items() if n not in tried or self._stands(r, tried[n])
            }
        if not self.retries:
            self.good = self.table
            if not self.refused:
                self.error = ""

    def _stands(self, refusal: Refusal, entry: Entry) -> bool:
        """Tell whether an entry was accepted in place of the one that was refused."""
        wanted = self.table.entries.get(entry.name) if self.table is not None else None
        return refusal.stand_in is entry and wanted is not entry

    def _rejected(self, error: str) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
        """Take a NACK; return what was sent, and the resources of it that the error is about."""
        sent, self.open = self.open, None
        self.rejects += 1
        self.error = error or "rejected without a reason"
        if sent is None or not sent.changed:
            return (), ()
        named = sent.changed if len(sent.changed) == 1 else mentioned(error, sent.changed)
        last = self.good.entries if self.good else {}
        fresh = {}
        for entry in named:
            before = self.refused.get(entry.name)
            good = before.last_good if before else last.get(entry.name)
            fresh[entry.name] = Refusal(entry, good)
        self.refused = {**self.refused, **fresh}
        return sent.changed, named

    def _went_out(self, changed: tuple[Entry, ...], nonce: str, now: float) -> None:
        self.open = Sent(nonce, changed, now)
        self.sent_at = now
        self.responses += 1
        self.due, self.wanted, self.forced, self.initial = False, NOBODY, NOBODY, {}
        self.watch.sent(nonce)

    def _move(self, target: Table, removed: tuple[Entry, ...]) -> None:
        """Take `target` as what the client has once the coming response is accepted."""
        gone = {e.name: e for e in removed if self.has_name(e.name)} if removed else {}
        if gone or self.leftover:
            kept = {n: e for n, e in self.leftover.items() if n not in target.entries}
            self.leftover = MappingProxyType({**kept, **gone})
        if self.refused:
            self.refused = {n: r for n, r in self.refused.items() if n in target.entries}
        self.table = target


class DeltaChannel(_Channel[DeltaWatch]):
    """Incremental: differences only."""

    __slots__ = ()

    def next(self, target: Table, *, may_remove: bool, nonce: str, now: float) -> Response | None:
        """Send what differs; removals only when they may go."""
        if self.retries:
            found = self._again(target, nonce, now)
            if found:
                return found
        first = self.table is None
        changed, body, missing = self._first(target) if first else self._difference(target)
        removed = missing
        if may_remove and self.leftover:
            removed = (*missing, *self.leftover)
            self.leftover = _NOTHING
        if not changed and not removed and not self._must_answer(first=first):
            self.due, self.wanted, self.forced, self.initial = False, NOBODY, NOBODY, {}
            return None
        if body is None or removed:
            body = change_body(target.type, changed, removed)
        self._went_out(changed, nonce, now)
        return Response(body + wire.delta_nonce(nonce), changed, len(removed))

    def _must_answer(self, *, first: bool) -> bool:
        # A client that brings what it holds waits for nothing; a new one waits for its first answer.
        return self.due and not (first and self.initial)

    def _first(self, target: Table) -> tuple[tuple[Entry, ...], bytes | None, tuple[str, ...]]:
        if self.initial:
            return self._returned(target)
        full = self.differences.between(None, target, self.scope)
        self._move(target, ())
        return full.changed, full.body, self._missing(target)

    def _returned(self, target: Table) -> tuple[tuple[Entry, ...], None, tuple[str, ...]]:
        """Compare with what the client brings: mostly it has all, and no response is spelled."""
        initial, forced, entries = self.initial, self.forced, target.entries
        self._move(target, ())
        wanted = select(target, self.scope)
        # Whole sets are compared first: who comes back has thousands of names, and mostly the same.
        there = {e.name: e.version for e in wanted}
        known = initial.keys() - forced
        missing = self._missing(target, known)
        if initial == there and not forced:
            return (), None, missing
        gone = (n for n in known - there.keys() if n not in entries and self.has_name(n))
        self.leftover = MappingProxyType(dict.fromkeys(gone))
        changed = tuple(e for e in wanted if initial.get(e.name) != e.version or e.name in forced)
        return changed, None, missing

    def _missing(self, target: Table, known: Set[str] = NOBODY) -> tuple[str, ...]:
        """Return the names to answer for that are not there; a client may wait for what is forced, too."""
        entries = target.entries
        return tuple(sorted(n for n in (self.wanted | self.forced) - known if n not in entries))

    def _difference(self, target: Table) -> tuple[tuple[Entry, ...], bytes | None, tuple[str, ...]]:
        assert self.table is not None
        difference = self.differences.between(self.table, target, self.scope)
        self._move(target, difference.removed)
        extra = self.wanted | self.forced
        if not extra:
            return difference.changed, difference.body, ()
        entries = target.entries
        extra -= {e.name for e in difference.changed}
        more = tuple(entries[n] for n in sorted(extra) if n in entries)
        missing = self._missing(target)
        if missing and self.leftover:
            self.leftover = {n: e for n, e in self.leftover.items() if n not in missing}
        return difference.changed + more, None, missing

    def _again(self, target: Table, nonce: str, now: float) -> Response | None:
        while self.retries:
            part, *rest = self.retries
            self.retries = tuple(rest)
            current = tuple(
                e for e in part if self._is_current(e, target) and self.has_name(e.name)
            )
            if not current:
                continue
            body = change_body(target.type, current) + wire.delta_nonce(nonce)
            owed = self.due, self.wanted, self.forced, self.initial
            self._went_out(current, nonce, now)
            self.due, self.wanted, self.forced, self.initial = owed
            return Response(body, current, 0)
        return None

    def reject(self, error: str) -> tuple[Entry, ...]:
        """Take a NACK; return the resources it is about, empty while that is not yet known.

        Whatever the client did not complain about is sent again without the culprit. If nothing
        tells who it is, halves are sent, until a response with one resource is rejected.
        """
        sent, named = self._rejected(error)
        if named:
            rest = (*(e for e in sent if e not in named), *self._stand_ins(named))
            self.retries = (rest, *self.retries) if rest else self.retries
        elif sent:
            middle = len(sent) // 2
            self.retries = (sent[:middle], sent[middle:], *self.retries)
        return named

    def _stand_ins(self, named: tuple[Entry, ...]) -> Iterator[Entry]:
        """Yield the resources without their patches where the client would otherwise have none."""
        for entry in named:
            refusal = self.refused[entry.name]
            if entry.without_patches is None or refusal.last_good is not None or self.returns:
                continue
            plain = entry.without_patches()
            stands = msgspec.structs.replace(refusal, stand_in=plain)
            self.refused = {**self.refused, entry.name: stands}
            yield plain

    def _is_current(self, entry: Entry, target: Table) -> bool:
        refusal = self.refused.get(entry.name)
        if refusal is not None and refusal.stand_in is entry:
            return _is_current(refusal.entry, target)
        return _is_current(entry, target)


class SotwChannel(_Channel[SotwWatch]):
    """State of the world: everything the client wants, each time something of it changed."""

    __slots__ = ()

    def next(self, target: Table, *, may_remove: bool, nonce: str, now: float) -> Response | None:
        """Send everything if something changed; what is to be removed stays in it until it may go."""
        scope, before = self.scope, self.table
        if before is None and self._is_held(target, scope):
            self._move(target, ())
            self.good = target
            self.due, self.wanted = False, NOBODY
            return None
        difference = self.differences.between(before, target, scope)
        self._move(target, difference.removed)
        release = may_remove and bool(self.leftover)
        if release:
            self.leftover = _NOTHING
        again = bool(self.retries or self.forced)
        if not (difference.changed or release or self.due or again):
            return None
        self.retries = ()
        if not self.refused and not self.leftover:
            body = self.differences.whole(target, scope)[1]
        else:
            body = full_body(target, self._entries(target, difference.changed))
        body += self._absent(target) + wire.sotw_nonce(nonce)
        self._went_out(difference.changed, nonce, now)
        return Response(body, difference.changed, int(release))

    def _is_held(self, target: Table, scope: Names | None) -> bool:
        """Tell whether the client came with this very state, and waits for nothing else."""
        if not self.version or self.forced or self._absent(target):
            return False
        # Equal versions are equal states, and a response begins with its version.
        return self.differences.whole(target, scope)[1].startswith(wire.field(1, self.version))

    def _absent(self, target: Table) -> bytes:
        """Spell assignments without endpoints for the names that have none: clusters wait for an answer."""
        if target.type is not XdsType.EDS:
            return b""
        known, last = target.entries, self.leftover
        names = sorted(n for n in self.watch.names if n not in known and n not in last)
        kind = target.type.value
        return b"".join(wire.field(2, wire.any_value(kind, wire.field(1, n))) for n in names)

    def _entries(self, target: Table, tried: tuple[Entry, ...]) -> list[Entry]:
        """Return the whole state, with the last good version of what was refused and has not changed since."""
        fresh = {entry.name for entry in tried}
        out: list[Entry] = []
        for entry in select(target, self.scope):
            refusal = None if entry.name in fresh else self.refused.get(entry.name)
            good = entry if refusal is None else refusal.last_good
            if good is not None:
                out.append(good)
        out += [entry for entry in self.leftover.values() if entry is not None]
        return out

    def reject(self, error: str) -> tuple[Entry, ...]:
        """Take a NACK; return the resources it is about, empty when the client does not say.

        The whole state goes out once more, with the last good version in the culprits' places.
        Nothing is tried when they are not known: Envoy names them for the types it wants in full.
        """
        sent, named = self._rejected(error)
        self.retries = (sent,) if named else ()
        return named


Channel = DeltaChannel | SotwChannel


def _is_current(entry: Entry, target: Table) -> bool:
    known = target.entries.get(entry.name)
    return known is not None and known.version == entry.version


def mentioned(error: str, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return the resources whose names stand in the client's words as whole names."""
    return tuple(
        entry
        for entry in entries
        if entry.name in error
        and re.search(rf"(?<![\w|./-]){re.escape(entry.name)}(?![\w|/-]|\.\w)", error)
    )
