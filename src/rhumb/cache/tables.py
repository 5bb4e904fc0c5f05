"""Tables: what a view has of one type at one moment. Pieces that many views have are held once."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from rhumb.cache.encoded import Entry
from rhumb.xds.types import XdsType

Units = Mapping[str, tuple[Entry, ...]]
"""Entries by what they are made for: all of a unit are made anew together."""


class Step(msgspec.Struct, frozen=True, eq=False):
    """How a table came about from another: known without looking through both."""

    number: int
    """Of the table before."""
    changed: tuple[Entry, ...]
    removed: tuple[Entry, ...]


class Table(msgspec.Struct, frozen=True, eq=False, weakref=True):
    """All resources of one type for one view. A stream remembers only which table it has."""

    type: XdsType
    number: int
    """Unique among the tables of this process."""
    entries: Mapping[str, Entry]
    pieces: tuple["Table", ...] = ()
    """What it is joined from; empty: it is of one piece."""
    is_apart: bool = False
    """No name is in two of the pieces, so that they may be looked at one by one."""
    step: Step | None = None


class Joined(Mapping[str, Entry]):
    """The entries of several pieces as one map, without a copy."""

    __slots__ = ("_pieces",)

    def __init__(self, pieces: Sequence[Mapping[str, Entry]]) -> None:
        self._pieces = tuple(pieces)

    def __getitem__(self, name: str) -> Entry:
        for piece in self._pieces:
            if (found := piece.get(name)) is not None:
                return found
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return any(name in piece for piece in self._pieces)

    def __iter__(self) -> Iterator[str]:
        for piece in self._pieces:
            yield from piece

    def __len__(self) -> int:
        return sum(map(len, self._pieces))


def join(kind: XdsType, number: int, pieces: tuple[Table, ...]) -> Table:
    """Return a table of several pieces; where two have a resource of one name, the later one's counts."""
    names = [piece.entries.keys() for piece in pieces]
    if all(one.isdisjoint(other) for at, one in enumerate(names) for other in names[at + 1 :]):
        entries = Joined([piece.entries for piece in pieces])
        return Table(kind, number, entries, pieces, is_apart=True)
    merged: dict[str, Entry] = {}
    for piece in pieces:
        merged |= piece.entries
    return Table(kind, number, merged, pieces)
