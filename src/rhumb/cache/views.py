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


class Views:
    """What every view receives from one snapshot. Tables are made on first demand and never change."""

    def __init__(
        self,
        snapshot: Snapshot,
        translate: Translate,
        encoded: Encoded,
        *,
        numbers: Iterator[int] | None = None,
        before: Mapping[tuple[View, XdsType], Table] | None = None,
        affected: frozenset[XdsType] | None = None,
    ) -> None:
        self.snapshot = snapshot
        self._translate = translate
        self._encoded = encoded
        self._numbers = numbers or itertools.count(1)
        self._before = before or {}
        self._affected = affected
        self._tables: dict[tuple[View, XdsType], Table] = {}
        self.failures: list[Failure] = []

    def following(
        self,
        snapshot: Snapshot,
        live: Iterable[View],
        affected: frozenset[XdsType] | None = None,
    ) -> "Views":
        """Return the views of the next snapshot; tables of live views are shared where nothing changed.

        Types that are not `affected` are not even looked at (None: all may differ).
        """
        keep = frozenset(live)
        known = {**self._before, **self._tables}
        before = {key: table for key, table in known.items() if key[0] in keep}
        return Views(
            snapshot,
            self._translate,
            self._encoded,
            numbers=self._numbers,
            before=before,
            affected=affected,
        )

    def table(self, view: View, kind: XdsType) -> Table:
        """Return what the view has of one type."""
        key = (view, kind)
        found = self._tables.get(key)
        if found is None:
            before = self._before.get(key)
            if before is not None and self._affected is not None and kind not in self._affected:
                found = before
            else:
                found = self._make(view, kind, before)
            self._tables[key] = found
        return found

    def known(self) -> Mapping[tuple[View, XdsType], Table]:
        """Return the tables made so far."""
        return self._tables

    def _make(self, view: View, kind: XdsType, before: Table | None) -> Table:
        try:
            plans = list(self._translate(self.snapshot, view, kind))
        except Exception as error:  # noqa: BLE001 - a defect in one type must not stop the others
            self._failed(kind, "", error, kept=before is not None)
            return before or Table(kind, next(self._numbers), {})
        entries: dict[str, Entry] = {}
        for plan in plans:
            try:
                entry = self._encoded[plan]
            except Exception as error:  # noqa: BLE001 - nor may one resource stop its neighbours
                last = before.entries.get(plan.name) if before else None
                self._failed(kind, plan.name, error, kept=last is not None)
                if last is None:
                    continue
                entry = last
            entries[entry.name] = entry
        if before is not None and before.same(entries):
            return before
        return Table(kind, next(self._numbers), entries)

    def _failed(self, kind: XdsType, resource: str, error: Exception, *, kept: bool) -> None:
        reason = f"{type(error).__name__}: {error}"
        self.failures.append(Failure(kind, resource, reason, kept))
