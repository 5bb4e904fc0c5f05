"""How a patch's value goes into a message: protobuf's merge, with Istio's exceptions."""

from typing import Any as Anything

from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message

from rhumb.encode.pack import pack
from rhumb.protos.types import unpacked

_WHOLE = frozenset(
    f"google.protobuf.{name}"
    for name in (
        "Any", "BoolValue", "BytesValue", "DoubleValue", "Duration", "FloatValue", "Int32Value",
        "Int64Value", "StringValue", "Timestamp", "UInt32Value", "UInt64Value",
    )
)  # fmt: skip
"""Messages that stand for one value: they are replaced, else a 0 could never be set."""

Field = Anything
Value = Anything


class PatchError(Exception):
    """A patch that cannot be applied; says why."""


def merge(into: Message, value: Message, *, replaces_lists: bool = False) -> None:
    """Merge a value of the same type: lists are appended to (or replaced), entries of maps replaced."""
    for field, found in value.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            _merge_map(getattr(into, field.name), found, field)
        elif field.is_repeated:
            target = getattr(into, field.name)
            if replaces_lists:
                del target[:]
            target.extend(found)
        elif field.message_type is None:
            setattr(into, field.name, found)
        else:
            target = getattr(into, field.name)
            target.SetInParent()
            if field.message_type.full_name in _WHOLE:
                target.CopyFrom(found)
            else:
                merge(target, found, replaces_lists=replaces_lists)


def _merge_map(into: Value, found: Value, field: Field) -> None:
    holds_messages = field.message_type.fields_by_name["value"].message_type is not None
    for key in found:
        if holds_messages:
            into[key].CopyFrom(found[key])
        else:
            into[key] = found[key]


def merge_any(into: Any, value: Any) -> None:
    """Merge what two Anys hold. Raises PatchError when that is of different types, or unknown."""
    if into.type_url != value.type_url:
        raise PatchError(
            f"{_name(value)} cannot be merged into {_name(into)}: the types are different"
        )
    inner, other = unpacked(into), unpacked(value)
    if inner is None or other is None:
        raise PatchError(f"{_name(value)} is not known here")
    merge(inner, other)
    into.CopyFrom(pack(inner))


def _name(value: Any) -> str:
    return value.type_url.rpartition("/")[2]


def merge_extension(into: Value, value: Value) -> None:
    """Merge a filter or transport socket: its name, its configuration by type, and the rest.

    One without configuration of its own (as over ECDS) has nothing that could be merged into.
    """
    if not into.HasField("typed_config"):
        raise PatchError(f"{into.name} has no typed_config to merge into")
    rest = type(value)()
    rest.CopyFrom(value)
    if value.HasField("typed_config"):
        merge_any(into.typed_config, value.typed_config)
        rest.ClearField("typed_config")
    merge(into, rest)


def merge_with_socket(into: Value, value: Value, *, replaces_lists: bool = False) -> None:
    """Merge a filter chain or cluster; of two transport sockets of one name the configurations merge."""
    rest = type(value)()
    rest.CopyFrom(value)
    if value.HasField("transport_socket"):
        socket = _socket(into, value.transport_socket.name)
        if socket is not None and value.transport_socket.HasField("typed_config"):
            merge_extension(socket, value.transport_socket)
            rest.ClearField("transport_socket")
        elif getattr(into, "transport_socket_matches", ()):
            raise PatchError(
                f"none of its transport_socket_matches is {value.transport_socket.name}"
            )
        else:
            into.ClearField("transport_socket")
    merge(into, rest, replaces_lists=replaces_lists)


def _socket(into: Value, name: str) -> Value | None:
    """Return the transport socket with this name: the one there is, or the first of those to choose from."""
    found = [match.transport_socket for match in getattr(into, "transport_socket_matches", ())]
    if into.HasField("transport_socket"):
        found.append(into.transport_socket)
    return next((s for s in found if s.name == name and s.HasField("typed_config")), None)
