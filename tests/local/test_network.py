"""The hub's network, made for real in a process with namespaces of its own."""

import pytest
from tests import interpreter
from tests.local import hub
from tests.local.mesh import needs_namespaces


@pytest.mark.netns
@needs_namespaces
@pytest.mark.parametrize("work", hub.WORKS)
def test_in_a_hub(work: str) -> None:
    interpreter.run("tests.local.hub", work, seconds=18)
