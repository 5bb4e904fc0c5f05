"""Everything that one view receives."""

import msgspec

from rhumb.ir.origin import Origin


class NameRecord(msgspec.Struct, frozen=True):
    """One entry of the DNS name table (Istio: istio.networking.nds.v1.NameTable)."""

    host: str
    addresses: tuple[str, ...]
    registry: str = ""
    short_name: str = ""
    namespace: str = ""


class NameTable(msgspec.Struct, frozen=True, cache_hash=True):
    """Names that the sidecar's DNS answers."""

    records: tuple[NameRecord, ...]
    name: str = "default"
    origin: tuple[Origin, ...] = ()
