"""What is merged into a bootstrap, and what a mesh may say of how a proxy starts."""

from pathlib import Path

import msgspec
import pytest

from rhumb.agent.bootstrap import bootstrap, bootstrap_json, merged
from rhumb.agent.envoy import command
from rhumb.agent.node import Json
from rhumb.agent.settings import Discovery, SidecarSettings, Start, Stats

SETTINGS = SidecarSettings(
    name="web-1",
    namespace="default",
    addresses=("10.0.0.2",),
    discovery=Discovery(address="127.0.0.1:15012"),
    directory=Path("/nowhere"),
    metadata={"TEAM": "red"},
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"c": "new"}, {"a": {"b": 1, "l": [1]}, "c": "new"}),
        ({"a": {"b": 2}}, {"a": {"b": 2, "l": [1]}, "c": "old"}),
        ({"a": {"l": [2]}}, {"a": {"b": 1, "l": [1, 2]}, "c": "old"}),
        ({"a": {"@type": "x"}}, {"a": {"@type": "x"}, "c": "old"}),
    ],
)
def test_messages_join_lists_grow_and_the_rest_is_replaced(value: Json, expected: Json) -> None:
    into: Json = {"a": {"b": 1, "l": [1]}, "c": "old"}
    before = msgspec.json.encode(into)
    assert merged(into, value) == expected
    assert msgspec.json.encode(into) == before


def test_an_overlay_is_merged_into_the_bootstrap() -> None:
    layer = {"name": "mine", "static_layer": {"a": 1}}
    overlay: Json = {"layered_runtime": {"layers": [layer]}, "stats_flush_interval": "1s"}
    found = msgspec.json.decode(bootstrap_json(SETTINGS, overlay))
    assert [each["name"] for each in found["layered_runtime"]["layers"]] == [
        "static",
        "admin",
        "mine",
    ]
    assert found["stats_flush_interval"] == "1s"


def test_what_the_mesh_says_of_the_start_wins_over_the_agents_settings() -> None:
    told = SETTINGS.started(
        Start(concurrency=3, environment={"ISTIO_META_TEAM": "blue", "GODEBUG": "x"})
    )
    assert told.environment == {"GODEBUG": "x"}
    node = bootstrap(told)["node"]
    assert isinstance(node, dict)
    assert node["metadata"]["TEAM"] == "blue"
    line = command(told, Path("envoy"))
    assert line[line.index("--concurrency") + 1] == "3"
    assert "--concurrency" not in command(SETTINGS.started(Start(concurrency=0)), Path("envoy"))
    assert SETTINGS.started(Start()).concurrency == SETTINGS.concurrency


def test_runtime_values_and_statistics_are_the_meshs() -> None:
    runtime = {"a": "true", "b": "7", "c": "text", "d": "null"}
    stats = Stats(("p.",), (".s",), ("r.*",))
    told = bootstrap(SETTINGS.started(Start(runtime=runtime, stats=stats)))
    found = msgspec.json.decode(msgspec.json.encode(told))
    layer = found["layered_runtime"]["layers"][0]["static_layer"]
    assert {name: layer[name] for name in runtime} == {"a": True, "b": 7, "c": "text", "d": "null"}
    patterns = found["stats_config"]["stats_matcher"]["inclusion_list"]["patterns"]
    assert patterns[-3:] == [{"prefix": "p."}, {"suffix": ".s"}, {"safe_regex": {"regex": "r.*"}}]
