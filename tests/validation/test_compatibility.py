"""What the compatibility table says of a field is what a user is told when the field is set."""

from collections.abc import Iterator
from types import MappingProxyType

import msgspec
import pytest

from rhumb.base.durations import Duration
from rhumb.model.codec import make
from rhumb.model.compatibility.entry import Entry, State
from rhumb.model.compatibility.table import Field, fields, reachable
from rhumb.model.finding import Level
from rhumb.model.kinds.table import KINDS, KindInfo
from rhumb.model.kinds.wire import Kind, WireEnum
from rhumb.model.resource import Meta
from rhumb.validation.compatibility import check_compatibility
from rhumb.validation.rules import Report

LEVELS = {State.WARNED: Level.WARNING, State.REJECTED: Level.ERROR}


def telling() -> Iterator[tuple[KindInfo, type[Kind], Field, Entry]]:
    """Yield every entry that is not just support, once for each kind that it can be reached from."""
    for info in KINDS:
        for struct in reachable(info.struct):
            for field in fields(struct):
                if field.entry is not None and field.entry.state is not State.SUPPORTED:
                    yield info, struct, field, field.entry


CASES = list(telling())


def some(struct: type[Kind], field: Field, entry: Entry) -> object:
    """Make a value that the entry speaks of."""
    found = {f.name: f for f in msgspec.structs.fields(struct)}[field.attribute]
    return _value(found.type, entry.values[0] if entry.values else "")


def _value(hint: object, text: str) -> object:
    options = [a for a in getattr(hint, "__args__", ()) if a is not type(None)]
    if getattr(hint, "__origin__", None) is tuple:
        return (_value(options[0], text),)
    if "Mapping" in str(getattr(hint, "__origin__", "")):
        return MappingProxyType({"key": _value(options[1], text)})
    if options and not isinstance(hint, type):
        return _value(options[0], text)
    if not isinstance(hint, type):
        return 7
    if issubclass(hint, WireEnum):
        return hint(text) if text else list(hint)[-1]
    if issubclass(hint, Kind):
        return hint()
    if issubclass(hint, bool):
        return text != "false"
    samples: dict[type, object] = {str: "text", int: 7, float: 7.0, Duration: Duration(7)}
    return samples[hint]


Trail = tuple[tuple[type[Kind], Field], ...]


def path_to(root: type[Kind], wanted: type[Kind]) -> Trail:
    """Return the messages and fields that lead from a kind's message to one below it."""
    trails: list[tuple[type[Kind], Trail]] = [(root, ())]
    seen = {root}
    for struct, trail in trails:
        if struct is wanted:
            return trail
        for field in fields(struct):
            for below in field.below:
                if below not in seen:
                    seen.add(below)
                    trails.append((below, (*trail, (struct, field))))
    raise AssertionError(f"{wanted} is not below {root}")


def wrapped(trail: Trail, inner: Kind) -> Kind:
    """Put a message where the trail leads."""
    for struct, field in reversed(trail):
        hint = {f.name: f for f in msgspec.structs.fields(struct)}[field.attribute].type
        origin = str(getattr(hint, "__origin__", ""))
        held: object = inner
        if "tuple" in origin:
            held = (inner,)
        elif "Mapping" in origin:
            held = MappingProxyType({1: inner})
        inner = struct(**{field.attribute: held})
    return inner


@pytest.mark.parametrize(
    ("info", "struct", "field", "entry"),
    CASES,
    ids=[f"{info.kind}-{struct.__name__}.{field.name}" for info, struct, field, _ in CASES],
)
def test_validation_says_what_the_table_says(
    info: KindInfo, struct: type[Kind], field: Field, entry: Entry
) -> None:
    inner = struct(**{field.attribute: some(struct, field, entry)})
    spec = wrapped(path_to(info.struct, struct), inner)
    resource = make(info, Meta(name="x", namespace="default"), spec)
    report = Report(resource)
    check_compatibility(resource, report)
    found = [f for f in report.findings if entry.says in f.message]
    assert [f.level for f in found] == [LEVELS[entry.state]]
    assert found[0].field.endswith(field.name)
    assert found[0].fix == entry.fix


def test_a_spec_of_supported_fields_says_nothing() -> None:
    for info in KINDS:
        resource = make(info, Meta(name="x", namespace="default"), info.struct())
        report = Report(resource)
        check_compatibility(resource, report)
        assert report.findings == []
