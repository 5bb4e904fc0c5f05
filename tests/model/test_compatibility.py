"""The table says something of every field, and what it says is what validation says."""

import msgspec
import pytest

from rhumb.model.compatibility.entry import Entry, State
from rhumb.model.compatibility.table import TABLE, fields, reachable
from rhumb.model.kinds.table import KINDS, KindInfo
from rhumb.model.kinds.wire import Kind

ALL = tuple(dict.fromkeys(struct for info in KINDS for struct in reachable(info.struct)))


@pytest.mark.parametrize("info", KINDS, ids=lambda info: info.kind)
def test_every_field_has_an_entry(info: KindInfo) -> None:
    forgotten = [
        f"{struct.__name__}.{field.name}"
        for struct in reachable(info.struct)
        for field in fields(struct)
        if field.entry is None
    ]
    assert forgotten == [], "write an entry in rhumb.model.compatibility"


@pytest.mark.parametrize("struct", TABLE, ids=lambda struct: struct.__name__)
def test_every_entry_has_a_field(struct: type[Kind]) -> None:
    known = {field.encode_name for field in msgspec.structs.fields(struct)}
    assert set(TABLE[struct]) <= known
    assert struct in ALL, f"nothing that counts leads to {struct.__name__}: remove its entries"


def test_whatever_is_not_supported_says_why() -> None:
    entries: list[Entry] = [entry for message in TABLE.values() for entry in message.values()]
    assert all(entry.says for entry in entries if entry.state is not State.SUPPORTED)
    assert not any(entry.says for entry in entries if entry.state is State.SUPPORTED)
