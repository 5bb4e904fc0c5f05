"""The terminal of a command, lent to a program of the mesh: raw here, and a new one there.

The program cannot have ours: a terminal controls one session alone, and the program leads another. So it gets a
pseudo-terminal, and what is typed here (Ctrl-C, Ctrl-Z, the size of the window) has its effect there.
"""

import contextlib
import fcntl
import os
import pty
import select
import signal
import socket
import struct
import termios
import tty
from collections.abc import Iterator
from types import FrameType

_CHUNK = 65536


def is_terminal() -> bool:
    """Tell whether this command both reads from a terminal and writes to one."""
    return os.isatty(0) and os.isatty(1)


class Terminal:
    """A pseudo-terminal for the program; what the program's end is to be given, and the traffic."""

    def __init__(self, main: int, program: int) -> None:
        self._main = main
        self._program = program
        self._waiting = b""

    @property
    def streams(self) -> tuple[int, int, int]:
        """Return the program's standard streams; errors go elsewhere if ours do."""
        return self._program, self._program, self._program if os.isatty(2) else 2

    def carry(self, connection: socket.socket) -> None:
        """Carry bytes both ways until an answer comes on the connection; the program has ended then."""
        self._let_go()
        keys = True
        while True:
            reading: list[int | socket.socket] = [connection, self._main]
            if keys and not self._waiting:
                reading.append(0)
            writing = [self._main] if self._waiting else []
            ready, writable, _ = select.select(reading, writing, [])
            if writable:
                self._pass_keys()
            if 0 in ready:
                self._waiting = os.read(0, _CHUNK)
                keys = bool(self._waiting)
            if self._main in ready and not self._show():
                select.select([connection], [], [])
            if connection in ready:
                break
        while select.select([self._main], [], [], 0)[0] and self._show():
            pass  # the program's last words

    def _let_go(self) -> None:
        os.close(self._program)
        self._program = -1

    def _pass_keys(self) -> None:
        with contextlib.suppress(OSError):  # nobody reads any more
            self._waiting = self._waiting[os.write(self._main, self._waiting) :]
            return
        self._waiting = b""

    def _show(self) -> bool:
        """Write what the program wrote; return whether more may come."""
        try:
            data = os.read(self._main, _CHUNK)
        except OSError:  # EIO: no process has the other end open
            return False
        while data:
            data = data[os.write(1, data) :]
        return True

    def resize(self) -> None:
        """Make it as large as the window here."""
        size = fcntl.ioctl(0, termios.TIOCGWINSZ, struct.pack("8x"))
        fcntl.ioctl(self._main, termios.TIOCSWINSZ, size)

    def close(self) -> None:
        """Hang up."""
        if self._program >= 0:
            self._let_go()
        os.close(self._main)


@contextlib.contextmanager
def lent() -> Iterator[Terminal]:
    """Yield a pseudo-terminal of our terminal's size, which is raw meanwhile."""
    modes = termios.tcgetattr(0)
    main, program = pty.openpty()
    termios.tcsetattr(program, termios.TCSANOW, modes)
    made = Terminal(main, program)

    def resize(_number: int, _frame: FrameType | None) -> None:
        made.resize()

    before = signal.signal(signal.SIGWINCH, resize)
    try:
        made.resize()
        tty.setraw(0, termios.TCSADRAIN)
        yield made
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, modes)
        signal.signal(signal.SIGWINCH, before)
        made.close()
