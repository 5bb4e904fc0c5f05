"""Automatic virtual addresses: deterministic, whatever order the services come in."""

import hashlib
from collections.abc import Iterable

_FIRST = (240 << 24) | (240 << 16)
_SIZE = 1 << 16


def allocate(hosts: Iterable[str]) -> dict[str, str]:
    """Return an address of 240.240.0.0/16 for each host name.

    A host's place is the hash of its name; who collides moves on to the next free place, in the order
    of names, so the result depends on the set alone. `.0` and `.255` are never given.
    """
    taken: dict[int, str] = {}
    wanted = sorted({h.lower() for h in hosts}, key=lambda h: (_place(h), h))
    for host in wanted:
        place = _place(host)
        for _ in range(_SIZE):
            if place not in taken and place & 0xFF not in (0, 255):
                break
            place = (place + 1) % _SIZE
        taken[place] = host
    return {host: _text(place) for place, host in taken.items()}


def _place(host: str) -> int:
    return int.from_bytes(hashlib.blake2b(host.encode(), digest_size=2).digest(), "big")


def _text(place: int) -> str:
    value = _FIRST + place
    return ".".join(str(value >> shift & 0xFF) for shift in (24, 16, 8, 0))
