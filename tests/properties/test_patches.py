"""Whatever an EnvoyFilter says: nothing breaks but its own patch, and what is left is valid."""

import copy
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.encode.patched import (
    CLIENT,
    ECHO,
    EXTRA,
    FRONT,
    INSPECTOR,
    LIMIT,
    LUA,
    MESH,
    SERVER,
    envoy_filter,
    patch,
)

from rhumb.app.loading import load
from rhumb.encode.dispatch import left_out, message
from rhumb.ir.patch import Added, Patched
from rhumb.model.finding import Level
from rhumb.protos.rules import violations
from rhumb.translate.proxy import resources
from rhumb.xds.types import XdsType

KINDS = (XdsType.LDS, XdsType.RDS, XdsType.CDS, XdsType.ECDS)
_WORLD = load([("mesh.yaml", MESH.encode())]).world
PLAIN = {
    (who.id, kind): {v.name for v in resources(_WORLD, _WORLD.view(who), kind)}
    for who in (CLIENT, SERVER, FRONT)
    for kind in KINDS
}
"""What there is without patches."""
VALUES: dict[str, dict[str, Any]] = {
    "LISTENER": {
        "name": "mine",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 19000}},
        "listener_filters": [INSPECTOR],
        "filter_chains": [{"filters": [ECHO]}],
    },
    "FILTER_CHAIN": {"filter_chain_match": {"server_names": ["a.b"]}, "filters": [ECHO]},
    "NETWORK_FILTER": LIMIT,
    "HTTP_FILTER": LUA,
    "LISTENER_FILTER": INSPECTOR,
    "ROUTE_CONFIGURATION": {"response_headers_to_add": [{"header": {"key": "a", "value": "b"}}]},
    "VIRTUAL_HOST": {"name": "v", "domains": ["v.example.com"], "routes": [EXTRA]},
    "HTTP_ROUTE": EXTRA,
    "CLUSTER": {"name": "mine", "type": "STATIC", "connect_timeout": "1s"},
    "EXTENSION_CONFIG": LUA,
}
OPERATIONS = (
    "MERGE", "MERGE_AND_REPLACE_LIST", "ADD", "REMOVE", "INSERT_BEFORE", "INSERT_AFTER",
    "INSERT_FIRST", "REPLACE",
)  # fmt: skip
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.sampled_from(["-1s", "1s", "type.googleapis.com/envoy.config.cluster.v3.Cluster"]),
    st.just([]),
    st.just({}),
)


def _paths(value: object, at: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    found = [at] if at else []
    if isinstance(value, dict):
        for key, each in value.items():
            found += _paths(each, (*at, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            found += _paths(each, (*at, index))
    return found


@st.composite
def patches(draw: st.DrawFn) -> dict[str, Any]:
    apply_to = draw(st.sampled_from(sorted(VALUES)))
    value = copy.deepcopy(VALUES[apply_to])
    for _ in range(draw(st.integers(0, 2))):
        *above, last = draw(st.sampled_from(_paths(value)))
        holder: Any = value
        for step in above:
            holder = holder[step]
        if draw(st.booleans()):
            holder[last] = draw(LEAVES)
        elif isinstance(holder, dict):
            holder[draw(st.text(min_size=1, max_size=6))] = holder.pop(last)
        if not _paths(value):
            break
    operation = draw(st.sampled_from(OPERATIONS))
    return dict(patch(apply_to, operation, None if operation == "REMOVE" else value))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(patches(), min_size=1, max_size=3))
def test_a_patch_can_break_nothing_but_itself(said: list[dict[str, Any]]) -> None:
    text = envoy_filter(*said)
    loaded = load([("mesh.yaml", MESH.encode()), ("filter.yaml", text.encode())])
    assert not [f for f in loaded.findings if f.level is Level.ERROR and f.key is None]
    for who in (CLIENT, SERVER, FRONT):
        for kind in KINDS:
            kept = PLAIN[who.id, kind]
            found = resources(loaded.world, loaded.world.view(who), kind)
            for value in found:
                if isinstance(value, Added):
                    continue  # made, or reported as a whole
                made = message(value)
                if isinstance(value, Patched):
                    assert made.SerializeToString()
                    assert not list(violations(made))
                    assert len(left_out(value)) <= len(said)
            removes = any(p["patch"]["operation"] == "REMOVE" for p in said)
            assert removes or kept <= {value.name for value in found}
