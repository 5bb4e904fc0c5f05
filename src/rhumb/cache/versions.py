"""What a view has, and what is different from what it had: computed and encoded once for all streams."""

import hashlib
import itertools
from collections import OrderedDict
from collections.abc import Iterable

import msgspec

from rhumb.cache.encoded import Entry
from rhumb.cache.tables import Table
from rhumb.xds import wire
from rhumb.xds.types import XdsType

Names = frozenset[str]


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
        self._nones: dict[XdsType, Difference] = {}
        self.size = 0

    def __len__(self) -> int:
        return len(self._known) + len(self._whole)

    def intern(self, names: Names) -> Names:
        """Return one shared object for all equal sets, so that a stream holds no set of its own."""
        found = self._names.setdefault(names, names)
        self._names.move_to_end(found)
        if len(self._names) > self._limit:
            self._names.popitem(last=False)
        return found

    def between(self, before: Table | None, after: Table, names: Names | None) -> Difference:
        """Return the difference, restricted to `names` (None: all)."""
        if before is after:
            return self._none(after.type)
        key = (before.number if before else 0, after.number, names)
        found = self._known.get(key)
        if found is None:
            found = _difference(self, before, after, names)
            if after.pieces and before is None and names is None:
                return found  # its pieces are remembered; the whole is for few
            self._known[key] = found
            self.size += len(found.body)
            self._trim()
        else:
            self._known.move_to_end(key)
        return found

    def _none(self, kind: XdsType) -> Difference:
        if kind not in self._nones:
            self._nones[kind] = Difference((), (), change_body(kind, ()))
        return self._nones[kind]

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
    if names is not None:
        return _restricted(memo, before, after, names)
    if after.pieces and (before is None or len(before.pieces) == len(after.pieces)):
        return _joined(memo, before, after)
    if before is None:
        changed = tuple(after.all())
        return Difference(changed, (), change_body(after.type, changed))
    step = after.step
    if step is not None and step.number == before.number:
        return Difference(step.changed, step.removed, change_body(after.type, step.changed))
    old, new = before.entries, after.entries
    changed = tuple(e for n, e in new.items() if n not in old or old[n].version != e.version)
    removed = tuple(e for n, e in old.items() if n not in new)
    return Difference(changed, removed, change_body(after.type, changed))


def _restricted(memo: Differences, before: Table | None, after: Table, names: Names) -> Difference:
    if before is None:
        changed = select(after, names)
        return Difference(changed, (), change_body(after.type, changed))
    whole = memo.between(before, after, None)
    changed = tuple(e for e in whole.changed if e.name in names)
    removed = tuple(e for e in whole.removed if e.name in names)
    same = len(changed) == len(whole.changed)
    return Difference(changed, removed, whole.body if same else change_body(after.type, changed))


def _joined(memo: Differences, before: Table | None, after: Table) -> Difference:
    """Return the differences of all pieces as one; where only one piece differs, that very one."""
    if before is None:
        if not after.is_apart:
            changed = tuple(after.all())
            return Difference(changed, (), change_body(after.type, changed))
        # Repeated fields of concatenated messages append: bodies need not be made anew.
        first = [memo.between(None, piece, None) for piece in after.pieces]
        changed = tuple(itertools.chain.from_iterable(each.changed for each in first))
        return Difference(changed, (), b"".join(each.body for each in first))
    pairs = zip(before.pieces, after.pieces, strict=True)
    found = [memo.between(old, new, None) for old, new in pairs if old is not new]
    # Only what differs in a piece is looked at: whether it is hidden by, or has gone to, another.
    names = dict.fromkeys(e.name for each in found for e in (*each.changed, *each.removed))
    old, new = before.entries, after.entries
    both = [(old.get(name), new.get(name)) for name in names]
    changed = tuple(
        now for was, now in both if now is not None and (was is None or was.version != now.version)
    )
    removed = tuple(was for was, now in both if now is None and was is not None)
    for each in found:
        if each.changed == changed and each.removed == removed:
            return each
    return Difference(changed, removed, change_body(after.type, changed))


def select(table: Table, names: Names | None) -> tuple[Entry, ...]:
    """Return the entries with these names (None: all), in the order of the table."""
    if names is None:
        return tuple(table.all())
    if len(names) < len(table.entries) // 4:
        return tuple(table.entries[n] for n in sorted(names) if n in table.entries)
    return tuple(e for n, e in table.entries.items() if n in names)


def change_body(kind: XdsType, changed: Iterable[Entry], removed: Iterable[str] = ()) -> bytes:
    """Spell a DeltaDiscoveryResponse without nonce."""
    return wire.delta_body(kind.value, (e.spelled for e in changed), removed)


def full_body(table: Table, entries: Iterable[Entry]) -> bytes:
    """Spell a DiscoveryResponse without nonce; its version says what is in it, in whatever order."""
    held = tuple(entries)
    listed = "\n".join(sorted(f"{e.name} {e.version}" for e in held))
    version = hashlib.blake2b(listed.encode(), digest_size=8).hexdigest()
    return wire.sotw_body(table.type.value, version, (e.packed for e in held))
