"""Messages of Envoy's API by name: their modules are loaded when a name is asked for."""

import functools
import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from typing import TypeVar

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.any_pb2 import Any
from google.protobuf.descriptor import Descriptor
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError, Message

M = TypeVar("M", bound=Message)

_ROOTS = ("envoy", "google", "udpa", "xds")
"""Packages that names may lie in: a name that a user writes must load nothing else."""
_OLD = re.compile(r"^envoy\..*\bv2(alpha\d*)?\.")
"""Names of the API that Envoy no longer speaks; the wheel still carries them."""


_WRONG = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What protobuf's reader raises on values of unexpected types, besides its own ParseError."""


class UnknownTypeError(Exception):
    """A type URL that stands for no message of Envoy's API."""


def message_class(name: str) -> type[Message]:
    """Return the class of a message by full name. Raises UnknownTypeError."""
    return message_factory.GetMessageClass(_descriptor(name))


@functools.cache
def _descriptor(name: str) -> Descriptor:
    if _OLD.search(name):
        raise UnknownTypeError(name)
    package = name
    while (package := package.rpartition(".")[0]) and package.partition(".")[0] in _ROOTS:
        if _load(package):
            break
    try:
        return descriptor_pool.Default().FindMessageTypeByName(name)
    except KeyError:
        raise UnknownTypeError(name) from None


def _load(package: str) -> bool:
    """Import the generated modules of a package; False when there is no such package."""
    try:
        path = importlib.import_module(package).__path__
    except (ImportError, AttributeError):
        return False
    found = [m.name for m in pkgutil.iter_modules(path) if m.name.endswith("_pb2")]
    for module in found:
        importlib.import_module(f"{package}.{module}")
    return bool(found)


def parse(value: dict[str, object], made: type[M], *, lenient: bool = False) -> M:
    """Read a message from protobuf JSON; `lenient` passes over unknown fields.

    Raises UnknownTypeError for the type of an Any, ParseError for all else that is wrong.
    """
    for url in _type_urls(value):
        message_class(url.rpartition("/")[2])
    try:
        return ParseDict(value, made(), ignore_unknown_fields=lenient)
    except _WRONG as error:
        raise ParseError(str(error)) from error


def _type_urls(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        url = value.get("@type")
        if isinstance(url, str):
            yield url
        for each in value.values():
            yield from _type_urls(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _type_urls(each)


def unpacked(value: Any) -> Message | None:
    """Return what an Any holds; None for a type that is not known, or bytes that are none."""
    try:
        out = message_class(value.type_url.rpartition("/")[2])()
        out.ParseFromString(value.value)
    except (UnknownTypeError, DecodeError):
        return None
    return out
