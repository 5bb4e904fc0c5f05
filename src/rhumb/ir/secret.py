"""Secrets that the control plane itself delivers."""

import msgspec

from rhumb.ir.origin import Origin


class Secret(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """A certificate with its key, or a set of roots: their content, or files on the proxy's disk."""

    name: str
    certificate: bytes = b""
    private_key: bytes = b""
    ca: bytes = b""
    crl: bytes = b""
    certificate_file: str = ""
    private_key_file: str = ""
    ca_file: str = ""
    """`system` is the operating system's."""
    crl_file: str = ""
    origin: tuple[Origin, ...] = ()
