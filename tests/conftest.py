"""Options of this project's tests."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bless", action="store_true", help="accept what golden cases produce now")
    parser.addoption("--only", default="", help="run the cases of corpora whose name contains this")


@pytest.fixture
def bless(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--bless"))
