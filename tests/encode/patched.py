"""A small mesh, EnvoyFilters for it, and what its proxies are then sent."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import yaml
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_components_pb2 import FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from google.protobuf.any_pb2 import Any as AnyPb
from google.protobuf.message import Message

from rhumb.encode.dispatch import left_out, message
from rhumb.model.proxy import Proxy, Role
from rhumb.snapshot.build import World
from rhumb.testing import envoy
from rhumb.testing.world import proxy, resources, world
from rhumb.translate.proxy import resources as translated
from rhumb.xds.types import XdsType

M = TypeVar("M", bound=Message)
Patch = Mapping[str, object]

MESH = """
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: default}
spec:
  clusterIP: 10.0.0.1
  selector: {app: shop}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: tcp-db, port: 3306}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: default}
spec:
  hosts: [shop, shop.example.com]
  gateways: [mesh, front]
  http:
  - {name: old, match: [{uri: {prefix: /old}}], redirect: {uri: /new}}
  - {name: rest, route: [{destination: {host: shop, port: {number: 80}}}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: default}
spec:
  selector: {app: front}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example.com]}
  - {port: {number: 443, name: web, protocol: HTTPS}, hosts: [shop.example.com],
     tls: {mode: SIMPLE, serverCertificate: certs/tls.crt, privateKey: certs/tls.key}}
"""
MANAGER = "envoy.filters.network.http_connection_manager"
ROUTER = "envoy.filters.http.router"
TCP_PROXY = "envoy.filters.network.tcp_proxy"
TYPE = "type.googleapis.com/envoy.extensions.filters"
SCRIPT = "function envoy_on_response(h) h:headers():add('x', 'y') end"
LUA = {
    "name": "lua",
    "typed_config": {
        "@type": f"{TYPE}.http.lua.v3.Lua",
        "default_source_code": {"inline_string": SCRIPT},
    },
}
ECHO = {"name": "echo", "typed_config": {"@type": f"{TYPE}.network.echo.v3.Echo"}}
LIMIT = {
    "name": "limit",
    "typed_config": {
        "@type": f"{TYPE}.network.connection_limit.v3.ConnectionLimit",
        "stat_prefix": "limit",
        "max_connections": 5,
    },
}
INSPECTOR = {
    "name": "mine",
    "typed_config": {"@type": f"{TYPE}.listener.tls_inspector.v3.TlsInspector"},
}
EXTRA = {"name": "extra", "match": {"prefix": "/extra"}, "direct_response": {"status": 204}}
ON_80 = {"portNumber": 80}
IN_MANAGER = {"portNumber": 80, "filterChain": {"filter": {"name": MANAGER}}}


def in_manager(sub: str) -> Patch:
    """Return a match of one HTTP filter on port 80."""
    return {
        "portNumber": 80,
        "filterChain": {"filter": {"name": MANAGER, "subFilter": {"name": sub}}},
    }


def envoy_filter(
    *patches: Patch, name: str = "f", namespace: str = "default", **spec: object
) -> str:
    """Write an EnvoyFilter."""
    return yaml.safe_dump(
        {
            "apiVersion": "networking.istio.io/v1alpha3",
            "kind": "EnvoyFilter",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"configPatches": list(patches), **spec},
        }
    )


def patch(
    apply_to: str, operation: str, value: object = None, context: str = "ANY", **match: object
) -> Patch:
    """Write one patch; `match` is one of listener, routeConfiguration, cluster, proxy."""
    said: dict[str, object] = {"operation": operation}
    if value is not None:
        said["value"] = value
    return {"applyTo": apply_to, "match": {"context": context, **match}, "patch": said}


CLIENT = proxy(name="client-1", labels={"app": "client"})
SERVER = proxy(address="10.0.0.7", name="shop-1", labels={"app": "shop"})
FRONT = proxy(
    address="10.0.0.5", name="front-1", role=Role.ROUTER, labels={"app": "front"},
    metadata={"RHUMB_FILE_SDS": "true"},
)  # fmt: skip


class Seen:
    """What a proxy is sent."""

    def __init__(self, *filters: str, who: Proxy = CLIENT) -> None:
        self.world: World = world(resources(MESH, *filters))
        self.view = self.world.view(who)

    def all(self, kind: XdsType) -> dict[str, Any]:
        """Return the messages of a type by name."""
        return {v.name: message(v) for v in translated(self.world, self.view, kind)}

    def left_out(self) -> list[str]:
        """Return why patches were left out."""
        kinds = (XdsType.LDS, XdsType.RDS, XdsType.CDS)
        values = [v for kind in kinds for v in translated(self.world, self.view, kind)]
        return [left.reason for value in values for left in left_out(value)]

    def listener(self, name: str) -> Listener:
        """Return a listener."""
        found: Listener = self.all(XdsType.LDS)[name]
        return found

    def http_filters(self, name: str = "0.0.0.0_80") -> list[str]:
        """Return the HTTP filters of the first chain of a listener that has some."""
        return [f.name for f in next(managers(self.listener(name))).http_filters]

    def routes(self, name: str = "80") -> RouteConfiguration:
        """Return a route configuration."""
        found: RouteConfiguration = self.all(XdsType.RDS)[name]
        return found

    def shop(self) -> VirtualHost:
        """Return the virtual host of the shop."""
        return next(v for v in self.routes().virtual_hosts if v.name.startswith("shop.default"))

    def cluster(self, name: str) -> Cluster:
        """Return a cluster."""
        found: Cluster = self.all(XdsType.CDS)[name]
        return found

    def judged(self) -> str:
        """Return what the real Envoy says of it all."""
        listeners = self.all(XdsType.LDS).values()
        clusters = self.all(XdsType.CDS).values()
        return envoy.validate(listeners, self.all(XdsType.RDS), clusters)


def chains(listener: Listener) -> Iterator[FilterChain]:
    """Yield all chains, the default one too."""
    yield from listener.filter_chains
    if listener.HasField("default_filter_chain"):
        yield listener.default_filter_chain


def managers(listener: Listener) -> Iterator[HttpConnectionManager]:
    """Yield the connection managers of a listener."""
    for chain in chains(listener):
        for each in chain.filters:
            if each.name == MANAGER:
                yield unpacked(each.typed_config, HttpConnectionManager)


def unpacked(packed: AnyPb, made: type[M]) -> M:
    """Return what an Any holds."""
    out = made()
    assert packed.Unpack(out)
    return out


PLAIN = Seen().http_filters()
DB = "10.0.0.1_3306"
OUT_SHOP = "outbound|80||shop.default.svc.cluster.local"
