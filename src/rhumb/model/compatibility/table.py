"""The table: kind -> message -> field -> what becomes of it.

To support one more field, move its name in `traffic.py` or one of its neighbours to the supported
ones; a field that is new in a Struct needs an entry in the same change. Messages below a field that
is not supported have no entries: nothing in them has an effect.
"""

import typing
from collections.abc import Iterator

import msgspec

from rhumb.model.compatibility import kubernetes, mesh, patches, traffic
from rhumb.model.compatibility.entry import Entry, State, Table
from rhumb.model.kinds.wire import Kind

TABLE: Table = {**traffic.TABLE, **mesh.TABLE, **patches.TABLE, **kubernetes.TABLE}


class Field(msgspec.Struct, frozen=True):
    """One field of a message, with its entry and what stands below it."""

    name: str
    """As spelled in YAML."""
    attribute: str
    entry: Entry | None
    """None: the table has forgotten it."""
    below: tuple[type[Kind], ...]
    """Messages that it holds, where their fields count."""


def fields(struct: type[Kind]) -> Iterator[Field]:
    """Yield the fields of a message with their entries."""
    entries = TABLE.get(struct, {})
    hints = typing.get_type_hints(struct)
    for field in msgspec.structs.fields(struct):
        entry = entries.get(field.encode_name)
        speaks_of_all = entry is not None and entry.state is not State.SUPPORTED
        ends = speaks_of_all and entry is not None and not entry.values
        below = () if ends else tuple(_kinds(hints[field.name]))
        yield Field(field.encode_name, field.name, entry, below)


def reachable(struct: type[Kind]) -> tuple[type[Kind], ...]:
    """Return a kind's message and all below it whose fields count, in the order of the API."""
    found: dict[type[Kind], None] = {}
    _reach(struct, found)
    return tuple(found)


def _reach(struct: type[Kind], found: dict[type[Kind], None]) -> None:
    if struct not in found:
        found[struct] = None
        for field in fields(struct):
            for below in field.below:
                _reach(below, found)


def _kinds(hint: object) -> Iterator[type[Kind]]:
    if isinstance(hint, type) and issubclass(hint, Kind):
        yield hint
    for inner in typing.get_args(hint):
        yield from _kinds(inner)
