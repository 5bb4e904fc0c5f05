"""Applications: started inside a workload's namespaces, started again when they end."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from rhumb.agent.process import cause, wait_exit
from rhumb.base import backoff
from rhumb.local.topology import Program

_ENTER = Path(__file__).with_name("enter.py")
_STEADY_S = 10.0
_GRACE_S = 5.0


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a program runs."""

    netns: int | None = None
    """Open descriptor of its network namespace; None: where we are."""
    mounts: tuple[tuple[str, str], ...] = ()
    """Files laid over others, in its own mount namespace: (source, target)."""
    uid: int | None = None
    """The user's own id; None: no user namespace of its own."""
    gid: int | None = None


def start(
    argv: Sequence[str],
    place: Place,
    *,
    directory: str | None = None,
    environment: Mapping[str, str] | None = None,
    streams: tuple[int | None, int | None, int | None] = (None, None, None),
    terminal: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a command in a place; it dies with this process.

    `terminal`: its standard input is one that is to control it.
    """
    order = {
        "netns": place.netns,
        "mounts": place.mounts,
        "uid": place.uid,
        "gid": place.gid,
        "argv": list(argv),
        "directory": directory,
        "terminal": terminal,
    }
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(_ENTER), json.dumps(order)],
        pass_fds=() if place.netns is None else (place.netns,),
        env=None if environment is None else dict(environment),
        stdin=subprocess.DEVNULL if streams[0] is None else streams[0],
        stdout=streams[1],
        stderr=streams[2],
        start_new_session=True,
    )


def signal_all(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal a program that `start` made, and all it started: it leads a session of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


class Application:
    """Keeps one program running; its output goes to a file."""

    def __init__(
        self,
        program: Program,
        place: Place,
        environment: Mapping[str, str],
        log: Path,
        on_exit: Callable[[], None] = lambda: None,
    ) -> None:
        self._program = program
        self._place = place
        self._environment = environment
        self._log = log
        self._on_exit = on_exit
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = False
        self.restarts = 0
        self.last_exit: int | None = None

    @property
    def pid(self) -> int | None:
        """Return the process id while it runs."""
        return self._process.pid if self._process is not None else None

    async def run(self) -> None:
        """Start it, and start it again with growing delays, until `stop` or cancelled."""
        delays = backoff.delays(first=0.5, cap=10.0)
        loop = asyncio.get_running_loop()
        try:
            while not self._ended_by_us():
                began = loop.time()
                with self._log.open("ab") as log:
                    self._process = start(
                        self._program.argv,
                        self._place,
                        directory=self._program.directory,
                        environment=self._environment,
                        streams=(None, log.fileno(), log.fileno()),
                    )
                self.last_exit = await wait_exit(self._process)
                self._process = None
                if self._ended_by_us():
                    return
                self._on_exit()
                self.restarts += 1
                if loop.time() - began > _STEADY_S:
                    delays = backoff.delays(first=0.5, cap=10.0)
                await asyncio.sleep(next(delays))
        finally:
            if self._process is not None:
                signal_all(self._process, signal.SIGKILL)

    def _ended_by_us(self) -> bool:
        return self._stopping

    async def stop(self) -> None:
        """Ask it and all it started to end, and make them after a while."""
        self._stopping = True
        process = self._process
        if process is None:
            return
        signal_all(process, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(wait_exit(process), _GRACE_S)
        signal_all(process, signal.SIGKILL)

    def state(self) -> str:
        """Return how it is, for `rhumb ps`."""
        if self._process is not None:
            return "running" if not self.restarts else f"running ({self.restarts} restarts)"
        if self.last_exit is None:
            return "starting"
        return f"crashed ({cause(self.last_exit)})"


def own_environment() -> dict[str, str]:
    """Return this process's variables, without those that would lead an application around its sidecar."""
    proxies = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}
    return {k: v for k, v in inherited_environment().items() if k.lower() not in proxies}


def inherited_environment() -> dict[str, str]:
    """Return this process's variables."""
    return dict(os.environ)  # noqa: TID251 - local/ reads its own environment
