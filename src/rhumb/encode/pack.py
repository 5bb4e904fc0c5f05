"""Protobuf messages as deterministic bytes."""

from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message

_PREFIX = "type.googleapis.com/"


def type_url(message: Message | type[Message]) -> str:
    """Return the URL by which an Any names a message type."""
    return _PREFIX + message.DESCRIPTOR.full_name


def serialize(message: Message) -> bytes:
    """Return the bytes of a message: equal messages, equal bytes."""
    return message.SerializeToString(deterministic=True)


def pack(message: Message) -> Any:
    """Wrap a message in an Any."""
    return Any(type_url=type_url(message), value=serialize(message))
