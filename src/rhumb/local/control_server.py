"""The supervisor's end of the control socket: takes requests, with the descriptors beside them."""

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

from rhumb.base.errors import RhumbError
from rhumb.base.tasks import Nursery
from rhumb.local import control

Json = dict[str, object]

_REQUEST_S = 10.0


class Caller:
    """Who asks: the descriptors it sent, the signals it passes on, and whether it is still there."""

    def __init__(self, connection: socket.socket, descriptors: list[int]) -> None:
        self._connection = connection
        self._descriptors = descriptors

    @property
    def streams(self) -> tuple[int, int, int]:
        """Return its standard input, output and error. Raises RhumbError when it sent none."""
        if len(self._descriptors) != 3:
            raise RhumbError("a program needs the caller's three standard streams")
        return self._descriptors[0], self._descriptors[1], self._descriptors[2]

    def take(self) -> list[int]:
        """Return the descriptors it sent, to be closed by who takes them."""
        found, self._descriptors = self._descriptors, []
        return found

    def close_streams(self) -> None:
        """Close our copies, so that who reads from the program sees its end."""
        while self._descriptors:
            os.close(self._descriptors.pop())

    async def signals(self) -> AsyncIterator[signal.Signals]:
        """Yield what it passes on, until it is gone."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                data = await loop.sock_recv(self._connection, 64)
            except OSError:
                return
            if not data:
                return
            for number in data.split():
                with contextlib.suppress(ValueError):
                    yield signal.Signals(int(number))


Answer = Callable[[Json, Caller], Awaitable[Json]]


class ControlServer:
    """Answers each connection's one request."""

    def __init__(self, listening: socket.socket, answer: Answer) -> None:
        self._listening = listening
        self._answer = answer
        self._nursery = Nursery("control")

    async def run(self) -> None:
        """Accept until cancelled."""
        loop = asyncio.get_running_loop()
        self._listening.setblocking(False)
        try:
            while True:
                connection, _ = await loop.sock_accept(self._listening)
                self._nursery.start("request", self._serve(connection))
        finally:
            self._listening.close()
            await self._nursery.close()

    async def _serve(self, connection: socket.socket) -> None:
        with connection:
            answer = await self._result(connection)
            with contextlib.suppress(OSError):
                data = json.dumps(answer).encode() + b"\n"
                await asyncio.get_running_loop().sock_sendall(connection, data)

    async def _result(self, connection: socket.socket) -> Json:
        caller = Caller(connection, [])
        try:
            # On a thread: the event loop knows nothing of descriptors that come along.
            connection.settimeout(_REQUEST_S)
            request, descriptors = await asyncio.to_thread(control.receive, connection)
            connection.setblocking(False)
            caller = Caller(connection, descriptors)
            return await self._answer(request, caller)
        except RhumbError as error:
            return {"error": str(error), "hint": error.hint}
        except (OSError, ValueError, KeyError, TimeoutError) as error:
            return {"error": f"{type(error).__name__}: {error}"}
        finally:
            caller.close_streams()
