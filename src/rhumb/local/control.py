"""The supervisor's control socket: one JSON object a request, one a reply, descriptors beside them."""

import array
import json
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from rhumb.base.errors import RhumbError

Json = dict[str, object]

MAX_MESSAGE = 8 * 1024 * 1024
_MAX_DESCRIPTORS = 64
_CLOSE_ON_EXEC: int = getattr(socket, "MSG_CMSG_CLOEXEC", 0)  # not on every system


def call(
    path: Path, request: Json, descriptors: Sequence[int] = (), *, timeout: float = 30.0
) -> Json:
    """Ask the supervisor and return its answer.

    Raises RhumbError when it does not answer, or answers with an error.
    """
    with _connected(path, timeout) as connection:
        send(connection, request, descriptors)
        with suppress(OSError):  # it may have answered and gone already
            connection.shutdown(socket.SHUT_WR)
        return _answer(connection)


def attach(
    path: Path,
    request: Json,
    descriptors: Sequence[int],
    meanwhile: Callable[[socket.socket], None] = lambda _connection: None,
) -> Json:
    """Ask for a program on these descriptors and return the answer when it has ended.

    Interrupts are passed on to the program meanwhile; when this process goes away, it is ended.
    `meanwhile` may do something else until the connection has the answer. Raises RhumbError as `call` does.
    """
    with _connected(path, None) as connection:

        def forward(number: int, _frame: FrameType | None) -> None:
            with suppress(OSError):
                connection.sendall(b"%d\n" % number)

        before = {n: signal.signal(n, forward) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            send(connection, request, descriptors)
            meanwhile(connection)
            return _answer(connection)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _connected(path: Path, timeout: float | None) -> Iterator[socket.socket]:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(_short(path))
            yield connection
    except (ConnectionRefusedError, FileNotFoundError):
        raise RhumbError("the mesh does not run", hint="start it with `rhumb up`") from None
    except OSError as error:
        raise RhumbError(f"the mesh's supervisor does not answer: {error}") from None


def send(connection: socket.socket, message: Json, descriptors: Sequence[int] = ()) -> None:
    """Send one message on a blocking socket, with open descriptors if there are any."""
    data = json.dumps(message).encode() + b"\n"
    if descriptors:
        rights = array.array("i", descriptors)
        sent = connection.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        data = data[sent:]
    if data:  # nothing is left to send to a receiver that may have answered and gone
        connection.sendall(data)


def receive(connection: socket.socket) -> tuple[Json, list[int]]:
    """Receive one message and the descriptors beside it, on a blocking socket.

    Raises ValueError when it is no message of ours.
    """
    data, found = b"", array.array("i")
    room = socket.CMSG_SPACE(_MAX_DESCRIPTORS * found.itemsize)
    while b"\n" not in data and len(data) < MAX_MESSAGE:
        more, ancillary, _, _ = connection.recvmsg(65536, room, _CLOSE_ON_EXEC)
        for level, kind, raw in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                found.frombytes(raw[: len(raw) - len(raw) % found.itemsize])
        if not more:
            break
        data += more
    message = json.loads(data or b"null")
    if not isinstance(message, dict):
        raise ValueError("a request is one JSON object")  # noqa: TRY004 - a bad value, not a bug
    return message, list(found)


def _answer(connection: socket.socket) -> Json:
    data = b""
    while more := connection.recv(65536):
        data += more
    if not data:
        raise RhumbError("the mesh ended while it was asked", hint="see `rhumb logs`")
    answer = json.loads(data)
    if not isinstance(answer, dict):
        return {}
    if "error" in answer:
        raise RhumbError(str(answer["error"]), hint=str(answer.get("hint") or ""))
    return answer


def _short(path: Path) -> str:
    """Return a path that fits into a socket address (107 bytes on Linux)."""
    text = str(path)
    if len(text.encode()) > 100:
        raise RhumbError(
            f"the state directory's path is too long for a socket: {text}",
            hint="set XDG_STATE_HOME to a shorter directory",
        )
    return text
