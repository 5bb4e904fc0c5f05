"""The reference pages are what the code says now."""

import importlib.util
import json
import subprocess
import sys
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


def test_pages_are_current() -> None:
    # In a process of its own: click remembers the help option of a command that a test has called.
    script = [sys.executable, str(ROOT / "tools" / "reference.py"), "--check"]
    done = subprocess.run(script, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


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


def test_the_page_of_compatibility_is_current() -> None:
    script = [sys.executable, str(ROOT / "tools" / "compatibility.py"), "--check"]
    done = subprocess.run(script, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
