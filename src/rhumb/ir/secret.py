"""Secrets that the control plane itself delivers."""

import msgspec

from rhumb.ir.origin import Origin


class Secret(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """A certificate with its key, or a set of roots (then the first two are empty)."""

    name: str
    certificate: bytes = b""
    private_key: bytes = b""
    ca: bytes = b""
    crl: bytes = b""
    origin: tuple[Origin, ...] = ()
