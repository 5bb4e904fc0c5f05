"""Automatic virtual addresses: deterministic, whatever order the services come in."""

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping

_FIRST = (240 << 24) | (240 << 16)
_PREFIX_V6 = "2001:2::f0f0"
_SIZE = 1 << 16
_USABLE = frozenset(range(1, 255))
"""Last octets that are given: `.0` and `.255` look like a network and a broadcast address."""
CAPACITY = (_SIZE >> 8) * len(_USABLE)

Pair = tuple[str, str]
"""An IPv4 address and its IPv6 counterpart."""
Rank = tuple[bool, str]
"""(has no creation time, creation time): the oldest host first."""


def allocate(wanted: Mapping[str, Rank], others: Iterable[str] = ()) -> dict[str, Pair]:
    """Return an address of 240.240.0.0/16 for each `NAMESPACE/HOST`, and one of 2001:2::/48.

    A host's first choice is the hash of its name; who finds it taken walks on in strides of its own.
    The oldest chooses first, so a new host never moves one that is there: the result depends on the
    set alone. Hosts beyond `CAPACITY` get none. `others` are addresses that are given already.
    """
    taken = {place for text in others if (place := _place(text)) is not None}
    given: dict[str, Pair] = {}
    for host in sorted(wanted, key=lambda h: (wanted[h], h)):
        place = _free(host, taken)
        if place is not None:
            taken.add(place)
            given[host] = (_text(place), f"{_PREFIX_V6}:{place:x}")
    return given


def _place(text: str) -> int | None:
    try:
        value = int(ipaddress.IPv4Address(text)) - _FIRST
    except ValueError:
        return None
    return value if 0 <= value < _SIZE else None


def _free(host: str, taken: set[int]) -> int | None:
    if len(taken) >= CAPACITY:
        return None
    digest = hashlib.blake2b(host.lower().encode(), digest_size=4).digest()
    place = int.from_bytes(digest[:2], "big")
    stride = int.from_bytes(digest[2:], "big") | 1  # odd: it visits all of a power of two
    while place in taken or place & 0xFF not in _USABLE:
        place = (place + stride) % _SIZE
    return place


def _text(place: int) -> str:
    value = _FIRST + place
    return ".".join(str(value >> shift & 0xFF) for shift in (24, 16, 8, 0))
