"""The reference pages are what the code says now."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "tools" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["cli.md", "rhumb.schema.json"])
def test_pages_are_current(reference: ModuleType, name: str) -> None:
    said = (ROOT / "docs" / "reference" / name).read_text()
    assert said == reference.pages()[name], "run tools/reference.py"


def test_lines_fit_a_terminal(reference: ModuleType) -> None:
    assert [line for line in reference.commands().splitlines() if len(line) > 80] == []


def test_the_schema_knows_every_field_and_no_other(reference: ModuleType) -> None:
    found: dict[str, Any] = json.loads(reference.schema())
    kinds = found["$defs"]
    assert {"MeshSpec", "ServiceSpec", "VersionSpec", "PortSpec", "GatewaySpec"} <= set(kinds)
    assert all(kind["additionalProperties"] is False for kind in kinds.values())
    assert kinds["ServiceSpec"]["properties"]["workingDir"] == {
        "type": "string",
        "description": "Relative to rhumb.yaml.",
    }
    command = kinds["ServiceSpec"]["properties"]["command"]["anyOf"]
    assert command == [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]
