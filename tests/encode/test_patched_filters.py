"""EnvoyFilters for HTTP and network filters: every operation, by place, by type, over ECDS."""

import pytest
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.extensions.filters.http.lua.v3.lua_pb2 import Lua
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from tests.encode.patched import (
    DB,
    ECHO,
    IN_MANAGER,
    LIMIT,
    LUA,
    ON_80,
    PLAIN,
    ROUTER,
    SCRIPT,
    TCP_PROXY,
    TYPE,
    Patch,
    Seen,
    envoy_filter,
    in_manager,
    managers,
    patch,
    unpacked,
)

from rhumb.xds.types import XdsType


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
    added = {"operation": "ADD", "value": LUA, "filterClass": "AUTHN"}
    authn = {**patch("HTTP_FILTER", "ADD", listener=ON_80), "patch": added}
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
