"""Meshes that many tests start; a file with a mesh of its own has a fixture of the same name."""

from collections.abc import Iterator

import pytest
from tests.local.mesh import Mesh


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    """One mesh for the tests of a file that leave it as it was."""
    with Mesh() as made:
        yield made.up()


@pytest.fixture
def fresh() -> Iterator[Mesh]:
    """A mesh for one test."""
    with Mesh() as made:
        yield made.up()
