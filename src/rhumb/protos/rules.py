"""The rules that Envoy's API writes beside its fields (protoc-gen-validate), as Envoy checks them."""

import functools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any as Anything
from typing import NamedTuple

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from validate import validate_pb2

from rhumb.protos.types import unpacked

Rules = Anything
"""One of the rule messages of validate.proto: which one depends on the field."""
Value = Anything
"""What a field holds."""
Field = Anything
"""A FieldDescriptor, of which the stubs know two classes."""

_HEADER_NAME = re.compile(r":?[0-9a-zA-Z!#$%&'*+\-.^_|~`]+")
_UNSAFE = {
    validate_pb2.HTTP_HEADER_NAME: re.compile("[\0\n\r]"),
    validate_pb2.HTTP_HEADER_VALUE: re.compile("[\0-\x08\n-\x1f\x7f]"),
}


def violations(
    message: Message, at: str = "", *, fields: Collection[str] | None = None
) -> Iterator[str]:
    """Yield what breaks a rule, deeply and inside of every Any: `FIELD: what is wrong`.

    `fields` are those of the message itself to look at, where the others are known to be right.
    """
    if isinstance(message, Any):
        inner = unpacked(message)
        if inner is not None:
            yield from violations(inner, at)
        return
    checks = _checks_of(message.DESCRIPTOR)
    for oneof, names in checks.oneofs:
        if message.WhichOneof(oneof) is None:
            yield f"{at or message.DESCRIPTOR.name}: one of {names} is required"
    prefix = f"{at}." if at else ""
    seen = set()
    for field, value in message.ListFields():
        seen.add(field.name)
        if fields is not None and field.name not in fields:
            continue
        rules = checks.rules.get(field.name)
        if rules is not None:
            yield from _field(value, field, rules, prefix + field.name)
    for field, rules in checks.always:
        if field.name not in seen:
            yield from _unset(message, field, rules, prefix + field.name)


class _Checks(NamedTuple):
    """What is to be checked of one type of message, found once."""

    oneofs: tuple[tuple[str, str], ...] = ()
    """Those of which a member is required, and their members."""
    rules: Mapping[str, Rules] = MappingProxyType({})
    """By field: those with rules, and those that hold messages."""
    always: tuple[tuple[Field, Rules], ...] = ()
    """Fields whose rules speak of what is unset."""


@functools.cache
def _checks_of(descriptor: Value) -> _Checks:
    options = descriptor.GetOptions()
    if options.Extensions[validate_pb2.disabled] or options.Extensions[validate_pb2.ignored]:
        return _Checks()
    oneofs = tuple(
        (oneof.name, ", ".join(field.name for field in oneof.fields))
        for oneof in descriptor.oneofs
        if oneof.GetOptions().Extensions[validate_pb2.required]
    )
    found: dict[str, Rules] = {}
    always = []
    for field in descriptor.fields:
        said = field.GetOptions()
        has_rules = said.HasExtension(validate_pb2.rules)
        rules = said.Extensions[validate_pb2.rules] if has_rules else validate_pb2.FieldRules()
        if has_rules or field.message_type is not None:
            found[field.name] = rules
        if has_rules and _speaks_of_unset(field, rules):
            always.append((field, rules))
    return _Checks(oneofs, found, tuple(always))


def _speaks_of_unset(field: Field, rules: Rules) -> bool:
    if field.is_repeated or not field.has_presence:
        return True
    # Of the members of a oneof one alone is there, and its rules alone count.
    required = rules.message.required or rules.any.required or rules.duration.required
    return required and field.containing_oneof is None


def _unset(message: Message, field: Field, rules: Rules, at: str) -> Iterator[str]:
    if field.is_repeated or not field.has_presence:
        yield from _field(getattr(message, field.name), field, rules, at)
    else:
        yield f"{at}: is required"


def _field(value: Value, field: Field, rules: Rules, at: str) -> Iterator[str]:
    if not field.is_repeated:
        yield from _value(value, field, rules, at)
    elif _is_map(field):
        yield from _map(value, field, rules.map, at)
    else:
        yield from _repeated(value, field, rules, at)


def _is_map(field: Field) -> bool:
    kind = field.message_type
    return kind is not None and bool(kind.GetOptions().map_entry)


def _map(value: Value, field: Field, rules: Rules, at: str) -> Iterator[str]:
    if rules.ignore_empty and not value:
        return
    if len(value) < rules.min_pairs:
        yield f"{at}: needs at least {rules.min_pairs} entries"
    if rules.HasField("max_pairs") and len(value) > rules.max_pairs:
        yield f"{at}: takes at most {rules.max_pairs} entries"
    entry = field.message_type.fields_by_name
    for key, each in value.items():
        yield from _value(key, entry["key"], rules.keys, f"{at}[{key}]")
        yield from _value(each, entry["value"], rules.values, f"{at}[{key}]")


def _repeated(value: Value, field: Field, rules: Rules, at: str) -> Iterator[str]:
    wanted = rules.repeated
    if wanted.ignore_empty and not value:
        return
    if len(value) < wanted.min_items:
        yield f"{at}: needs at least {wanted.min_items} items"
    if wanted.HasField("max_items") and len(value) > wanted.max_items:
        yield f"{at}: takes at most {wanted.max_items} items"
    if wanted.unique and len({str(each) for each in value}) < len(value):
        yield f"{at}: items must differ"
    for index, each in enumerate(value):
        yield from _value(each, field, wanted.items, f"{at}[{index}]")


def _value(value: Value, field: Field, rules: Rules, at: str) -> Iterator[str]:
    """Check one value by its own rules, and what it holds by theirs."""
    which = rules.WhichOneof("type")
    if isinstance(value, Message) and not rules.message.skip:
        yield from violations(value, at)
    if which is None or which in ("repeated", "map"):
        return
    wanted = getattr(rules, which)
    if isinstance(value, Message) and which not in ("any", "duration", "timestamp"):
        wrapped = value.DESCRIPTOR.fields_by_name.get("value")
        if wrapped is None:
            return
        value = getattr(value, wrapped.name)
    if getattr(wanted, "ignore_empty", False) and not value:
        return
    for wrong in _CHECKS.get(which, _number)(value, wanted, field):
        yield f"{at}: {wrong}"


def _number(value: Value, rules: Rules, field: Field) -> Iterator[str]:
    yield from _among(value, rules)
    yield from _between(value, rules, lambda bound: bound)


def _time(value: Duration | Timestamp, rules: Rules, _field: Field) -> Iterator[str]:
    def total(of: Duration | Timestamp) -> int:
        return of.seconds * 10**9 + of.nanos

    yield from _between(total(value), rules, total, "ns")


def _between(
    value: Value, rules: Rules, read: Callable[[Value], Value], unit: str = ""
) -> Iterator[str]:
    fails: Mapping[str, Callable[[Value, Value], bool]] = {
        "gt": lambda v, b: not v > b,
        "gte": lambda v, b: not v >= b,
        "lt": lambda v, b: not v < b,
        "lte": lambda v, b: not v <= b,
    }
    said = {
        "gt": "greater than",
        "gte": "at least",
        "lt": "less than",
        "lte": "at most",
    }
    for name, fail in fails.items():
        if name in rules.DESCRIPTOR.fields_by_name and rules.HasField(name):
            bound = read(getattr(rules, name))
            if fail(value, bound):
                yield f"must be {said[name]} {bound}{unit}"


def _among(value: Value, rules: Rules) -> Iterator[str]:
    if rules.HasField("const") and value != rules.const:
        yield f"must be {rules.const}"
    allowed = getattr(rules, "in", ())
    if allowed and value not in allowed:
        yield f"must be one of {', '.join(map(str, allowed))}"
    if value in getattr(rules, "not_in", ()):
        yield f"must not be {value}"


def _enum(value: int, rules: Rules, field: Field) -> Iterator[str]:
    yield from _among(value, rules)
    if rules.defined_only and value not in field.enum_type.values_by_number:
        yield f"{value} is no value of {field.enum_type.name}"


def _string(value: str, rules: Rules, _field: Field) -> Iterator[str]:
    yield from _among(value, rules)
    yield from _lengths(len(value), rules, ("len", "min_len", "max_len"), "characters")
    size = len(value.encode())
    yield from _lengths(size, rules, ("len_bytes", "min_bytes", "max_bytes"), "bytes")
    yield from _texts(value, rules)
    if rules.well_known_regex:
        yield from _header(value, rules)


def _header(value: str, rules: Rules) -> Iterator[str]:
    strict = rules.strict or not rules.HasField("strict")
    if strict and rules.well_known_regex == validate_pb2.HTTP_HEADER_NAME:
        if _HEADER_NAME.fullmatch(value) is None:
            yield "is no name of a header"
    elif _UNSAFE[rules.well_known_regex].search(value):
        yield "has characters that headers must not have"


def _bytes(value: bytes, rules: Rules, _field: Field) -> Iterator[str]:
    yield from _among(value, rules)
    yield from _lengths(len(value), rules, ("len", "min_len", "max_len"), "bytes")


def _lengths(size: int, rules: Rules, names: Iterable[str], unit: str) -> Iterator[str]:
    exact, least, most = names
    if rules.HasField(exact) and size != getattr(rules, exact):
        yield f"must have {getattr(rules, exact)} {unit}"
    if size < getattr(rules, least):
        yield f"must have at least {getattr(rules, least)} {unit}"
    if rules.HasField(most) and size > getattr(rules, most):
        yield f"must have at most {getattr(rules, most)} {unit}"


def _texts(value: str, rules: Rules) -> Iterator[str]:
    if rules.pattern and re.search(rules.pattern, value) is None:
        yield f"must match {rules.pattern}"
    if not value.startswith(rules.prefix):
        yield f"must begin with {rules.prefix}"
    if not value.endswith(rules.suffix):
        yield f"must end with {rules.suffix}"
    if rules.contains not in value:
        yield f"must contain {rules.contains}"
    if rules.not_contains and rules.not_contains in value:
        yield f"must not contain {rules.not_contains}"


def _any(value: Any, rules: Rules, _field: Field) -> Iterator[str]:
    allowed = getattr(rules, "in")
    if allowed and value.type_url not in allowed:
        yield f"must be one of {', '.join(allowed)}"


def _nothing(_value: Value, _rules: Rules, _field: Field) -> Iterator[str]:
    return iter(())


_CHECKS: Mapping[str, Callable[[Anything, Rules, Field], Iterator[str]]] = {
    "string": _string,
    "bytes": _bytes,
    "enum": _enum,
    "bool": lambda value, rules, _field: _among(value, rules),
    "duration": _time,
    "timestamp": _time,
    "any": _any,
    "message": _nothing,
}
