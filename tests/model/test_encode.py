"""parse(print(x)) == x, for resources drawn from the types themselves."""

import enum
import types
import typing
from collections.abc import Mapping

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.model.written import to_json, to_yaml

from rhumb.base.durations import Duration
from rhumb.model.codec import make, parse
from rhumb.model.kinds.table import KINDS, MESH, KindInfo
from rhumb.model.kinds.wire import Kind
from rhumb.model.resource import Meta, Resource

NAMES = st.sampled_from(["a", "b-c", "y", "80"])
TEXTS = st.one_of(
    NAMES,
    st.sampled_from(
        ["yes", "1e3", "0x1", "null", "<<", "- a", "a: b", "", " x", "\ttab", "é\n\nz\n"]
    ),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"))),
)


def values(wanted: object) -> st.SearchStrategy[object]:
    """Draw values of a field's type."""
    origin, args = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (types.UnionType, typing.Union):
        return st.one_of(*(values(a) for a in args))
    if origin is typing.Annotated:
        return st.integers(args[1].ge, args[1].le if args[1].le is not None else 2**64 - 1)
    if origin is tuple:
        return st.lists(values(args[0]), max_size=2).map(tuple)
    if origin is not None and issubclass(origin, Mapping):
        return st.dictionaries(values(args[0]), values(args[1]), max_size=2).map(
            types.MappingProxyType
        )
    assert isinstance(wanted, type)
    if issubclass(wanted, Kind):
        return structs(wanted)
    if issubclass(wanted, enum.Enum):
        return st.sampled_from(list(wanted))
    return SCALARS[wanted]


def numbers() -> st.SearchStrategy[float]:
    return st.floats(allow_nan=False, allow_infinity=False)


SCALARS: dict[object, st.SearchStrategy[object]] = {
    str: TEXTS,
    bool: st.booleans(),
    int: st.integers(1, 65535),
    float: numbers(),
    bytes: st.binary(max_size=4),
    Duration: st.integers(0, 10**15).map(Duration),
    object: st.one_of(TEXTS, st.integers(-5, 5), st.booleans(), st.lists(NAMES).map(tuple)),
    type(None): st.none(),
}


@st.composite
def structs(draw: st.DrawFn, struct: type[Kind]) -> Kind:
    fields = {f.encode_name: f for f in msgspec.structs.fields(struct)}
    chosen = draw(st.sets(st.sampled_from(sorted(fields)), max_size=3)) if fields else set()
    for group in struct.ONEOFS:
        chosen -= set(sorted(chosen & set(group))[1:])
    hints = typing.get_type_hints(struct, include_extras=True)
    return struct(**{fields[n].name: draw(values(hints[fields[n].name])) for n in sorted(chosen)})


@st.composite
def resources(draw: st.DrawFn) -> Resource:
    info: KindInfo = draw(st.sampled_from([info for info in KINDS if info.group != MESH]))
    labels = st.dictionaries(NAMES, TEXTS, max_size=2).map(types.MappingProxyType)
    meta = Meta(
        name=draw(NAMES),
        namespace="shop" if info.namespaced else "",
        labels=draw(labels),
        annotations=draw(labels),
        created=draw(st.sampled_from(["", "2024-01-01T00:00:00Z"])),
        deleted=draw(st.sampled_from(["", "2025-01-01T00:00:00Z"])),
        owner=draw(st.sampled_from([("", ""), ("ReplicaSet", "a-1")])),
    )
    status = {"x": (1, "y")} if info.struct.STATUS is None else {}
    return make(
        info,
        meta,
        draw(structs(info.struct)),
        status=status if draw(st.booleans()) else {},
    )


def same(one: Resource, other: Resource) -> bool:
    return (one.key, one.meta, one.spec, one.digest, one.status) == (
        other.key,
        other.meta,
        other.spec,
        other.digest,
        other.status,
    )


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(resources())
def test_what_is_printed_reads_the_same(resource: Resource) -> None:
    for text in (to_yaml(resource), to_json(resource)):
        found, findings = parse(text)
        # A drawn ConfigMap may be the one that holds MeshConfig, with any text in it.
        errors = [f.text() for f in findings if f.key is None or f.key.kind != "MeshConfig"]
        assert errors == []
        assert same(found[0], resource)


def test_several_resources_are_several_documents() -> None:
    drawn = [make(info, Meta(name="a", namespace="b"), info.struct()) for info in KINDS[:3]]
    found, _ = parse(to_yaml(*drawn))
    assert [r.key for r in found] == [r.key for r in drawn]
