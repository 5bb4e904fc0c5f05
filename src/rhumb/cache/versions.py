"""What a view has, and what is different from what it had: computed and encoded once for all streams."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping

import msgspec

from rhumb.cache.encoded import Entry
from rhumb.xds import wire
from rhumb.xds.types import XdsType

Names = frozenset[str]


class Table(msgspec.Struct, frozen=True, eq=False, weakref=True):
    """All resources of one type for one view, at one moment. A stream remembers only which table it has."""

    type: XdsType
    number: int
    """Unique among the tables of this process."""
    entries: Mapping[str, Entry]

    def same(self, entries: Mapping[str, Entry]) -> bool:
        """Tell whether these entries are, version for version, what the table has."""
        mine = self.entries
        if len(mine) != len(entries):
            return False
        for name, entry in entries.items():
            known = mine.get(name)
            if known is not entry and (known is None or known.version != entry.version):
                return False
        return True


class Difference(msgspec.Struct, frozen=True, eq=False):
    """What has to be sent to go from one table to another."""

    changed: tuple[Entry, ...]
    """Added or changed, in the order of the new table."""
    removed: tuple[Entry, ...]
    """As the old table had them."""
    body: bytes
    """A DeltaDiscoveryResponse with the changed ones and no nonce."""


class Differences:
    """A bounded memo of differences and response bodies, and the pool of equal subscriptions."""

    def __init__(self, limit: int = 1024, limit_bytes: int = 64 << 20) -> None:
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._known: OrderedDict[tuple[int, int, Names | None], Difference] = OrderedDict()
        self._whole: OrderedDict[tuple[int, Names | None], tuple[tuple[Entry, ...], bytes]] = (
            OrderedDict()
        )
        self._names: OrderedDict[Names, Names] = OrderedDict()
        self.size = 0

    def intern(self, names: Names) -> Names:
        """Return one shared object for all equal sets, so that a stream holds no set of its own."""
        found = self._names.setdefault(names, names)
        self._names.move_to_end(found)
        if len(self._names) > self._limit:
            self._names.popitem(last=False)
        return found

    def between(self, before: Table | None, after: Table, names: Names | None) -> Difference:
        """Return the difference, restricted to `names` (None: all)."""
        key = (before.number if before else 0, after.number, names)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = _difference(self, before, after, names)
            self.size += len(found.body)
            self._trim()
        else:
            self._known.move_to_end(key)
        return found

    def whole(self, table: Table, names: Names | None) -> tuple[tuple[Entry, ...], bytes]:
        """Return all entries (of `names`), and a DiscoveryResponse with them and no nonce."""
        key = (table.number, names)
        found = self._whole.get(key)
        if found is None:
            entries = select(table, names)
            found = entries, full_body(table, entries)
            self._whole[key] = found
            self.size += len(found[1])
            self._trim()
        else:
            self._whole.move_to_end(key)
        return found

    def _trim(self) -> None:
        while self._known and (len(self._known) > self._limit or self.size > self._limit_bytes):
            self.size -= len(self._known.popitem(last=False)[1].body)
        while self._whole and (len(self._whole) > self._limit or self.size > self._limit_bytes):
            self.size -= len(self._whole.popitem(last=False)[1][1])


def _difference(
    memo: Differences, before: Table | None, after: Table, names: Names | None
) -> Difference:
    changed: tuple[Entry, ...]
    removed: tuple[Entry, ...] = ()
    if before is None:
        changed = select(after, names)
    elif names is None:
        old, new = before.entries, after.entries
        changed = tuple(e for n, e in new.items() if n not in old or old[n].version != e.version)
        removed = tuple(e for n, e in old.items() if n not in new)
    else:
        whole = memo.between(before, after, None)
        changed = tuple(e for e in whole.changed if e.name in names)
        removed = tuple(e for e in whole.removed if e.name in names)
    return Difference(changed, removed, change_body(after.type, changed))


def select(table: Table, names: Names | None) -> tuple[Entry, ...]:
    """Return the entries with these names (None: all), in the order of the table."""
    if names is None:
        return tuple(table.entries.values())
    if len(names) < len(table.entries) // 4:
        return tuple(table.entries[n] for n in sorted(names) if n in table.entries)
    return tuple(e for n, e in table.entries.items() if n in names)


def change_body(kind: XdsType, changed: Iterable[Entry], removed: Iterable[str] = ()) -> bytes:
    """Spell a DeltaDiscoveryResponse without nonce."""
    return wire.delta_body(kind.value, ((e.name, e.version, e.packed) for e in changed), removed)


def full_body(table: Table, entries: Iterable[Entry]) -> bytes:
    """Spell a DiscoveryResponse without nonce."""
    return wire.sotw_body(table.type.value, str(table.number), (e.packed for e in entries))
