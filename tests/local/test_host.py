"""The process outside: namespaces that the kernel does not give at once, or not at all."""

import errno
import os
import socket
import time
from pathlib import Path

import pytest

from rhumb.local import host, linux, up
from rhumb.local.ground import UnfitError
from rhumb.local.state import CAPTURE, State

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Kernel:
    """Refuses to make namespaces so many times, then makes a process."""

    def __init__(self, refusals: int, error: OSError = FULL) -> None:
        self.refusals = refusals
        self.error = error
        self.asked = 0
        self.waited = 0.0

    def clone(self, _flags: int) -> int:
        self.asked += 1
        if self.asked <= self.refusals:
            raise self.error
        return 4711

    def sleep(self, seconds: float) -> None:
        self.waited += seconds

    def rule(self, monkeypatch: pytest.MonkeyPatch) -> "Kernel":
        monkeypatch.setattr(linux, "clone", self.clone)
        monkeypatch.setattr(time, "sleep", self.sleep)
        return self


@pytest.fixture
def state(tmp_path: Path) -> State:
    made = State(tmp_path / "m")
    made.make()
    (made.directory / CAPTURE).write_text("REDIRECT\n")
    return made


def start(state: State) -> int:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        return host._start(str(state.directory), theirs)


def test_namespaces_that_are_still_being_removed_are_waited_for(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Kernel(3).rule(monkeypatch)
    assert start(state) == 4711
    assert kernel.asked == 4
    assert 0 < kernel.waited < 1
    assert not (state.directory / host.UNFIT).exists()


@pytest.mark.parametrize("error", [FULL, OSError(errno.EPERM, os.strerror(errno.EPERM))])
def test_where_there_are_none_the_mesh_is_told_to_do_without(
    state: State, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    kernel = Kernel(1000, error).rule(monkeypatch)
    with pytest.raises(SystemExit) as ended:
        start(state)
    assert ended.value.code == f"rhumb: {error}"
    # What is not allowed will not be allowed later.
    assert (kernel.waited > 0.5) == (error is FULL)
    monkeypatch.setattr(up, "_BIRTH_S", 0.0)
    with pytest.raises(UnfitError, match=f"namespaces lack .*: .*{error.strerror}") as told:
        up.wait_ready(state, lambda _status: None)
    assert told.value.hint == "start it with --capture none"
