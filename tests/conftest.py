"""Options of this project's tests."""

import signal

import pytest

# A shell that runs the tests in the background has interrupts ignored, and so would have every program that
# they start: those that are to be interrupted would go on.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bless", action="store_true", help="accept what golden cases produce now")
    parser.addoption("--only", default="", help="run the cases of corpora whose name contains this")


@pytest.fixture
def bless(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--bless"))
