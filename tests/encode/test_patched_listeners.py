"""EnvoyFilters for listeners, their filters and their chains."""

import pytest
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import (
    DownstreamTlsContext,
)
from tests.encode.patched import (
    DB,
    ECHO,
    FRONT,
    INSPECTOR,
    LUA,
    MANAGER,
    PLAIN,
    SERVER,
    Patch,
    Seen,
    chains,
    envoy_filter,
    patch,
    unpacked,
)

from rhumb.xds.types import XdsType


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
