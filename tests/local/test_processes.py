"""Processes of a mesh are found by what they inherit, however they were started."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from rhumb.local import processes
from rhumb.local.programs import inherited_environment

SLEEP = "import time; time.sleep(600)"


@pytest.fixture
def family() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Return a mark, and a process that carries it and has a child in a session of its own."""
    mark = f"/tmp/test-{os.getpid()}"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEP!r}], start_new_session=True)"
    parent = subprocess.Popen(
        [sys.executable, "-c", child],
        env={**inherited_environment(), processes.MARK: mark},
    )
    try:
        while len(list(processes.marked(mark))) < 2:
            assert parent.poll() is None
        yield mark, parent
    finally:
        processes.end(mark)
        parent.wait()


def test_children_are_found_too(family: tuple[str, subprocess.Popen[bytes]]) -> None:
    mark, parent = family
    found = list(processes.marked(mark))
    assert parent.pid in found
    assert len(found) == 2
    assert list(processes.marked(f"{mark}-2")) == []


def test_all_are_ended_and_nobody_else(family: tuple[str, subprocess.Popen[bytes]]) -> None:
    mark, parent = family
    other = subprocess.Popen(
        [sys.executable, "-c", SLEEP],
        env={**inherited_environment(), processes.MARK: f"{mark}-2"},
    )
    try:
        processes.end(mark)
        assert parent.wait(10) == -9
        assert list(processes.marked(mark)) == []
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_command_line_is_its_arguments(family: tuple[str, subprocess.Popen[bytes]]) -> None:
    _, parent = family
    assert processes.command_line(parent.pid)[1] == "-c"
    parent.kill()
    parent.wait()
    assert processes.command_line(parent.pid) == []


def test_marks_are_found_in_a_listing_of_ps() -> None:
    listing = (
        "  17 /bin/sh -c x RHUMB_MESH=/home/me/mesh HOME=/\n"
        "  18 /bin/sh RHUMB_MESH=/home/me/mesh-2\n"
        "  19 grep RHUMB_MESH\n"
        "  20 python RHUMB_MESH=/home/me/mesh\n"
    )
    assert list(processes.marked_by_ps(listing, "/home/me/mesh")) == [17, 20]
