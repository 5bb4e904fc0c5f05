"""One moment of the world: (view, type) to a table, translated once for all equal proxies."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

import msgspec

from rhumb.cache.encoded import Encoded, Entry
from rhumb.cache.tables import Step, Table, Units, join
from rhumb.ir.origin import Origin
from rhumb.ir.patch import Added
from rhumb.model.proxy import Role
from rhumb.snapshot.affects import EVERYTHING, Impact
from rhumb.snapshot.snapshot import Scope, Snapshot
from rhumb.snapshot.view import View
from rhumb.translate.memory import Memory
from rhumb.translate.news import News
from rhumb.translate.proxy import BY_HOST, Part
from rhumb.xds.types import XdsType


class Named(Protocol):
    """An IR value that becomes one xDS resource."""

    @property
    def name(self) -> str:
        """Return the resource name."""
        ...


Hosts = frozenset[str] | None


class Translator(Protocol):
    """What makes IR values: rhumb.translate.proxy, or it with more types. Pure."""

    def parts(self, snapshot: Snapshot, view: View, kind: XdsType) -> tuple[Part, ...]:
        """Return the parts of what a view receives."""
        ...

    def translate(
        self, snapshot: Snapshot, part: Part, hosts: Hosts, memory: Memory
    ) -> Iterable[tuple[str, Iterable[Named]]]:
        """Yield the values of a part unit by unit; `hosts` are the units wanted where they are hosts.

        The very same tuple of values as last time says that a unit is as it was.
        """
        ...


class Failure(msgspec.Struct, frozen=True):
    """What could not be made: by a defect of ours, or of a patch, contained to the resource it struck."""

    type: XdsType
    resource: str
    """Name of the resource; empty when the whole type could not be translated."""
    error: str
    kept: bool
    """The last good version stays in force; otherwise the resource is missing."""
    patch: Origin | None = None
    """The patch that was left out; None: the defect is ours."""


class _Held(msgspec.Struct, frozen=True, eq=False):
    """A part as it was made, and what has happened since."""

    table: Table
    units: Units
    sources: Mapping[str, tuple[Named, ...]]
    """What the units were made of, where that may come again."""
    memory: Memory
    scope: Scope
    since: Impact
    """Nothing (the empty Impact) while it is of this very snapshot."""

    def later(self, impact: Impact) -> "_Held":
        """Return it with one more thing that has happened."""
        since = impact if self.since is _NOTHING else self.since.then(impact)
        return msgspec.structs.replace(self, since=since)


class _View(msgspec.Struct, eq=False):
    """A view as it stands in one snapshot."""

    common: View
    parts: dict[XdsType, tuple[Part, ...]]
    earlier: Mapping[XdsType, Table]
    """What it had before."""
    tables: dict[XdsType, Table]


_NOTHING = Impact()
_NO_HOSTS: frozenset[str] = frozenset()


class Views:
    """What every view receives from one snapshot. Tables are made on first demand and never change."""

    def __init__(
        self,
        snapshot: Snapshot,
        translator: Translator,
        encoded: Encoded,
        failed: Callable[[Failure], None],
    ) -> None:
        self.snapshot = snapshot
        self._translator = translator
        self._encoded = encoded
        self._failed = failed
        self._numbers: Iterator[int] = itertools.count(1)
        self._made: dict[Part, _Held] = {}
        self._before: Mapping[Part, _Held] = {}
        self._views: dict[View, _View] = {}
        self._wanted: dict[Part, Hosts] = {}

    def following(
        self, snapshot: Snapshot, live: Iterable[View], impact: Impact = EVERYTHING
    ) -> "Views":
        """Return the views of the next snapshot; tables of live views are shared where nothing changed.

        What has no part in the `impact` is not even looked at.
        """
        out = Views(snapshot, self._translator, self._encoded, self._failed)
        out._numbers = self._numbers
        held: dict[Part, _Held] = {}
        for view in live:
            was = self._views.get(view)
            if was is None:
                continue
            for part in itertools.chain.from_iterable(was.parts.values()):
                # A part that nobody asked for in this snapshot stays what it was in an earlier one,
                # and what happened since then must not be forgotten.
                if part not in held and (known := self._made.get(part) or self._before.get(part)):
                    held[part] = known.later(impact)
            common = snapshot.common(view)
            parts = was.parts if common is was.common else {}
            out._views[view] = _View(common, parts, {**was.earlier, **was.tables}, {})
        out._before = held
        return out

    def table(self, view: View, kind: XdsType) -> Table:
        """Return what the view has of one type."""
        seen = self._views.get(view)
        if seen is None:
            seen = self._views[view] = _View(self.snapshot.common(view), {}, {}, {})
        found = seen.tables.get(kind)
        if found is None:
            found = seen.tables[kind] = self._table(view, kind, seen)
        return found

    def stale(self, view: View) -> bool:
        """Tell whether some table that the view had may be another one now; False is a promise."""
        seen = self._views.get(view)
        return seen is None or any(
            self._outdated(part) != _NO_HOSTS
            for kind in seen.earlier
            for part in self._parts(view, kind, seen)
        )

    def known(self) -> Iterator[Table]:
        """Yield the tables made so far."""
        for seen in self._views.values():
            yield from seen.tables.values()

    def _parts(self, view: View, kind: XdsType, seen: _View) -> tuple[Part, ...]:
        found = seen.parts.get(kind)
        if found is None:
            found = seen.parts[kind] = self._translator.parts(self.snapshot, view, kind)
        return found

    def _table(self, view: View, kind: XdsType, seen: _View) -> Table:
        pieces = tuple(self._piece(part) for part in self._parts(view, kind, seen))
        if len(pieces) == 1:
            return pieces[0]
        before = seen.earlier.get(kind)
        if before is not None and pieces and before.pieces == pieces:
            return before  # tables compare by identity
        return join(kind, next(self._numbers), pieces)

    def _piece(self, part: Part) -> Table:
        held = self._made.get(part)
        if held is None:
            held = self._made[part] = self._hold_now(part)
        return held.table

    def _hold_now(self, part: Part) -> _Held:
        before = self._before.get(part)
        scope = self.snapshot.scope(part.view)
        hosts = self._outdated(part)
        if before is not None and hosts == _NO_HOSTS:
            return msgspec.structs.replace(before, scope=scope, since=_NOTHING)
        try:
            memory = _memory(part, before, scope)
            made = self._translator.translate(self.snapshot, part, hosts, memory)
            plans = [(unit, tuple(values)) for unit, values in made]
        except Exception as error:  # noqa: BLE001 - a defect in one type must not stop the others
            self._report(part.kind, None, error, kept=before is not None)
            if before is None:
                nothing = Table(part.kind, next(self._numbers), {})
                return _Held(nothing, {}, {}, Memory(), scope, EVERYTHING)
            # Made anew at the next change, whatever that is about.
            return msgspec.structs.replace(before, since=EVERYTHING)
        table, units = self._replaced(part, plans, before, whole=hosts is None)
        sources = dict(plans) if part.kind is XdsType.VHDS else {}
        return _Held(table, units, sources, memory, scope, _NOTHING)

    def _replaced(
        self,
        part: Part,
        plans: list[tuple[str, tuple[Named, ...]]],
        before: _Held | None,
        *,
        whole: bool,
    ) -> tuple[Table, Units]:
        """Return the table with some units anew, or all of them."""
        old = before.units if before is not None else {}
        last = before.table.entries if before is not None else {}
        units = {} if whole else dict(old)
        changed: list[Entry] = []
        removed: dict[str, Entry] = {}
        if whole:
            removed = {e.name: e for u in old.keys() - {u for u, _ in plans} for e in old[u]}
        for unit, values in plans:
            was = old.get(unit, ())
            if before is not None and before.sources.get(unit) is values:
                units[unit] = was
                continue
            now = tuple(self._entries(part.kind, values, last))
            if len(was) == len(now) and all(map(_same, was, now)):
                now = was
            else:
                known = {e.name: e for e in was}
                changed += [e for e in now if not _same(known.get(e.name), e)]
                removed |= {n: e for n, e in known.items() if n not in {e.name for e in now}}
            if now:
                units[unit] = now
            else:
                units.pop(unit, None)
        if before is not None and not changed and not removed:
            return before.table, units
        entries = dict(last) if not whole else {}
        if whole:
            entries = {e.name: e for unit in units.values() for e in unit}
        else:
            for name in removed:
                entries.pop(name, None)
            entries |= {e.name: e for e in changed}
        gone = tuple(e for n, e in removed.items() if n not in entries)
        step = None
        if before is not None:
            step = Step(before.table.number, tuple(changed), gone)
        return Table(part.kind, next(self._numbers), entries, (), step), units

    def _entries(
        self, kind: XdsType, values: Iterable[Named], last: Mapping[str, Entry]
    ) -> Iterator[Entry]:
        for value in values:
            try:
                entry = self._encoded[value]
            except Exception as error:  # noqa: BLE001 - one resource may not stop its neighbours
                kept = last.get(value.name)
                self._report(kind, value, error, kept=kept is not None)
                if kept is not None:
                    yield kept
                continue
            if entry.left_out and last.get(entry.name) is not entry:
                for left in entry.left_out:
                    self._failed(
                        Failure(kind, entry.name, left.reason, kept=True, patch=left.origin)
                    )
            yield entry

    def _outdated(self, part: Part) -> Hosts:
        """Return the units of a part that may not be as they were: none, some hosts, or (None) any."""
        if part not in self._wanted:
            held = self._before.get(part)
            self._wanted[part] = _wanted(part, held, self.snapshot) if held is not None else None
        return self._wanted[part]

    def _report(self, kind: XdsType, value: Named | None, error: Exception, *, kept: bool) -> None:
        name = value.name if value is not None else ""
        if isinstance(value, Added):
            failure = Failure(kind, name, str(error), kept, value.patch.origin)
        else:
            failure = Failure(kind, name, f"{type(error).__name__}: {error}", kept)
        self._failed(failure)


def _same(one: Entry | None, other: Entry) -> bool:
    return one is other or (
        one is not None and one.version == other.version and one.name == other.name
    )


def _memory(part: Part, before: _Held | None, scope: Scope) -> Memory:
    """Return what to begin a translation with: what was, and what differs since."""
    if before is None or before.since.is_full:
        return Memory()
    impact = before.since
    news = News(
        hosts=impact.seen(before.scope, scope),
        rules_of_others=any(key.kind == "VirtualService" for key in impact.keys),
        is_wide=part.kind in impact.wide,
    )
    return before.memory.since(news, listens=XdsType.LDS in impact.types)


def _wanted(part: Part, held: _Held, snapshot: Snapshot) -> Hosts:
    impact, view, kind = held.since, part.view, part.kind
    if impact.is_full:
        return None
    if not part.is_common and view.role is Role.SIDECAR:
        served = (instance.hostname for instance in view.instances)
        touched = kind in impact.wide or not impact.hostnames.isdisjoint(served)
        return None if touched else _NO_HOSTS
    scope = snapshot.scope(view)
    if part.is_common and kind in BY_HOST:
        return impact.hosts(kind, held.scope, scope)
    return None if kind in impact.types and impact.matters(held.scope, scope) else _NO_HOSTS
