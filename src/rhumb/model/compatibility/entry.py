"""One entry of the table, and the short hands to write many."""

import enum
from collections.abc import Mapping

import msgspec

from rhumb.model.kinds.wire import Kind


class State(enum.StrEnum):
    """What happens to a field that is set."""

    SUPPORTED = "supported"
    WARNED = "accepted with a warning"
    REJECTED = "rejected"


class Entry(msgspec.Struct, frozen=True):
    """What happens to one field; validation says just this, so that page and behaviour are one."""

    state: State
    says: str = ""
    """What happens and why, as a sentence whose subject is the field; empty when supported."""
    fix: str = ""
    """The next step."""
    values: tuple[str, ...] = ()
    """The entry speaks of these values alone, all others are supported; empty: of any value."""


SUPPORTED = Entry(State.SUPPORTED)

Message = dict[str, Entry]
"""Entries of one message by field, as spelled in YAML."""
Table = Mapping[type[Kind], Message]


def warned(says: str, fix: str = "", *, values: tuple[str, ...] = ()) -> Entry:
    """Make an entry for what is accepted, and has another effect than in Istio or none."""
    return Entry(State.WARNED, says, fix, values)


def rejected(says: str, fix: str = "", *, values: tuple[str, ...] = ()) -> Entry:
    """Make an entry for what is refused."""
    return Entry(State.REJECTED, says, fix, values)


def message(supported: str, **others: Entry) -> Message:
    """Make the entries of one message: names of supported fields, and the entries of all others."""
    return dict.fromkeys(supported.split(), SUPPORTED) | others
