"""Everything that one view receives."""

import msgspec

from rhumb.ir.origin import Origin
from rhumb.ir.patch import Patch


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


class Startup(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """What an agent must know before it starts its proxy."""

    concurrency: int | None = None
    """Worker threads, 0 for one on each CPU; None: as the agent says."""
    environment: tuple[tuple[str, str], ...] = ()
    runtime: tuple[tuple[str, str], ...] = ()
    """Values of Envoy's runtime."""
    stats: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]] = ((), (), ())
    """Prefixes, suffixes and expressions of statistics that are kept too."""
    drain_ms: int | None = None
    patches: tuple[Patch, ...] = ()
    """Of the bootstrap."""
    name: str = "default"

    @property
    def origin(self) -> tuple[Origin, ...]:
        """Cite the patches."""
        return tuple(patch.origin for patch in self.patches)
