"""EnvoyFilters from YAML to messages: every level and operation, and that the real Envoy takes the outcome."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import pytest
import yaml
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.listener.v3.listener_components_pb2 import FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import Route, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.lua.v3.lua_pb2 import Lua
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import (
    DownstreamTlsContext,
    UpstreamTlsContext,
)
from google.protobuf.any_pb2 import Any as AnyPb
from google.protobuf.message import Message

from rhumb.encode.dispatch import left_out, message
from rhumb.encode.patch.bootstrap import bootstrap
from rhumb.ir.bundle import Startup
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


@pytest.mark.parametrize(
    ("operation", "match", "expected"),
    [
        ("ADD", ON_80, [*PLAIN[:-1], "lua", ROUTER]),
        ("INSERT_FIRST", ON_80, ["lua", *PLAIN]),
        ("INSERT_BEFORE", in_manager("envoy.filters.http.cors"), ["envoy.filters.http.fault", "lua", "envoy.filters.http.cors", ROUTER]),
        ("INSERT_AFTER", in_manager("envoy.filters.http.fault"), ["envoy.filters.http.fault", "lua", "envoy.filters.http.cors", ROUTER]),
        ("INSERT_BEFORE", IN_MANAGER, ["lua", *PLAIN]),
        ("INSERT_BEFORE", in_manager("not.there"), PLAIN),
        ("REPLACE", in_manager("envoy.filters.http.cors"), ["envoy.filters.http.fault", "lua", ROUTER]),
        ("REMOVE", in_manager("envoy.filters.http.cors"), ["envoy.filters.http.fault", ROUTER]),
        ("REMOVE", IN_MANAGER, PLAIN),
        ("INSERT_BEFORE", {"portNumber": 81}, PLAIN),
    ],
)  # fmt: skip
def test_http_filters(operation: str, match: Patch, expected: list[str]) -> None:
    value = None if operation == "REMOVE" else LUA
    seen = Seen(
        envoy_filter(patch("HTTP_FILTER", operation, value, "SIDECAR_OUTBOUND", listener=match))
    )
    assert seen.http_filters() == expected
    assert seen.left_out() == []


def test_http_filters_are_placed_by_class() -> None:
    jwt = {"name": "envoy.filters.http.jwt_authn", "typed_config": {"@type": f"{TYPE}.http.jwt_authn.v3.JwtAuthentication"}}  # fmt: skip
    authn = patch("HTTP_FILTER", "ADD", LUA, listener=ON_80)
    authn = {**authn, "patch": {**authn["patch"], "filterClass": "AUTHN"}}  # type: ignore[dict-item]
    first = patch("HTTP_FILTER", "INSERT_FIRST", jwt, listener=ON_80)
    seen = Seen(envoy_filter(first, authn))
    assert seen.http_filters() == ["envoy.filters.http.jwt_authn", "lua", *PLAIN]


def test_an_http_filter_is_merged_by_its_type() -> None:
    more = {
        "typed_config": {
            "@type": f"{TYPE}.http.lua.v3.Lua",
            "source_codes": {"more": {"inline_string": "-- more"}},
        },
        "disabled": True,
    }
    seen = Seen(
        envoy_filter(
            patch("HTTP_FILTER", "INSERT_FIRST", LUA, listener=ON_80),
            patch("HTTP_FILTER", "MERGE", more, listener=in_manager("lua")),
        )
    )
    found = next(managers(seen.listener("0.0.0.0_80"))).http_filters[0]
    config = unpacked(found.typed_config, Lua)
    assert (found.name, found.disabled) == ("lua", True)
    assert config.default_source_code.inline_string == SCRIPT
    assert config.source_codes["more"].inline_string == "-- more"


def test_a_filter_over_ecds_has_its_configuration_added() -> None:
    discovered = {
        "name": "lua",
        "config_discovery": {
            "config_source": {"ads": {}, "initial_fetch_timeout": "0s"},
            "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"],
        },
    }
    seen = Seen(
        envoy_filter(
            patch("HTTP_FILTER", "INSERT_FIRST", discovered, listener=ON_80),
            patch("EXTENSION_CONFIG", "ADD", LUA),
        )
    )
    assert seen.http_filters()[0] == "lua"
    found = seen.all(XdsType.ECDS)
    assert list(found) == ["lua"]
    assert isinstance(found["lua"], TypedExtensionConfig)
    assert seen.judged() == ""


@pytest.mark.parametrize(
    ("operation", "value", "match", "expected"),
    [
        ("ADD", LIMIT, {"portNumber": 3306}, ["limit", TCP_PROXY]),
        ("INSERT_FIRST", LIMIT, {"portNumber": 3306}, ["limit", TCP_PROXY]),
        ("INSERT_BEFORE", LIMIT, {"name": DB, "filterChain": {"filter": {"name": TCP_PROXY}}}, ["limit", TCP_PROXY]),
        ("INSERT_AFTER", LIMIT, {"name": DB, "filterChain": {"filter": {"name": "none"}}}, [TCP_PROXY]),
        ("REPLACE", ECHO, {"name": DB, "filterChain": {"filter": {"name": TCP_PROXY}}}, ["echo"]),
    ],
)  # fmt: skip
def test_network_filters(operation: str, value: Patch, match: Patch, expected: list[str]) -> None:
    seen = Seen(envoy_filter(patch("NETWORK_FILTER", operation, value, listener=match)))
    assert [f.name for f in seen.listener(DB).filter_chains[0].filters] == expected
    assert seen.judged() == ""


def test_a_network_filter_is_merged_by_its_type() -> None:
    more = {
        "name": TCP_PROXY,
        "typed_config": {"@type": f"{TYPE}.network.tcp_proxy.v3.TcpProxy", "idle_timeout": "7s"},
    }
    match = {"portNumber": 3306, "filterChain": {"filter": {"name": TCP_PROXY}}}
    seen = Seen(envoy_filter(patch("NETWORK_FILTER", "MERGE", more, listener=match)))
    found = unpacked(seen.listener(DB).filter_chains[0].filters[-1].typed_config, TcpProxy)
    assert found.idle_timeout.seconds == 7
    assert found.cluster == "outbound|3306||shop.default.svc.cluster.local"


def test_inbound_chains_are_told_apart_by_the_port_of_the_workload() -> None:
    match = {"portNumber": 8080, "filterChain": {"filter": {"name": MANAGER}}}
    seen = Seen(
        envoy_filter(patch("HTTP_FILTER", "INSERT_FIRST", LUA, "SIDECAR_INBOUND", listener=match)),
        who=SERVER,
    )
    found = seen.listener("virtualInbound")
    with_lua = {
        chain.filter_chain_match.destination_port.value
        for chain in chains(found)
        for each in chain.filters
        if each.name == MANAGER
        and "lua" in str(unpacked(each.typed_config, HttpConnectionManager).http_filters)
    }
    assert with_lua == {8080}
    assert seen.http_filters() == PLAIN
    assert seen.judged() == ""


def test_listeners_are_merged_removed_and_added() -> None:
    more = {"per_connection_buffer_limit_bytes": 1000, "listener_filters": [INSPECTOR]}
    mine = {
        "name": "mine",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 19000}},
        "filter_chains": [{"filters": [ECHO]}],
    }
    seen = Seen(
        envoy_filter(
            patch("LISTENER", "MERGE", more, listener={"name": "0.0.0.0_80"}),
            patch("LISTENER", "REMOVE", None, "SIDECAR_OUTBOUND", listener={"portNumber": 3306}),
            patch("LISTENER", "ADD", mine),
            patch("LISTENER", "ADD", {**mine, "name": "gates"}, "GATEWAY"),
        )
    )
    found = seen.all(XdsType.LDS)
    assert DB not in found
    assert "gates" not in found
    assert found["mine"].filter_chains[0].filters[0].name == "echo"
    assert found["0.0.0.0_80"].per_connection_buffer_limit_bytes.value == 1000
    names = [f.name for f in found["0.0.0.0_80"].listener_filters]
    assert names == ["envoy.filters.listener.http_inspector", "mine"]
    assert seen.judged() == ""


@pytest.mark.parametrize(
    ("operation", "named", "expected"),
    [
        ("ADD", "", ["http", "mine"]),
        ("INSERT_FIRST", "", ["mine", "http"]),
        ("INSERT_BEFORE", "http", ["mine", "http"]),
        ("INSERT_AFTER", "http", ["http", "mine"]),
        ("REPLACE", "http", ["mine"]),
        ("REMOVE", "http", []),
        ("REMOVE", "", ["http"]),
        ("MERGE", "http", ["http"]),
    ],
)
def test_listener_filters(operation: str, named: str, expected: list[str]) -> None:
    full = "envoy.filters.listener.http_inspector"
    match = {"name": "0.0.0.0_80"} | ({"listenerFilter": full} if named else {})
    value: Patch | None = INSPECTOR
    if operation == "MERGE":
        value = {"filter_disabled": {"any_match": True}}
    if operation == "REMOVE":
        value = None
    seen = Seen(envoy_filter(patch("LISTENER_FILTER", operation, value, listener=match)))
    found = seen.listener("0.0.0.0_80").listener_filters
    assert [f.name.replace(full, "http") for f in found] == expected
    assert found[0].filter_disabled.any_match is True if operation == "MERGE" else True
    assert seen.judged() == ""


def test_filter_chains_are_merged_removed_and_added() -> None:
    blocked = {
        "name": "blocked",
        "filter_chain_match": {"server_names": ["bad.example.com"]},
        "filters": [ECHO],
    }
    slow = {"transport_socket_connect_timeout": "3s"}
    seen = Seen(
        envoy_filter(
            patch("FILTER_CHAIN", "ADD", blocked, listener={"name": "0.0.0.0_80"}),
            patch("FILTER_CHAIN", "MERGE", slow, listener={"name": "0.0.0.0_80", "filterChain": {"transportProtocol": "raw_buffer", "applicationProtocols": "http/1.1,h2c"}}),
            patch("FILTER_CHAIN", "REMOVE", None, listener={"name": "virtualOutbound", "filterChain": {"name": "virtualOutbound-blackhole"}}),
        )
    )  # fmt: skip
    found = seen.listener("0.0.0.0_80")
    assert found.filter_chains[-1].name == "blocked"
    assert found.filter_chains[0].transport_socket_connect_timeout.seconds == 3
    assert not found.default_filter_chain.HasField("transport_socket_connect_timeout")
    names = [chain.name for chain in seen.listener("virtualOutbound").filter_chains]
    assert names == ["virtualOutbound-catchall-tcp"]
    assert seen.judged() == ""


def test_a_chain_that_would_take_anothers_place_is_left_out() -> None:
    twin = {"filter_chain_match": {"destination_port": 15001}, "filters": [ECHO]}
    seen = Seen(
        envoy_filter(patch("FILTER_CHAIN", "ADD", twin, listener={"name": "virtualOutbound"}))
    )
    assert seen.left_out() == ["listener virtualOutbound has a filter chain with the same match"]
    assert seen.judged() == ""


def test_tls_of_a_gateway_is_merged_deeply() -> None:
    value = {
        "transport_socket": {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {"tls_params": {"tls_minimum_protocol_version": "TLSv1_3"}},
            },
        }
    }
    match = {"portNumber": 443, "filterChain": {"sni": "shop.example.com"}}
    seen = Seen(
        envoy_filter(patch("FILTER_CHAIN", "MERGE", value, "GATEWAY", listener=match)), who=FRONT
    )
    socket = seen.listener("0.0.0.0_443").filter_chains[0].transport_socket
    context = unpacked(socket.typed_config, DownstreamTlsContext).common_tls_context
    assert context.tls_params.tls_minimum_protocol_version == 4
    assert context.alpn_protocols == ["h2", "http/1.1"]


def _host(name: str, route: Patch | None = None) -> Patch:
    return {"vhost": {"name": name} | ({"route": route} if route is not None else {})}


SHOP = "shop.default.svc.cluster.local:80"
EXTRA = {"name": "extra", "match": {"prefix": "/extra"}, "direct_response": {"status": 204}}


def test_route_configurations_and_virtual_hosts() -> None:
    mine = {"name": "mine", "domains": ["mine.example.com"], "routes": [EXTRA]}
    header = {"header": {"key": "x-table", "value": "set"}}
    named = {"name": "80"}
    seen = Seen(
        envoy_filter(
            patch("ROUTE_CONFIGURATION", "MERGE", {"response_headers_to_add": [header]}, routeConfiguration=named),
            patch("VIRTUAL_HOST", "ADD", mine, routeConfiguration={"portNumber": 80}),
            patch("VIRTUAL_HOST", "MERGE", {"retry_policy": {"retry_on": "5xx"}}, routeConfiguration=_host(SHOP)),
            patch("VIRTUAL_HOST", "REMOVE", None, routeConfiguration={"vhost": {"domainName": "shop.example.com"}}),
        )
    )  # fmt: skip
    table = seen.routes()
    assert [h.header.key for h in table.response_headers_to_add] == ["x-table"]
    assert table.virtual_hosts[-1].name == "mine"
    assert seen.shop().retry_policy.retry_on == "5xx"
    assert "shop.example.com:80" not in [v.name for v in table.virtual_hosts]
    assert seen.judged() == ""


def test_a_virtual_host_is_replaced() -> None:
    other = {"name": SHOP, "domains": ["shop"], "routes": [EXTRA]}
    seen = Seen(
        envoy_filter(patch("VIRTUAL_HOST", "REPLACE", other, routeConfiguration=_host(SHOP)))
    )
    assert list(seen.shop().domains) == ["shop"]


def test_a_virtual_host_with_anothers_domain_is_left_out() -> None:
    mine = {"name": "mine", "domains": ["SHOP.example.com"], "routes": [EXTRA]}
    seen = Seen(envoy_filter(patch("VIRTUAL_HOST", "ADD", mine, routeConfiguration={"name": "80"})))
    assert seen.left_out() == [
        "domain SHOP.example.com is that of virtual host shop.example.com:80 already"
    ]


@pytest.mark.parametrize(
    ("operation", "route", "expected"),
    [
        ("ADD", None, ["old", "rest", "extra"]),
        ("INSERT_FIRST", None, ["extra", "old", "rest"]),
        ("INSERT_FIRST", {"name": "rest"}, ["extra", "old", "rest"]),
        ("INSERT_FIRST", {"name": "none"}, ["old", "rest"]),
        ("INSERT_BEFORE", {"name": "rest"}, ["old", "extra", "rest"]),
        ("INSERT_AFTER", {"action": "REDIRECT"}, ["old", "extra", "rest"]),
        ("INSERT_AFTER", None, ["old", "rest", "extra"]),
        ("REMOVE", {"action": "REDIRECT"}, ["rest"]),
        ("REMOVE", {"name": "rest", "action": "REDIRECT"}, ["old", "rest"]),
    ],
)
def test_routes(operation: str, route: Patch | None, expected: list[str]) -> None:
    value = None if operation == "REMOVE" else EXTRA
    seen = Seen(
        envoy_filter(patch("HTTP_ROUTE", operation, value, routeConfiguration=_host(SHOP, route)))
    )
    assert [r.name for r in seen.shop().routes] == expected


def test_a_route_is_merged() -> None:
    value = {"route": {"timeout": "9s", "retry_policy": {"num_retries": 7}}}
    match = _host(SHOP, {"action": "ROUTE"})
    seen = Seen(envoy_filter(patch("HTTP_ROUTE", "MERGE", value, routeConfiguration=match)))
    old, rest = seen.shop().routes
    assert rest.route.timeout.seconds == 9
    assert rest.route.retry_policy.num_retries.value == 7
    assert rest.route.cluster == OUT_SHOP
    assert old.WhichOneof("action") == "redirect"


def test_lists_are_appended_to_or_replaced() -> None:
    value = {"domains": ["more.example.com"]}
    match = _host(SHOP)
    appended = Seen(envoy_filter(patch("VIRTUAL_HOST", "MERGE", value, routeConfiguration=match)))
    assert list(appended.shop().domains)[-1] == "more.example.com"
    assert len(appended.shop().domains) > 2
    how = "MERGE_AND_REPLACE_LIST"
    replaced = Seen(envoy_filter(patch("VIRTUAL_HOST", how, value, routeConfiguration=match)))
    assert list(replaced.shop().domains) == ["more.example.com"]


def test_inline_routes_of_inbound_listeners() -> None:
    match = {"name": "inbound|8080||", "portNumber": 8080}
    value = {"route": {"timeout": "9s"}}
    seen = Seen(
        envoy_filter(patch("HTTP_ROUTE", "MERGE", value, "SIDECAR_INBOUND", routeConfiguration=match)),
        who=SERVER,
    )  # fmt: skip
    tables = [m.route_config for m in managers(seen.listener("virtualInbound"))]
    patched = {t.name for t in tables if t.virtual_hosts[0].routes[0].route.timeout.seconds == 9}
    assert patched == {"inbound|8080||"}


def test_routes_of_gateways_by_gateway_and_port_name() -> None:
    match = {"portNumber": 443, "portName": "web", "gateway": "default/front"}
    value = {"route": {"timeout": "9s"}}
    seen = Seen(
        envoy_filter(patch("HTTP_ROUTE", "MERGE", value, "GATEWAY", routeConfiguration=match)),
        who=FRONT,
    )

    def timeouts(name: str) -> set[int]:
        routes: list[Route] = [r for v in seen.routes(name).virtual_hosts for r in v.routes]
        return {r.route.timeout.seconds for r in routes if r.WhichOneof("action") == "route"}

    assert timeouts("https.443.web.front.default") == {9}
    assert timeouts("http.80") == {0}


def test_clusters_are_merged_removed_and_added() -> None:
    mine = {"name": "mine", "type": "STATIC", "connect_timeout": "1s"}
    service = "shop.default.svc.cluster.local"
    seen = Seen(
        envoy_filter(
            patch("CLUSTER", "MERGE", {"connect_timeout": "2s"}, cluster={"service": service, "portNumber": 80}),
            patch("CLUSTER", "REMOVE", None, cluster={"name": f"outbound|3306||{service}"}),
            patch("CLUSTER", "ADD", mine),
            patch("CLUSTER", "ADD", {**mine, "name": OUT_SHOP}),
            patch("CLUSTER", "MERGE", {"connect_timeout": "3s"}, "SIDECAR_INBOUND"),
        )
    )  # fmt: skip
    found = seen.all(XdsType.CDS)
    assert found[OUT_SHOP].connect_timeout.seconds == 2
    assert f"outbound|3306||{service}" not in found
    assert found["mine"].type == Cluster.STATIC
    assert found["InboundPassthroughCluster"].connect_timeout.seconds == 3
    assert found["PassthroughCluster"].connect_timeout.seconds != 3


def test_tls_of_a_cluster_is_merged_deeply_where_it_has_a_choice_of_sockets() -> None:
    value = {
        "transport_socket": {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "max_session_keys": 0,
            },
        }
    }
    seen = Seen(envoy_filter(patch("CLUSTER", "MERGE", value, cluster={"name": OUT_SHOP})))
    found = seen.cluster(OUT_SHOP)
    assert not found.HasField("transport_socket")
    context = unpacked(
        found.transport_socket_matches[0].transport_socket.typed_config, UpstreamTlsContext
    )
    assert context.HasField("max_session_keys")
    assert context.sni == "outbound_.80_._.shop.default.svc.cluster.local"


def test_inbound_clusters_by_service_and_port() -> None:
    value = {"connect_timeout": "2s"}
    match = {"service": "shop.default.svc.cluster.local", "portNumber": 8080}
    seen = Seen(
        envoy_filter(patch("CLUSTER", "MERGE", value, "SIDECAR_INBOUND", cluster=match)), who=SERVER
    )
    assert seen.cluster("inbound|8080||").connect_timeout.seconds == 2
    assert seen.cluster("inbound|3306||").connect_timeout.seconds != 2


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"connect_timeout": "-1s"}, "connect_timeout: must be greater than 0ns"),
        ({"conect_timeout": "1s"}, 'has no field named "conect_timeout"'),
        ({"lb_policy": "BEST"}, "Invalid enum value BEST"),
        (
            {"transport_socket": {"name": "mine"}},
            "none of its transport_socket_matches is mine",
        ),
    ],
)
def test_what_breaks_the_schema_is_left_out_and_the_rest_goes_on(value: Patch, reason: str) -> None:
    filters = envoy_filter(
        patch("CLUSTER", "MERGE", value, cluster={"name": OUT_SHOP}),
        patch("CLUSTER", "MERGE", {"per_connection_buffer_limit_bytes": 9}, cluster={"name": OUT_SHOP}),
    )  # fmt: skip
    seen = Seen(filters)
    (said,) = seen.left_out()
    assert reason in said
    assert seen.cluster(OUT_SHOP).per_connection_buffer_limit_bytes.value == 9
    plain = Seen().cluster(OUT_SHOP)
    assert seen.cluster(OUT_SHOP).connect_timeout == plain.connect_timeout
    assert seen.judged() == ""


def test_merging_another_type_is_left_out() -> None:
    match = in_manager("envoy.filters.http.cors")
    seen = Seen(envoy_filter(patch("HTTP_FILTER", "MERGE", LUA, listener=match)))
    assert "the types are different" in seen.left_out()[0]
    assert seen.http_filters() == PLAIN


def test_order_is_priority_then_root_namespace_then_age() -> None:
    def named(name: str) -> Patch:
        return patch("HTTP_FILTER", "INSERT_FIRST", {**LUA, "name": name}, listener=ON_80)

    seen = Seen(
        envoy_filter(named("late"), name="a", priority=5),
        envoy_filter(named("own"), name="b"),
        envoy_filter(named("mesh-wide"), name="c", namespace="istio-system"),
        envoy_filter(named("early"), name="d", priority=-5),
        envoy_filter(named("elsewhere"), name="e", namespace="other"),
    )
    # Each is put before those that came before it.
    assert seen.http_filters() == ["late", "own", "mesh-wide", "early", *PLAIN]


def test_who_is_selected() -> None:
    add = patch("HTTP_FILTER", "INSERT_FIRST", LUA, listener=ON_80)
    by_label = envoy_filter(add, workloadSelector={"labels": {"app": "client"}})
    assert Seen(by_label).http_filters()[0] == "lua"
    assert Seen(by_label, who=SERVER).http_filters() == PLAIN
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "g"}
    by_target = envoy_filter(add, targetRefs=[target])
    assert Seen(by_target).http_filters() == PLAIN
    gateway = proxy(
        name="g-1",
        role=Role.ROUTER,
        labels={"gateway.networking.k8s.io/gateway-name": "g", "app": "front"},
    )
    assert Seen(by_target, who=gateway).http_filters()[0] == "lua"


@pytest.mark.parametrize(
    ("wanted", "version", "fits"),
    [
        ({"proxyVersion": r"^1\.2.*"}, "1.29.0", True),
        ({"proxyVersion": r"^1\.2.*"}, "1.30.0", False),
        ({"proxyVersion": r"^1\.2.*"}, "", False),
        ({"proxyVersion": "1" * 1025}, "1.29.0", False),
        ({"metadata": {"TEAM": "red"}}, "", True),
        ({"metadata": {"TEAM": "blue"}}, "", False),
    ],
)
def test_conditions_on_the_proxy(wanted: Patch, version: str, fits: bool) -> None:
    who = proxy(metadata={"ISTIO_VERSION": version, "TEAM": "red"})
    add = patch("HTTP_FILTER", "INSERT_FIRST", LUA, listener=ON_80, proxy=wanted)
    assert ("lua" in Seen(envoy_filter(add), who=who).http_filters()) is fits


def test_proxies_without_patches_share_one_view() -> None:
    add = patch("HTTP_FILTER", "INSERT_FIRST", LUA, proxy={"metadata": {"TEAM": "red"}})
    seen = Seen(envoy_filter(add), who=proxy(metadata={"TEAM": "blue"}))
    assert seen.view.patches == ()
    assert seen.view == seen.world.view(proxy(metadata={"TEAM": "green"}))
    assert seen.view != seen.world.view(proxy(metadata={"TEAM": "red"}))


def test_patches_of_the_bootstrap_are_merged_for_the_agent() -> None:
    who = proxy(role=Role.AGENT, metadata={"RHUMB_ROLE": "router"})
    layer = {"name": "mine", "static_layer": {"a.b": 1}}
    seen = Seen(
        envoy_filter(
            patch("BOOTSTRAP", "MERGE", {"layered_runtime": {"layers": [layer]}}),
            patch("BOOTSTRAP", "MERGE", {"stats_flush_interval": "1s"}, "GATEWAY"),
            patch("BOOTSTRAP", "MERGE", {"stats_flush_interval": "2s"}, "SIDECAR_OUTBOUND"),
            patch("BOOTSTRAP", "MERGE", {"no_such_field": 1}),
        ),
        who=who,
    )
    (startup,) = translated(seen.world, seen.view, XdsType.STARTUP)
    assert isinstance(startup, Startup)
    text, (left,) = bootstrap(startup)
    assert json.loads(text) == {
        "layered_runtime": {"layers": [{"name": "mine", "static_layer": {"a.b": 1}}]},
        "stats_flush_interval": "1s",
    }
    assert 'no field named "no_such_field"' in left.reason
    assert left_out(startup) == (left,)


def test_the_older_fields_of_protocols_are_heard_on_plain_http() -> None:
    h2: Patch = {"http2_protocol_options": {}}
    seen = Seen(envoy_filter(patch("CLUSTER", "MERGE", h2, "SIDECAR_OUTBOUND", cluster={})))
    found = seen.cluster(OUT_SHOP)
    # Envoy passes over them where a cluster has the newer options.
    assert not found.typed_extension_protocol_options
    assert found.HasField("http2_protocol_options")
    socket = found.transport_socket_matches[0].transport_socket
    offered = unpacked(socket.typed_config, UpstreamTlsContext).common_tls_context.alpn_protocols
    assert list(offered) == ["istio-h2", "istio", "h2"]
    assert seen.judged() == ""


def test_a_gateways_patch_may_name_a_secret_of_its_namespace() -> None:
    secret = """
apiVersion: v1
kind: Secret
metadata: {name: mine, namespace: default}
type: generic
data: {cert: Y2VydA==, key: a2V5}
"""
    sds = {"name": "kubernetes://mine", "sds_config": {"ads": {}, "resource_api_version": "V3"}}
    config = {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {"tls_certificate_sds_secret_configs": [sds]},
    }
    chain = {
        "filter_chain_match": {"server_names": ["more.example.com"]},
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": config},
        "filters": [ECHO],
    }
    filters = envoy_filter(patch("FILTER_CHAIN", "ADD", chain, listener={"portNumber": 443}))
    assert "kubernetes://mine" in Seen(secret, filters, who=FRONT).all(XdsType.SDS)
    assert "kubernetes://mine" not in Seen(secret, who=FRONT).all(XdsType.SDS)
    assert "kubernetes://mine" not in Seen(secret, filters, who=CLIENT).all(XdsType.SDS)
