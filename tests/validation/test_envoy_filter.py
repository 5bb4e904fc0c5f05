"""EnvoyFilters: what the webhook says, and what of Envoy's own rules is known before a proxy sees it."""

from collections.abc import Mapping
from types import MappingProxyType

import pytest
import yaml

from rhumb.model.finding import Level
from rhumb.validation.load import Loader

LUA = {
    "name": "envoy.filters.http.lua",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
        "default_source_code": {"inline_string": "function envoy_on_request(h) end"},
    },
}
MANAGER = "envoy.filters.network.http_connection_manager"


def _check(*patches: dict[str, object], **spec: object) -> tuple[list[str], list[str]]:
    """Return the errors and the warnings, but for the one that every EnvoyFilter gets."""
    text = yaml.safe_dump(
        {
            "apiVersion": "networking.istio.io/v1alpha3",
            "kind": "EnvoyFilter",
            "metadata": {"name": "f", "namespace": "default"},
            "spec": {"configPatches": list(patches), **spec},
        }
    )
    (document,) = Loader().load(text, "f.yaml")
    found = document.findings
    assert all(f.location.line for f in found)
    always = [f for f in found if "exposes internal implementation details" in f.message]
    assert len(always) == 1
    errors = [f.message for f in found if f.level is Level.ERROR]
    assert (document.resource is None) is bool(errors)
    warnings = [f.message for f in found if f.level is Level.WARNING and f not in always]
    return errors, warnings


def _patch(
    apply_to: str = "HTTP_FILTER",
    *,
    patch: Mapping[str, object] = MappingProxyType({}),
    **said: object,
) -> dict[str, object]:
    return {"applyTo": apply_to, "patch": {"operation": "ADD", "value": LUA, **patch}, **said}


def test_a_good_one_is_accepted_with_the_warning_that_all_get() -> None:
    assert _check(_patch()) == ([], [])


@pytest.mark.parametrize(
    ("patch", "error"),
    [
        ({"patch": {"operation": "REMOVE"}}, "Envoy filter: missing applyTo"),
        ({"applyTo": "CLUSTER"}, "Envoy filter: missing patch"),
        ({"applyTo": "CLUSTER", "patch": {}}, "Envoy filter: missing patch operation"),
        (
            {"applyTo": "CLUSTER", "patch": {"operation": "ADD"}},
            "Envoy filter: missing patch value for non-remove operation",
        ),
        (
            _patch(match={"cluster": {"name": "x"}}),
            "Envoy filter: applyTo for listener class objects cannot have non listener match",
        ),
        (
            _patch("CLUSTER", match={"listener": {"name": "x"}}, patch={"value": {"name": "x"}}),
            "Envoy filter: applyTo for cluster class objects cannot have non cluster match",
        ),
        (
            _patch("VIRTUAL_HOST", match={"cluster": {}}, patch={"value": {"name": "x"}}),
            "Envoy filter: applyTo for http route class objects cannot have non route configuration match",
        ),
        (
            _patch(match={"listener": {"filterChain": {"filter": {"subFilter": {"name": "x"}}}}}),
            "Envoy filter: filter match has no name to match on",
        ),
        (
            _patch(
                match={
                    "listener": {
                        "filterChain": {"filter": {"name": "x", "subFilter": {"name": "sub"}}}
                    }
                }
            ),
            f"Envoy filter: subfilter match requires filter match with {MANAGER}",
        ),
        (
            _patch(match={"context": "SIDECAR_INBOUND", "waypoint": {}}),
            "only support waypointMatch when context is WAYPOINT",
        ),
        (
            _patch(match={"proxy": {"proxyVersion": "1.++"}}),
            "Envoy filter: invalid regex for proxy version, ",
        ),
        (_patch(patch={"value": {"name": False}}), "Envoy filter: Failed to parse name field"),
        (
            _patch(
                patch={
                    "value": {
                        "typed_config": {
                            "@type": "type.googleapis.com/envoy.config.filter.http.lua.v2.Lua"
                        }
                    }
                }
            ),
            "Envoy filter: referenced type unknown (hint: try using the v3 XDS API)",
        ),
        (
            _patch(patch={"value": {"typed_config": {"@type": "type.googleapis.com/os.path"}}}),
            "Envoy filter: referenced type unknown: os.path",
        ),
    ],
)
def test_what_is_refused(patch: dict[str, object], error: str) -> None:
    errors, _ = _check(patch)
    assert [message for message in errors if message.startswith(error)], errors


@pytest.mark.parametrize(
    ("patch", "warning"),
    [
        (
            _patch(patch={"value": {"name": "a", "tiped_config": {}}}),
            'has no field named "tiped_config"',
        ),
        (
            _patch("CLUSTER", patch={"value": {"name": "x", "connect_timeout": "-1s"}}),
            "connect_timeout: must be greater than 0ns",
        ),
        (_patch(patch={"value": {"name": "envoy.filters.http.lua"}}), "without typed_config"),
        (
            _patch(match={"listener": {"filterChain": {"filter": {"name": "envoy.tcp_proxy"}}}}),
            'using deprecated filter name "envoy.tcp_proxy"; use "envoy.filters.network.tcp_proxy" instead',
        ),
        (
            _patch(
                "FILTER_CHAIN",
                match={"listener": {"filterChain": {"filter": {"name": "x"}}}},
                patch={"operation": "REMOVE"},
            ),
            "filter match has no effect when used with FILTER_CHAIN",
        ),
        (
            _patch(match={"proxy": {"proxyVersion": "1" * 1025}}),
            "proxyVersion match exceeds 1024 characters",
        ),
        (
            _patch("HTTP_ROUTE", patch={"operation": "REPLACE", "value": {"name": "x"}}),
            "REPLACE has no effect on HTTP_ROUTE",
        ),
        (_patch(match={"context": "WAYPOINT", "waypoint": {}}), "there are no waypoints"),
    ],
)
def test_what_is_warned_of(patch: dict[str, object], warning: str) -> None:
    errors, warnings = _check(patch)
    assert errors == []
    assert [message for message in warnings if warning in message], warnings


def test_a_merge_may_be_partial() -> None:
    partial = {"connect_timeout": "3s"}
    patch = {"operation": "MERGE", "value": partial}
    assert _check(_patch("CLUSTER", patch=patch)) == ([], [])


def test_targets_and_selector_exclude_each_other() -> None:
    ref = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "g"}
    errors, _ = _check(workloadSelector={"labels": {"a": "b"}}, targetRefs=[ref])
    assert errors == ["only one of targetRefs or workloadSelector can be set"]
    errors, _ = _check(targetRefs=[{**ref, "namespace": "other"}])
    assert errors == ["cross namespace referencing is not currently supported"]
    _, warnings = _check(workloadSelector={"labels": {}})
    assert warnings == [
        "Envoy filter: workload selector specified without labels, will be applied to all services in namespace"
    ]
