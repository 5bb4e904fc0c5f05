"""Resources for agents, which are no Envoy messages: names, roots, and how a proxy starts."""

import msgspec

from rhumb.encode.patch.bootstrap import bootstrap
from rhumb.ir.bundle import NameTable, Startup
from rhumb.protos import nds_pb2, pcds_pb2, startup_pb2
from rhumb.xds.types import XdsType


class TrustBundle(msgspec.Struct, frozen=True, cache_hash=True):
    """Every root that peers may be verified against, PEM."""

    roots: tuple[str, ...]
    name: str = "default"


AgentValue = NameTable | TrustBundle | Startup


def encode(value: AgentValue) -> tuple[str, str, bytes]:
    """Return name, type URL and deterministic bytes; each type has one resource."""
    if isinstance(value, TrustBundle):
        bundle = pcds_pb2.ProxyConfig(ca_certificates_pem=value.roots)
        return value.name, XdsType.PCDS.value, bundle.SerializeToString(deterministic=True)
    if isinstance(value, Startup):
        told = startup_pb2.Startup(
            concurrency=value.concurrency,
            environment=dict(value.environment),
            bootstrap=bootstrap(value)[0],
            runtime=dict(value.runtime),
            stats_prefixes=value.stats[0],
            stats_suffixes=value.stats[1],
            stats_expressions=value.stats[2],
            drain_seconds=None if value.drain_ms is None else value.drain_ms / 1000,
        )
        return value.name, XdsType.STARTUP.value, told.SerializeToString(deterministic=True)
    table = nds_pb2.NameTable()
    for record in value.records:
        entry = table.table[record.host]
        entry.ips.extend(record.addresses)
        entry.registry = record.registry
        entry.shortname = record.short_name
        entry.namespace = record.namespace
    return value.name, XdsType.NDS.value, table.SerializeToString(deterministic=True)
