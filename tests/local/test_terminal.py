"""`rhumb exec` from a terminal: the program has one of its own, and what is typed reaches it there."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.local.mesh import WHOLE_MESH, Mesh, until

pytestmark = [*WHOLE_MESH, pytest.mark.timeout(60)]

# What a terminal emulator does for the shell it starts.
CONTROLLED = (
    "import fcntl, os, sys, termios;"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)

SHELL = ("exec", "client", "--", "env", "PS1=> ", "sh", "-i")


class Window:
    """A terminal window with one command in it."""

    def __init__(self, main: int, process: subprocess.Popen[bytes]) -> None:
        self._main = main
        self.process = process
        self._seen = ""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._main, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._main, text.encode())

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Return the next match in what is shown; what comes before it is forgotten."""
        deadline = time.monotonic() + 20
        while True:
            found = re.search(pattern, self._seen)
            if found:
                self._seen = self._seen[found.end() :]
                return found
            assert time.monotonic() < deadline, f"no {pattern} in {self._seen!r}"
            if select.select([self._main], [], [], 0.2)[0]:
                try:
                    self._seen += os.read(self._main, 65536).decode(errors="replace")
                except OSError:
                    raise AssertionError(f"no {pattern} in {self._seen!r}") from None

    @property
    def echoes(self) -> bool:
        """Tell whether the terminal is as it was: not raw."""
        flags = termios.tcgetattr(self._main)[3]
        return bool(flags & termios.ECHO) and bool(flags & termios.ISIG)


@contextmanager
def window(mesh: Mesh, *arguments: str, rows: int = 40, columns: int = 100) -> Iterator[Window]:
    main, other = pty.openpty()
    fcntl.ioctl(main, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", CONTROLLED, *mesh.argv(*arguments)],
        env={**mesh.environment, "TERM": "xterm"},
        cwd=mesh.home,
        stdin=other,
        stdout=other,
        stderr=other,
        start_new_session=True,
    )
    try:
        yield Window(main, process)
    finally:
        process.kill()
        process.wait()
        os.close(other)
        os.close(main)


def test_the_program_has_a_terminal_of_this_size_that_controls_it(mesh: Mesh) -> None:
    with window(mesh, *SHELL) as shell:
        shell.wait_for("> ")
        shell.type("tty; stty size; echo TERM=$TERM; echo hello >/dev/tty\n")
        shell.wait_for(r"/dev/pts/\d+\r\n40 100\r\nTERM=xterm\r\nhello\r\n")
        shell.resize(30, 70)
        shell.type("sleep 0.2; stty size\n")
        shell.wait_for("30 70")
        shell.type("exit 5\n")
        assert shell.process.wait(20) == 5
        assert shell.echoes


def test_ctrl_c_ends_what_runs_and_not_the_shell(mesh: Mesh) -> None:
    with window(mesh, *SHELL) as shell:
        shell.wait_for("> ")
        # The program itself says that it is in the foreground.
        shell.type("sh -c 'echo on; exec sleep 60'\n")
        shell.wait_for("on\r\n")
        shell.type("\x03")
        shell.wait_for("> ")
        shell.type("echo code=$?\n")
        shell.wait_for("code=130")
        shell.type("exit 0\n")
        assert shell.process.wait(20) == 0


def test_jobs_are_stopped_and_go_on(mesh: Mesh) -> None:
    with window(mesh, *SHELL) as shell:
        shell.wait_for("> ")
        shell.type("cat\n")
        shell.type("first\n")
        shell.wait_for("first\r\nfirst\r\n")
        shell.type("\x1a")
        shell.wait_for("(?i)stopped")
        shell.type("fg\n")
        shell.type("second\n")
        shell.wait_for("second\r\n")
        shell.type("\x04")
        shell.wait_for("> ")
        shell.type("exit 0\n")
        assert shell.process.wait(20) == 0


def test_ctrl_c_ends_a_command_by_its_signal(mesh: Mesh) -> None:
    with window(mesh, "exec", "client", "--", "sh", "-c", "echo on; exec sleep 60") as command:
        command.wait_for("on\r\n")
        command.type("\x03")
        assert command.process.wait(20) == 130
        assert command.echoes


def test_what_it_wrote_last_is_shown(mesh: Mesh) -> None:
    script = "print('x' * 200_000, end='END')"
    with window(mesh, "exec", "client", "--", sys.executable, "-c", script) as command:
        command.wait_for("x{100}END")
        assert command.process.wait(20) == 0


def test_a_window_that_closes_ends_the_program(mesh: Mesh) -> None:
    before = set(mesh.processes())
    with window(mesh, "exec", "client", "--", "sh", "-c", "echo on; sleep 60 & wait") as command:
        command.wait_for("on\r\n")
    until(lambda: set(mesh.processes()) <= before)


def test_errors_are_told_in_a_terminal_that_is_as_before(mesh: Mesh) -> None:
    with window(mesh, "exec", "nobody", "--", "sh") as command:
        command.wait_for('no workload "nobody"')
        assert command.process.wait(20) == 2
        assert command.echoes


def test_piped_output_has_no_terminal(mesh: Mesh) -> None:
    done = mesh.command("exec", "client", "--", "sh", "-c", "tty; test -t 1 || echo piped")
    assert done.stdout == "not a tty\npiped\n"
