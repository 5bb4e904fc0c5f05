"""The hub's network, made for real in a process with namespaces of its own."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.local import hub
from tests.local.mesh import needs_namespaces

ROOT = Path(__file__).parents[2]


@pytest.mark.netns
@needs_namespaces
@pytest.mark.parametrize("work", hub.WORKS)
def test_in_a_hub(work: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.local.hub", work],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 0, done.stderr
