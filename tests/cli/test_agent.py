"""`rhumb agent` as a process beside a real `rhumb serve`: signals, tokens, identities, ports."""

import pytest
from tests import interpreter
from tests.cli import machine
from tests.local.mesh import needs_namespaces


@pytest.mark.netns
@pytest.mark.envoy
@pytest.mark.timeout(90)
@needs_namespaces
@pytest.mark.parametrize("work", machine.WORKS)
def test_on_a_machine(work: str) -> None:
    interpreter.run("tests.cli.machine", work, seconds=75)
