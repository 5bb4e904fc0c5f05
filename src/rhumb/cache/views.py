"""One moment of the world: (view, type) to a table, joined from the parts that make it up."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from weakref import WeakValueDictionary

import msgspec

from rhumb.cache.encoded import Encoded
from rhumb.cache.parts import Failure, Named, Parts, Translator, is_own
from rhumb.cache.tables import Table, join
from rhumb.snapshot.affects import EVERYTHING, Impact
from rhumb.snapshot.snapshot import Snapshot
from rhumb.snapshot.view import View
from rhumb.translate.proxy import Part
from rhumb.xds.types import XdsType

__all__ = ["Failure", "Named", "Translator", "Views"]


Shape = tuple[View, View]
"""What of a view decides on all that is not about the proxy itself: common and public."""


class _View(msgspec.Struct, eq=False):
    """A view and what it has."""

    shape: Shape
    parts: dict[XdsType, tuple[Part, ...]]
    tables: dict[XdsType, Table]
    moment: Snapshot
    """Of the tables."""


class Views:
    """What every view receives, in step with one snapshot. Tables are made on first demand and never change."""

    def __init__(
        self,
        snapshot: Snapshot,
        translator: Translator,
        encoded: Encoded,
        failed: Callable[[Failure], None],
    ) -> None:
        self._translator = translator
        self._parts = Parts(snapshot, translator, encoded, failed)
        self._views: dict[View, _View] = {}
        self._joined: WeakValueDictionary[tuple[Table, ...], Table] = WeakValueDictionary()
        """By their pieces, as long as somebody has them: views of one shape share what is not their own."""
        self._touched: set[View] = set()
        """Sidecars that the last change may concern themselves."""
        self._stale: dict[Shape, bool] = {}
        """Whether what is common to some views may have changed, as far as that was asked."""
        self._fresh: dict[Shape, tuple[XdsType, ...]] = {}
        """Types of which what is common to some views is another since the last change."""
        self._previous: Snapshot | None = None
        self._commons: dict[Shape, dict[Part, None]] = {}
        self._is_moved = False
        """Some view has parts of another shape: those that it had may be of no use any more."""

    @property
    def snapshot(self) -> Snapshot:
        """Return the world as it is now."""
        return self._parts.snapshot

    def __len__(self) -> int:
        return len(self._views)

    @property
    def parts(self) -> int:
        """Return how many parts are held."""
        return len(self._parts)

    def following(
        self, snapshot: Snapshot, live: Collection[View], impact: Impact = EVERYTHING
    ) -> "Views":
        """Go on to the next snapshot: parts of live views stay where nothing changed.

        What the `impact` leaves out is not even looked at. A part that nobody asks for meanwhile does
        not forget what happened.
        """
        gone = self._views.keys() - live
        for view in gone:
            del self._views[view]
        if gone or self._is_moved:
            self._prune()
        self._previous = self.snapshot
        self._touched = self._parts.move(snapshot, impact)
        self._stale.clear()
        self._fresh.clear()
        return self

    def table(self, view: View, kind: XdsType) -> Table:
        """Return what the view has of one type."""
        return self.tables(view, (kind,))[kind]

    def tables(self, view: View, kinds: Iterable[XdsType]) -> Mapping[XdsType, Table]:
        """Return what the view has of some types, and maybe of more."""
        seen = self._views.get(view)
        if seen is None:
            seen = self._views[view] = _View(self._shape(view), {}, {}, self.snapshot)
        if seen.moment is not self.snapshot:
            self._refresh(view, seen)
        tables = seen.tables
        for kind in kinds:
            if kind not in tables:
                tables[kind] = self._table(view, kind, seen)
        return tables

    def stale(self, view: View) -> bool:
        """Tell whether some table that the view had may be another one now; False is a promise."""
        seen = self._views.get(view)
        if seen is None or view in self._touched:
            return True
        shape = seen.shape
        if self.snapshot.common(view) is not shape[0]:
            return True
        # What is public follows from what is common: the rest is asked once for all views of a shape.
        found = self._stale.get(shape)
        if found is None:
            parts = self._commons.get(shape, {})
            found = self._is_another(view, seen) or any(map(self._parts.is_stale, parts))
            self._stale[shape] = found
        return found

    def known(self) -> Iterator[Table]:
        """Yield the tables made so far."""
        for seen in self._views.values():
            yield from seen.tables.values()

    def _shape(self, view: View) -> Shape:
        return self.snapshot.common(view), self.snapshot.public(view)

    def _is_another(self, view: View, seen: _View) -> bool:
        common, public = seen.shape
        # Equal ones are one object.
        return self.snapshot.common(view) is not common or self.snapshot.public(view) is not public

    def _refresh(self, view: View, seen: _View) -> None:
        """Look at the tables of a view again: at all, unless it is known which may differ."""
        kinds: Iterable[XdsType] = tuple(seen.tables)
        if self._is_another(view, seen):
            seen.shape, seen.parts = self._shape(view), {}
            self._is_moved = True
        elif seen.moment is self._previous and view not in self._touched:
            kinds = self._fresh_kinds(seen.shape)
        seen.moment = self.snapshot
        for kind in kinds:
            if kind in seen.tables:
                seen.tables[kind] = self._table(view, kind, seen)

    def _fresh_kinds(self, shape: Shape) -> tuple[XdsType, ...]:
        found = self._fresh.get(shape)
        if found is None:
            fresh = (
                part.kind for part in self._commons.get(shape, {}) if self._parts.is_fresh(part)
            )
            found = self._fresh[shape] = tuple(dict.fromkeys(fresh))
        return found

    def _table(self, view: View, kind: XdsType, seen: _View) -> Table:
        parts = seen.parts.get(kind)
        if parts is None:
            parts = seen.parts[kind] = self._translator.parts(self.snapshot, view, kind)
            shared = (part for part in parts if not is_own(part))
            self._commons.setdefault(seen.shape, {}).update(dict.fromkeys(shared))
        pieces = tuple(map(self._parts.table, parts))
        if len(pieces) == 1:
            return pieces[0]
        found = self._joined.get(pieces)  # tables compare by identity
        if found is None:
            found = self._joined[pieces] = join(kind, self._parts.number(), pieces)
        return found

    def _prune(self) -> None:
        used: dict[Part, None] = {}
        shapes: dict[Shape, None] = {}
        for seen in self._views.values():
            shapes[seen.shape] = None
            for parts in seen.parts.values():
                used.update(dict.fromkeys(parts))
        self._commons = {
            shape: {part: None for part in self._commons.get(shape, {}) if part in used}
            for shape in shapes
        }
        self._parts.keep(used)
        self._is_moved = False
