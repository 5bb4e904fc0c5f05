"""One moment of the world: (view, type) to a table, translated once for all equal proxies."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

import msgspec

from rhumb.cache.encoded import Encoded, Entry
from rhumb.cache.versions import Table
from rhumb.snapshot.snapshot import Snapshot
from rhumb.snapshot.view import View
from rhumb.xds.types import XdsType


class Named(Protocol):
    """An IR value that becomes one xDS resource."""

    @property
    def name(self) -> str:
        """Return the resource name."""
        ...


Translate = Callable[[Snapshot, View, XdsType], Iterable[Named]]
"""All IR values of one type for a view. Pure."""


class Failure(msgspec.Struct, frozen=True):
    """A translation or encoding that raised: a defect of ours, contained to the resource it struck."""

    type: XdsType
    resource: str
    """Name of the resource; empty when the whole type could not be translated."""
    error: str
    kept: bool
    """The last good version stays in force; otherwise the resource is missing."""


Key = tuple[View, XdsType]
Affected = Callable[[View, XdsType], bool]
"""Whether a change may have made a type different for a view; False is a promise."""


def everything(_view: View, _kind: XdsType) -> bool:
    """Promise nothing."""
    return True


class Views:
    """What every view receives from one snapshot. Tables are made on first demand and never change."""

    def __init__(
        self,
        snapshot: Snapshot,
        translate: Translate,
        encoded: Encoded,
        failed: Callable[[Failure], None],
    ) -> None:
        self.snapshot = snapshot
        self._translate = translate
        self._encoded = encoded
        self._failed = failed
        self._numbers: Iterator[int] = itertools.count(1)
        self._affected: Affected = everything
        self._tables: dict[Key, Table] = {}
        self._before: Mapping[Key, Table] = {}
        self._outdated: frozenset[Key] = frozenset()
        """Of those before: affected by a change between their snapshot and this one's predecessor."""

    def following(
        self, snapshot: Snapshot, live: Iterable[View], affected: Affected = everything
    ) -> "Views":
        """Return the views of the next snapshot; tables of live views are shared where nothing changed.

        What is not `affected` is not even looked at.
        """
        keep = frozenset(live)
        out = Views(snapshot, self._translate, self._encoded, self._failed)
        out._numbers = self._numbers
        out._affected = affected
        # A table that nobody asked for in this snapshot stays what it was in an earlier one, and what
        # happened since then must not be forgotten.
        passed = {k: t for k, t in self._before.items() if k[0] in keep and k not in self._tables}
        out._outdated = frozenset(k for k in passed if self._differs(k))
        out._before = passed | {k: t for k, t in self._tables.items() if k[0] in keep}
        return out

    def table(self, view: View, kind: XdsType) -> Table:
        """Return what the view has of one type."""
        key = (view, kind)
        found = self._tables.get(key)
        if found is None:
            before = self._before.get(key)
            reuse = before is not None and not self._differs(key)
            found = before if before is not None and reuse else self._make(view, kind, before)
            self._tables[key] = found
        return found

    def _differs(self, key: Key) -> bool:
        return key in self._outdated or self._affected(*key)

    def known(self) -> Mapping[tuple[View, XdsType], Table]:
        """Return the tables made so far."""
        return self._tables

    def _make(self, view: View, kind: XdsType, before: Table | None) -> Table:
        try:
            plans = list(self._translate(self.snapshot, view, kind))
        except Exception as error:  # noqa: BLE001 - a defect in one type must not stop the others
            self._report(kind, "", error, kept=before is not None)
            return before or Table(kind, next(self._numbers), {})
        entries: dict[str, Entry] = {}
        for plan in plans:
            try:
                entry = self._encoded[plan]
            except Exception as error:  # noqa: BLE001 - nor may one resource stop its neighbours
                last = before.entries.get(plan.name) if before else None
                self._report(kind, plan.name, error, kept=last is not None)
                if last is None:
                    continue
                entry = last
            entries[entry.name] = entry
        if before is not None and before.same(entries):
            return before
        return Table(kind, next(self._numbers), entries)

    def _report(self, kind: XdsType, resource: str, error: Exception, *, kept: bool) -> None:
        self._failed(Failure(kind, resource, f"{type(error).__name__}: {error}", kept))
