"""Patches that do not fit: what to tell of them."""

from collections.abc import Iterable

from rhumb.cache.encoded import Entry
from rhumb.cache.tables import Table
from rhumb.cache.views import Failure
from rhumb.ir.origin import Origin
from rhumb.model.finding import Finding, Level
from rhumb.model.kinds.table import NETWORKING
from rhumb.model.resource import Key, Location
from rhumb.xds.types import XdsType


def of_failure(failure: Failure) -> Finding:
    """Return what to tell of a failure that a patch caused."""
    assert failure.patch is not None
    return _finding(failure.patch, failure.type, failure.resource, failure.error)


def of_tables(tables: Iterable[Table]) -> tuple[Finding, ...]:
    """Return what to tell of patches that resources in force go without, each patch once."""
    found: dict[Origin, Finding] = {}
    short: dict[Table, tuple[Entry, ...]] = {}
    """Of pieces, which many tables have: what goes without something."""
    for table in tables:
        for piece in table.pieces or (table,):
            if piece not in short:
                short[piece] = tuple(e for e in piece.entries.values() if e.left_out)
            for entry in short[piece]:
                if table.entries.get(entry.name) is not entry:
                    continue  # a later piece hides it
                for left in entry.left_out:
                    if left.origin not in found:
                        found[left.origin] = _finding(
                            left.origin, table.type, entry.name, left.reason
                        )
    return tuple(found[at] for at in sorted(found))


def _finding(patch: Origin, kind: XdsType, resource: str, reason: str) -> Finding:
    return Finding(
        level=Level.WARNING,
        key=Key(NETWORKING, patch.kind, patch.namespace, patch.name),
        field=patch.field,
        location=Location(patch.file, patch.line),
        message=f"left out of {kind.short} {resource}: {reason}",
        fix="the proxy works without it; repair the value, see Envoy's API reference",
    )
