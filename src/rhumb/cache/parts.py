"""Parts of what views receive: each translated once for all views that have it, and again where it may differ."""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Protocol

import msgspec

from rhumb.cache.encoded import Encoded, Entry
from rhumb.cache.tables import Step, Table, Units
from rhumb.ir.origin import Origin
from rhumb.ir.patch import Added
from rhumb.model.proxy import Role
from rhumb.snapshot.affects import EVERYTHING, Impact
from rhumb.snapshot.snapshot import Scope, Snapshot
from rhumb.snapshot.view import View
from rhumb.translate.memory import Memory, Shared
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


class _Held(msgspec.Struct, eq=False):
    """A part as it was made, and what has happened since."""

    table: Table
    units: Units
    sources: Mapping[str, tuple[Named, ...]]
    """What the units were made of, where that may come again."""
    memory: Memory
    scope: Scope
    moment: int
    """The move after which the table was made."""
    since: Impact | None = None
    """None while nothing has happened that may matter."""


_NO_HOSTS: frozenset[str] = frozenset()
_OF_SERVICES = (XdsType.NDS, XdsType.SDS)
"""Types that are made of services alone: routes do not matter to them."""


class Parts:
    """All parts that are in use, in step with one snapshot. Their tables never change."""

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
        self._held: dict[Part, _Held] = {}
        self._own: dict[str, dict[Part, None]] = {}
        """Parts that sidecars have of their own, by the hosts that they serve ("": all of them)."""
        self._others: dict[Part, None] = {}
        self._shared = Shared()
        """What parts of one view can share, in this snapshot."""
        self._hosts: dict[tuple[int, Scope, Scope], tuple[Impact, frozenset[str]]] = {}
        """What was asked in this snapshot; it holds the impacts that its keys tell by identity."""
        self._moves = 0
        self._broken: dict[Part, None] = {}
        """Parts that could not be translated: tried again whatever changes."""

    def __len__(self) -> int:
        return len(self._held)

    def number(self) -> int:
        """Return the number of a new table."""
        return next(self._numbers)

    def table(self, part: Part) -> Table:
        """Return what a part consists of now."""
        held = self._held.get(part)
        if held is None:
            held = self._held[part] = self._made(part, None, None)
            self._enter(part)
        elif held.since is not None:
            hosts = self._wanted(part, held)
            if hosts != _NO_HOSTS:
                held = self._held[part] = self._made(part, held, hosts)
        return held.table

    def is_fresh(self, part: Part) -> bool:
        """Tell whether what a part consists of now came to be in this snapshot."""
        self.table(part)
        return self._held[part].moment == self._moves

    def is_stale(self, part: Part) -> bool:
        """Tell whether a part may not be any more what it was; False is a promise."""
        held = self._held.get(part)
        return held is None or (held.since is not None and self._wanted(part, held) != _NO_HOSTS)

    def move(self, snapshot: Snapshot, impact: Impact) -> set[View]:
        """Go on to another snapshot; return the sidecars whose own parts it may concern."""
        self.snapshot = snapshot
        self._moves += 1
        self._shared = Shared()
        self._hosts.clear()
        for part in self._others:
            _happened(self._held[part], impact)
        touched = {}
        if impact.is_full or impact.wide:
            everyone = self._own.get("", {})
            touched = {p: None for p in everyone if impact.is_full or p.kind in impact.wide}
        for host in impact.hostnames:
            touched.update(self._own.get(host, {}))
        for part in touched:
            _happened(self._held[part], impact)
        for part in self._broken:
            _happened(self._held[part], EVERYTHING)
            touched[part] = None
        self._broken = {}
        return {part.view for part in touched}

    def keep(self, used: Collection[Part]) -> None:
        """Forget all other parts."""
        for part in [part for part in self._held if part not in used]:
            del self._held[part]
            self._others.pop(part, None)
            self._broken.pop(part, None)
            for host in ("", *_served(part)):
                if (found := self._own.get(host)) is not None:
                    found.pop(part, None)
                    if not found:
                        del self._own[host]

    def _enter(self, part: Part) -> None:
        if is_own(part):
            for host in ("", *_served(part)):
                self._own.setdefault(host, {})[part] = None
        else:
            self._others[part] = None

    def _wanted(self, part: Part, held: _Held) -> Hosts:
        """Return the units of a part that may not be as they were: none, some hosts, or (None) any."""
        impact = held.since
        assert impact is not None
        scope = self.snapshot.scope(part.view)
        found = _reached(part, impact, held.scope, scope)
        if found == _NO_HOSTS:
            held.since, held.scope = None, scope
        return found

    def _made(self, part: Part, before: _Held | None, hosts: Hosts) -> _Held:
        scope = self.snapshot.scope(part.view)
        try:
            memory = self._memory(part, before, scope)
            made = self._translator.translate(self.snapshot, part, hosts, memory)
            plans = [(unit, tuple(values)) for unit, values in made]
        except Exception as error:  # noqa: BLE001 - a defect in one type must not stop the others
            self._report(part.kind, None, error, kept=before is not None)
            nothing = Table(part.kind, self.number(), {})
            self._broken[part] = None
            failed = before or _Held(nothing, {}, {}, Memory(), scope, self._moves)
            return msgspec.structs.replace(failed, memory=Memory(), since=None)
        table, units = self._replaced(part, plans, before, whole=hosts is None)
        sources = dict(plans) if part.kind is XdsType.VHDS else {}
        is_same = before is not None and before.table is table
        moment = before.moment if before is not None and is_same else self._moves
        return _Held(table, units, sources, memory, scope, moment)

    def _memory(self, part: Part, before: _Held | None, scope: Scope) -> Memory:
        """Return what to begin a translation with: what was, and what differs since."""
        impact = before.since if before is not None else None
        if before is None or impact is None or impact.is_full:
            return Memory(shared=self._shared)
        news = News(
            hosts=self._seen(impact, before.scope, scope),
            rules=any(key.kind == "VirtualService" for key in impact.keys),
            is_wide=part.kind in impact.wide,
        )
        return before.memory.since(
            news,
            listens=XdsType.LDS in impact.types,
            anywhere=XdsType.LDS in impact.wide,
            shared=self._shared,
        )

    def _seen(self, impact: Impact, before: Scope, after: Scope) -> frozenset[str]:
        """Return the hosts that are not as they were for a scope: once for all parts that ask the same."""
        key = (id(impact), before, after)
        found = self._hosts.get(key)
        if found is None:
            found = self._hosts[key] = (impact, impact.seen(before, after))
        return found[1]

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
        return Table(part.kind, self.number(), entries, step=step), units

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


def is_own(part: Part) -> bool:
    """Tell whether a part is about a sidecar itself: then little can concern it."""
    return not part.is_common and part.view.role is Role.SIDECAR


def _happened(held: _Held, impact: Impact) -> None:
    held.since = impact if held.since is None else held.since.then(impact)


def _served(part: Part) -> Iterator[str]:
    if not part.is_common:
        yield from {instance.hostname for instance in part.view.instances}


def _reached(part: Part, impact: Impact, before: Scope, after: Scope) -> Hosts:
    kind = part.kind
    if impact.is_full:
        return None
    if part.is_common and kind in BY_HOST:
        return impact.hosts(kind, before, after)
    if part.is_common and kind in _OF_SERVICES:
        return None if impact.hosts(kind, before, after) != _NO_HOSTS else _NO_HOSTS
    if is_own(part):
        touched = kind in impact.wide or not impact.hostnames.isdisjoint(_served(part))
        return None if touched else _NO_HOSTS
    return None if kind in impact.types and impact.matters(before, after) else _NO_HOSTS
