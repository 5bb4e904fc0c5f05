"""EnvoyFilters at any level: who is selected, in what order, what is left out; the bootstrap, and secrets."""

import json

import pytest
from tests.encode.patched import (
    CLIENT,
    ECHO,
    FRONT,
    LUA,
    ON_80,
    OUT_SHOP,
    PLAIN,
    SERVER,
    Patch,
    Seen,
    envoy_filter,
    in_manager,
    patch,
)

from rhumb.encode.dispatch import left_out
from rhumb.encode.patch.bootstrap import bootstrap
from rhumb.ir.bundle import Startup
from rhumb.model.proxy import Role
from rhumb.testing.world import proxy
from rhumb.translate.proxy import resources as translated
from rhumb.xds.types import XdsType


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
