"""What all kinds share: the base Struct, protobuf's integer ranges, enums that know their numbers."""

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Self

import msgspec

Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
UInt32 = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
UInt64 = Annotated[int, msgspec.Meta(ge=0)]
"""Upper bound 2**64 - 1, which the decoder checks: msgspec's own bounds end at 2**63."""

NONE: Mapping[Any, Any] = MappingProxyType({})
"""The empty map: the default of every map field."""

Oneofs = tuple[tuple[str, ...], ...]
Removed = Mapping[str, str]


class Kind(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, gc=False):
    """A message of the API: frozen, named as in YAML when encoded, defaults left out.

    Scalars without presence in protobuf hold their zero value when unset; wrappers, messages and
    members of a oneof are None; lists are () and maps empty.
    """

    ONEOFS: ClassVar[Oneofs] = ()
    """Groups of fields, as spelled in YAML, of which at most one may be written."""
    REMOVED: ClassVar[Removed] = NONE
    """Fields that older versions of the API had, with what to write today."""
    OPEN: ClassVar[bool] = False
    """A message of Kubernetes with fields beyond those that matter here: they are passed over."""
    STATUS: ClassVar[tuple[str, ...] | None] = None
    """The fields of a kind's `status` that matter; None: all of them."""


class WireEnum(enum.StrEnum):
    """An enum of the API: its text is the name; `number` is protobuf's, by position or written."""

    number: int

    def __new__(cls, name: str, number: int = -1) -> Self:
        """Make a member; numbers count up from 0 unless given."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.number = number if number >= 0 else len(cls.__members__)
        return member
