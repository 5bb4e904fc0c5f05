"""What a stream can say, and what the server has to do about it."""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from rhumb.xds.types import XdsType


class DeltaRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One DeltaDiscoveryRequest, parsed."""

    type: XdsType
    nonce: str = ""
    error: str | None = None
    """The client's words when it rejected the response with this nonce; None is an acceptance."""
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    initial: Mapping[str, str] = MappingProxyType({})
    """Resources (name to version) that a client brings from an earlier stream."""


class SotwRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One DiscoveryRequest, parsed."""

    type: XdsType
    nonce: str = ""
    error: str | None = None
    names: tuple[str, ...] = ()
    version: str = ""


class Answer(msgspec.Struct, frozen=True):
    """The client must get a response, even if nothing has changed since the last one."""

    names: frozenset[str] = frozenset()
    """Newly asked for by name; each is sent, or told to be missing."""
    initial: Mapping[str, str] = MappingProxyType({})
    """What the client already holds; on the first request of a stream only."""
    returns: bool = False
    """The client comes back with resources of an earlier stream, listed or not."""
    version: str = ""
    """Of the full state that it comes back with; on the first request of a stream only."""


class Accepted(msgspec.Struct, frozen=True):
    """ACK of the last response."""

    nonce: str


class Rejected(msgspec.Struct, frozen=True):
    """NACK of the last response, with the client's own words."""

    nonce: str
    error: str


class Stale(msgspec.Struct, frozen=True):
    """An answer to an older response: counted, otherwise ignored."""

    nonce: str


Action = Answer | Accepted | Rejected | Stale
