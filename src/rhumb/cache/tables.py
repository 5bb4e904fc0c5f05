"""Tables: what a view has of one type at one moment. Pieces that many views have are held once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

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
    """Unique among the tables that follow one another in one `Views`."""
    entries: Mapping[str, Entry]
    pieces: tuple["Table", ...] = ()
    """What it is joined from; empty: it is of one piece."""
    is_apart: bool = False
    """No name is in two of the pieces, so that they may be looked at one by one."""
    step: Step | None = None

    def all(self) -> Iterator[Entry]:
        """Yield every entry, in order."""
        if not self.pieces:
            yield from self.entries.values()
        for at, piece in enumerate(self.pieces):
            hidden = _hidden(piece.entries, [each.entries for each in self.pieces[at + 1 :]])
            if hidden:
                yield from (e for name, e in piece.entries.items() if name not in hidden)
            else:
                yield from piece.entries.values()


class Joined(Mapping[str, Entry]):
    """The entries of several pieces as one map, without a copy; a later piece hides what earlier ones have."""

    __slots__ = ("_pieces", "_size")

    def __init__(self, pieces: Sequence[Mapping[str, Entry]], hidden: int = 0) -> None:
        self._pieces = tuple(reversed(pieces))
        self._size = sum(map(len, pieces)) - hidden

    def __getitem__(self, name: str) -> Entry:
        for piece in self._pieces:
            if (found := piece.get(name)) is not None:
                return found
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return any(name in piece for piece in self._pieces)

    def __iter__(self) -> Iterator[str]:
        for at in range(len(self._pieces) - 1, -1, -1):
            hidden = _hidden(self._pieces[at], self._pieces[:at])
            yield from (name for name in self._pieces[at] if name not in hidden)

    def __len__(self) -> int:
        return self._size


def join(kind: XdsType, number: int, pieces: tuple[Table, ...]) -> Table:
    """Return a table of several pieces; where two have a resource of one name, the later one's counts."""
    maps = [piece.entries for piece in pieces]
    hidden = sum(len(_hidden(one, maps[at + 1 :])) for at, one in enumerate(maps))
    return Table(kind, number, Joined(maps, hidden), pieces, is_apart=not hidden)


def _hidden(one: Mapping[str, Entry], later: Iterable[Mapping[str, Entry]]) -> Set[str]:
    """Return the names of a piece that later ones have too."""
    # Views of keys are compared by going through the shorter one.
    return set[str]().union(*(one.keys() & other.keys() for other in later))
