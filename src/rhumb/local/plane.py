"""The control plane of a local mesh: kept running, started anew when what it reads is elsewhere."""

import asyncio
import logging
import signal
import subprocess
import sys
from collections.abc import Sequence

from rhumb.agent import http
from rhumb.agent.process import cause, send, wait_exit
from rhumb.base import backoff
from rhumb.base.clock import Clock
from rhumb.base.errors import RhumbError
from rhumb.base.tasks import Nursery
from rhumb.local import programs
from rhumb.local.ground import Plane
from rhumb.local.programs import Place
from rhumb.local.state import State

_log = logging.getLogger(__name__)

_READY_S = 60.0
_GRACE_S = 5.0
_POLL_S = 0.02
_LONGEST_PATH = 75
"""Bytes of a directory that sockets may be made below: their own addresses have about a hundred."""


class ControlPlane:
    """One process of `rhumb serve`."""

    def __init__(self, state: State, plane: Plane, clock: Clock) -> None:
        self._state = state
        self._plane = plane
        self._clock = clock
        self._nursery = Nursery("control-plane")
        self._folders: tuple[str, ...] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._ended = False

    @property
    def pid(self) -> int | None:
        """Return its process id while it runs."""
        return self._process.pid if self._process is not None else None

    async def serve(self, folders: Sequence[str]) -> None:
        """Let it read these directories, by a new process where it reads others now.

        Proxies keep what they have meanwhile. Raises RhumbError when it does not start.
        """
        wanted = tuple(folders)
        if wanted != self._folders or self._keeping is None:
            await self.stop()
            self._folders = wanted
            self._keeping = self._nursery.start("keep", self._keep(wanted))
        await self._wait()

    async def stop(self) -> None:
        """End it in order."""
        if self._keeping is None:
            return
        self._keeping.cancel()
        await asyncio.wait([self._keeping])
        self._keeping = None
        process, self._process = self._process, None
        if process is not None:
            send(process, signal.SIGTERM)
            try:
                await asyncio.wait_for(wait_exit(process), _GRACE_S)
            except TimeoutError:
                send(process, signal.SIGKILL)
                process.wait()

    async def _keep(self, folders: Sequence[str]) -> None:
        delays = backoff.delays(first=0.2, cap=5.0)
        while True:
            with self._state.log("control-plane").open("ab") as log:
                self._process = programs.start(
                    self._command(folders),
                    Place(),
                    environment=self._variables(),
                    streams=(None, log.fileno(), log.fileno()),
                )
            code = await wait_exit(self._process)
            self._process, self._ended = None, True
            _log.error("the control plane ended (%s); it is started again", cause(code))
            await asyncio.sleep(next(delays))

    def _command(self, folders: Sequence[str]) -> list[str]:
        command = [sys.executable, "-m", "rhumb", "serve", f"--state={self._state.plane}"]
        read = [f"--config={folder}" for folder in (str(self._state.generated), *folders)]
        return [*command, *read, *self._plane.options]

    def _variables(self) -> dict[str, str]:
        """Return its variables: what is temporary goes with the mesh, even where that is killed."""
        found, home = programs.inherited_environment(), str(self._state.directory)
        return found | {"TMPDIR": home} if len(home.encode()) <= _LONGEST_PATH else found

    async def _wait(self) -> None:
        """Wait until it listens; should it end before, it tried and will go on trying."""
        target = http.Target(host=self._plane.address, port=self._plane.secure)
        deadline = self._clock.monotonic() + _READY_S
        self._ended = False
        while not self._ended and self._clock.monotonic() < deadline:
            try:
                connection = await http.connect(target)
            except OSError:
                await asyncio.sleep(_POLL_S)
            else:
                connection.close()
                return
        log = self._state.log("control-plane").read_text(errors="replace").splitlines()[-3:]
        raise RhumbError("the control plane does not start: " + " / ".join(log))
