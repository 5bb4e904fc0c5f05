"""The control plane of a local mesh: a process of `rhumb serve` that is kept."""

import asyncio
import os
import signal
import socket
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from rhumb.base.clock import SystemClock
from rhumb.base.errors import RhumbError
from rhumb.local.ground import Plane
from rhumb.local.plane import ControlPlane
from rhumb.local.state import State
from rhumb.testing.waiting import until


@pytest.fixture
def state(tmp_path: Path) -> State:
    made = State(tmp_path / "m")
    made.make()
    return made


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        for each in (one, two):
            each.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1]), int(two.getsockname()[1])


def run(state: State, what: Callable[[ControlPlane], Awaitable[None]]) -> None:
    async def there() -> None:
        secure, monitoring = free_ports()
        at = Plane(address="127.0.0.1", secure=secure, xds=-1, monitoring=monitoring)
        plane = ControlPlane(state, at, SystemClock())
        try:
            await what(plane)
        finally:
            await plane.stop()
        assert plane.pid is None

    asyncio.run(there())


def test_it_starts_anew_for_another_directory_and_for_nothing_else(
    state: State, tmp_path: Path
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()

    async def what(plane: ControlPlane) -> None:
        await plane.serve((str(tmp_path / "one"),))
        first = plane.pid
        await plane.serve((str(tmp_path / "one"),))
        assert plane.pid == first
        await plane.serve((str(tmp_path / "two"),))
        assert plane.pid not in (first, None)
        assert first is not None
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)

    run(state, what)


def test_one_that_dies_is_started_again(state: State, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()

    async def what(plane: ControlPlane) -> None:
        await plane.serve((str(tmp_path / "one"),))
        first = plane.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: plane.pid not in (first, None))
        await plane.serve((str(tmp_path / "one"),))

    run(state, what)


def test_one_that_does_not_start_says_why_at_once(state: State) -> None:
    async def what(plane: ControlPlane) -> None:
        with pytest.raises(RhumbError, match="/nothing does not exist"):
            await plane.serve(("/nothing",))

    run(state, what)


def test_one_that_is_killed_leaves_nothing_outside_its_state(tmp_path: Path) -> None:
    # Below /tmp: a socket's path has 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="rm", dir="/tmp") as home:
        state = State(Path(home) / "m")
        state.make()

        async def what(plane: ControlPlane) -> None:
            await plane.serve((str(tmp_path),))
            assert plane.pid is not None
            os.kill(plane.pid, signal.SIGKILL)

        run(state, what)
        (left,) = state.directory.glob("rhumb-*/server")
        assert left.is_socket()
        state.remove()
        assert list(Path(home).iterdir()) == []
