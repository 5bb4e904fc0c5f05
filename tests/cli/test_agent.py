"""`rhumb agent` as a process beside a real `rhumb serve`: signals, tokens, identities, ports."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli import machine
from tests.local.mesh import needs_namespaces

ROOT = Path(__file__).parents[2]


@pytest.mark.netns
@pytest.mark.envoy
@pytest.mark.timeout(90)
@needs_namespaces
@pytest.mark.parametrize("work", machine.WORKS)
def test_on_a_machine(work: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.cli.machine", work],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=80,
    )
    assert done.returncode == 0, done.stderr
