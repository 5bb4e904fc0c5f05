"""Hosts that are resolved when a request for them comes: one cache for clusters and filters."""

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.extensions.common.dynamic_forward_proxy.v3.dns_cache_pb2 import DnsCacheConfig
from envoy.extensions.filters.http.dynamic_forward_proxy.v3.dynamic_forward_proxy_pb2 import (
    FilterConfig,
)
from envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.sni_dynamic_forward_proxy_pb2 import (
    FilterConfig as SniFilterConfig,
)

from rhumb.encode.pack import pack

SNI_NAME = "envoy.filters.network.sni_dynamic_forward_proxy"
_CACHE = "dynamic_forward_proxy"
_MAX_HOSTS = 1024


def cache() -> DnsCacheConfig:
    """Spell the cache; Envoy refuses two of one name that differ."""
    out = DnsCacheConfig(name=_CACHE, dns_lookup_family=Cluster.V4_PREFERRED)
    out.max_hosts.value = _MAX_HOSTS
    return out


def http() -> FilterConfig:
    """Spell the HTTP filter: it resolves the host of a request whose cluster asks for that."""
    return FilterConfig(dns_cache_config=cache())


def sni(port: int) -> Filter:
    """Spell the TCP filter: it resolves the server name of a TLS connection."""
    config = SniFilterConfig(dns_cache_config=cache(), port_value=port)
    return Filter(name=SNI_NAME, typed_config=pack(config))
