"""Resources for agents, which are no Envoy messages: the DNS name table and the trust bundle."""

import msgspec

from rhumb.ir.bundle import NameTable
from rhumb.protos import nds_pb2, pcds_pb2
from rhumb.xds.types import XdsType


class TrustBundle(msgspec.Struct, frozen=True, cache_hash=True):
    """Every root that peers may be verified against, PEM."""

    roots: tuple[str, ...]
    name: str = "default"


AgentValue = NameTable | TrustBundle


def encode(value: AgentValue) -> tuple[str, str, bytes]:
    """Return name, type URL and deterministic bytes; each type has one resource."""
    if isinstance(value, TrustBundle):
        bundle = pcds_pb2.ProxyConfig(ca_certificates_pem=value.roots)
        return value.name, XdsType.PCDS.value, bundle.SerializeToString(deterministic=True)
    table = nds_pb2.NameTable()
    for record in value.records:
        entry = table.table[record.host]
        entry.ips.extend(record.addresses)
        entry.registry = record.registry
        entry.shortname = record.short_name
        entry.namespace = record.namespace
    return value.name, XdsType.NDS.value, table.SerializeToString(deterministic=True)
