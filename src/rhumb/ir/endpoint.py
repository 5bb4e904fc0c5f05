"""Endpoints of one cluster, grouped as Envoy balances them."""

import msgspec

from rhumb.ir.origin import Origin
from rhumb.model.endpoint import Health, Locality


class LbEndpoint(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """One address."""

    address: str
    """IP, DNS name, or a Unix socket's path (then `port` is 0)."""
    port: int
    additional: tuple[str, ...] = ()
    """Addresses of the other IP family, for a proxy that has both."""
    health: Health = Health.HEALTHY
    weight: int = 1
    mtls: bool = False
    """Metadata envoy.transport_socket_match.tlsMode=istio."""
    workload: str = ""
    """Istio's `name;namespace;canonical-name;canonical-revision;cluster`."""
    peer: str = ""
    """Compact text for metrics (`rhumb.model.peer`)."""


class LocalityGroup(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """Endpoints of one locality and priority."""

    locality: Locality
    priority: int = 0
    weight: int = 0
    """0: the sum of its endpoints' weights."""
    endpoints: tuple[LbEndpoint, ...]


class LoadAssignment(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """What EDS delivers for one cluster."""

    name: str
    groups: tuple[LocalityGroup, ...] = ()
    origin: tuple[Origin, ...] = ()
