"""Responses put together from parts that are already bytes.

Protobuf fields may be concatenated (encoding guide, "Last One Wins"; repeated fields append), so a
response is a shared body plus the few bytes that differ from stream to stream.
Field numbers: envoy/service/discovery/v3/discovery.proto.
"""

from collections.abc import Iterable

_SHORT = tuple(bytes((value,)) for value in range(0x80))


def _varint(value: int) -> bytes:
    if value <= 0x7F:
        return _SHORT[value]
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def tag(number: int) -> bytes:
    """Spell how a length-delimited field begins."""
    return _varint(number << 3 | 2)


def field(number: int, data: bytes | str) -> bytes:
    """Spell one length-delimited field."""
    raw = data.encode() if isinstance(data, str) else data
    return tag(number) + _varint(len(raw)) + raw


def any_value(type_url: str, value: bytes) -> bytes:
    """Spell a google.protobuf.Any."""
    return field(1, type_url) + field(2, value)


def delta_resource(name: str, version: str, packed: bytes) -> bytes:
    """Spell one `resources` field of a DeltaDiscoveryResponse; it ends with `packed`, the Any."""
    head = field(3, name) + field(1, version) + b"\x12" + _varint(len(packed))
    return b"".join((b"\x12", _varint(len(head) + len(packed)), head, packed))


def delta_body(type_url: str, resources: Iterable[bytes], removed: Iterable[str]) -> bytes:
    """Spell a DeltaDiscoveryResponse without nonce from `delta_resource`s and removed names."""
    return b"".join((field(4, type_url), *resources, *(field(6, name) for name in removed)))


def delta_nonce(nonce: str) -> bytes:
    """Spell the nonce of a DeltaDiscoveryResponse."""
    return field(5, nonce)


def sotw_body(type_url: str, version: str, resources: Iterable[bytes]) -> bytes:
    """Spell a DiscoveryResponse without nonce from Any bytes."""
    parts = [field(1, version), field(4, type_url)]
    for packed in resources:
        parts += (b"\x12" + _varint(len(packed)), packed)
    return b"".join(parts)


def sotw_nonce(nonce: str) -> bytes:
    """Spell the nonce of a DiscoveryResponse."""
    return field(5, nonce)
