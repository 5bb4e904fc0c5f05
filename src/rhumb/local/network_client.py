"""Changing the network of a local mesh, by a process that is there for as long as that takes."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence

import msgspec

from rhumb.agent.process import wait_exit
from rhumb.agent.redirect import Rule
from rhumb.base.errors import RhumbError
from rhumb.base.tasks import Nursery
from rhumb.local import control

_IDLE_S = 0.3
_ANSWER_S = 20.0
Json = dict[str, object]


class NetworkError(RhumbError):
    """The kernel refused."""


class Network:
    """Orders for the network process (`network_process`), one at a time."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._nursery = Nursery("network")
        self._orders: socket.socket | None = None
        self._idle: asyncio.Task[None] | None = None

    async def set_up_hub(self) -> None:
        """Make the bridge. Raises NetworkError, as all of these do."""
        await self._do({"do": "hub"})

    async def add(self, address: str) -> int:
        """Make a workload's network namespace; return an open descriptor that keeps it alive."""
        (handle,) = await self._do({"do": "add", "address": address})
        return handle

    async def redirect(self, rules: Iterable[Rule], handle: int | None = None) -> None:
        """Put a capture plan into force inside a namespace, or in the hub."""
        given = () if handle is None else (handle,)
        await self._do({"do": "redirect", "rules": msgspec.to_builtins(tuple(rules))}, given)

    async def remove(self, address: str) -> None:
        """Take a workload off the bridge, so that its address may be given again at once."""
        await self._do({"do": "remove", "address": address})

    async def _do(self, order: Json, given: Sequence[int] = ()) -> list[int]:
        async with self._lock:
            if self._idle is not None:
                self._idle.cancel()
            orders = self._orders or self._start()
            try:
                answer, found = await asyncio.to_thread(_ask, orders, order, given)
            except (OSError, ValueError) as error:
                self._end()
                raise NetworkError(f"the process for the network ended: {error}") from error
            self._idle = self._nursery.start("idle", self._end_later())
            if "error" in answer:
                raise NetworkError(str(answer["error"]))
            return found

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.settimeout(_ANSWER_S)
        with theirs:
            handle = theirs.fileno()
            argv = [sys.executable, "-m", "rhumb.local.network_process", str(handle)]
            process = subprocess.Popen(argv, pass_fds=(handle,), stdin=subprocess.DEVNULL)
        self._nursery.start("wait", _wait(process))
        self._orders = ours
        return ours

    async def _end_later(self) -> None:
        await asyncio.sleep(_IDLE_S)
        self._end()

    def _end(self) -> None:
        """Give no more orders; the process ends when it sees that."""
        if self._orders is not None:
            self._orders.close()
            self._orders = None


async def _wait(process: subprocess.Popen[bytes]) -> None:
    await wait_exit(process)


def _ask(orders: socket.socket, order: Json, given: Sequence[int]) -> tuple[Json, list[int]]:
    control.send(orders, order, given)
    return control.receive(orders)
