"""envoy.filters.network.mongo_proxy: reads along and counts, changes nothing."""

from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.extensions.filters.network.mongo_proxy.v3.mongo_proxy_pb2 import MongoProxy

from rhumb.encode.pack import pack

NAME = "envoy.filters.network.mongo_proxy"


def mongo_proxy(stat_prefix: str) -> Filter:
    """Spell the filter; statistics are `mongo.STAT_PREFIX.*`."""
    return Filter(name=NAME, typed_config=pack(MongoProxy(stat_prefix=stat_prefix)))
