"""One Envoy process: started, restarted, drained, and its log passed on."""

import asyncio
import logging
import os
import signal
import subprocess
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from rhumb.agent import http, netns, process, supervise
from rhumb.agent.binary import cannot_run
from rhumb.agent.bootstrap import bootstrap_json
from rhumb.agent.settings import SidecarSettings, Start
from rhumb.base import backoff
from rhumb.base.clock import Clock, SystemClock
from rhumb.base.errors import RhumbError
from rhumb.base.files import write_atomic
from rhumb.base.tasks import Nursery

BOOTSTRAP = "envoy.json"
PID = "envoy.pid"
_CANDIDATE = "envoy.candidate.json"
_POLL_SECONDS = 0.1
_QUIET_LOOKS = 2
"""A connection may have been made that Envoy has not taken yet."""
_ACTIVE = "downstream_cx_active"
_OWN_LISTENERS = ("listener.prometheus.", "listener.ready.", "listener.admin.")
_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}

_log = logging.getLogger(__name__)


def command(settings: SidecarSettings, binary: Path) -> tuple[str, ...]:
    """Return Envoy's command line."""
    return (
        str(binary),
        "--config-path",
        BOOTSTRAP,
        "--disable-hot-restart",
        *(("--concurrency", str(settings.concurrency)) if settings.concurrency else ()),
        "--drain-time-s",
        str(max(1, round(settings.drain_seconds))),
        "--drain-strategy",
        "immediate",
        # Access logs are read by people who wait: a second, as Istio has it, not Envoy's ten.
        "--file-flush-interval-msec",
        "1000",
        "--log-level",
        settings.log_level,
        "--component-log-level",
        settings.component_log_level,
        "--skip-deprecated-logs",
        # level SPACE scope SPACE message, one line each: read back by `pass_on`.
        "--log-format-escaped",
        "--log-format",
        "%l %n %v",
    )


def pass_on(line: str, workload: str) -> None:
    """Log one line of Envoy's under its own level and scope."""
    level, _, rest = line.partition(" ")
    scope, space, message = rest.partition(" ")
    if not space or level not in _LEVELS:
        level, scope, message = "info", "main", line
    logging.getLogger(f"envoy.{scope}").log(
        _LEVELS[level], "%s", message, extra={"workload": workload}
    )


def active_connections(stats: str, ports: Collection[int] = ()) -> int:
    """Sum the downstream connections in the text of `/stats`, without those of our own listeners.

    With `ports`, those of listeners on these ports alone.
    """
    total = 0
    wanted = tuple(f"_{port}.{_ACTIVE}" for port in ports)
    for line in stats.splitlines():
        name, _, value = line.partition(": ")
        if not name.startswith("listener.") or name.startswith(_OWN_LISTENERS):
            continue
        if value.isdigit() and (not wanted or name.endswith(wanted)):
            total += int(value)
    return total


class Envoy:
    """Keeps one Envoy running until `stop`, then lets it end without losing a request."""

    def __init__(
        self,
        settings: SidecarSettings,
        binary: Path,
        *,
        enter: netns.Enter = netns.here,
        launch: process.Launch | None = None,
        access_log: int | None = None,
        clock: Clock | None = None,
        on_exit: Callable[[], None] = lambda: None,
    ) -> None:
        """Take where it runs; `access_log` is the descriptor that becomes its standard output."""
        self._settings = settings
        self._binary = binary
        self._launch = launch or process.launcher(enter)
        self._access_log = access_log
        self._clock = clock or SystemClock()
        self._on_exit = on_exit
        self._machine = supervise.Supervisor(lambda: backoff.delays(first=0.5, cap=30.0))
        self._events: asyncio.Queue[supervise.Event] = asyncio.Queue()
        self._process: subprocess.Popen[bytes] | None = None
        self._nursery = Nursery(f"envoy/{settings.name}")
        self._timer: asyncio.TimerHandle | None = None
        self.admin = http.Target(host=settings.loopback, port=settings.ports.admin, enter=enter)

    @property
    def state(self) -> supervise.State:
        """Return where it is in its life."""
        return self._machine.state

    @property
    def restarts(self) -> int:
        """Return how often it died by itself."""
        return self._machine.restarts

    @property
    def pid(self) -> int | None:
        """Return the process id while it runs."""
        return self._process.pid if self._process is not None else None

    async def prepare(self, told: Start | None) -> None:
        """Write its bootstrap, with what the mesh says of how it starts; `run` comes next.

        Raises OSError when its directory cannot be written, RhumbError when the binary cannot be run.
        """
        if told is not None:
            self._settings = self._settings.started(told)
        directory = self._settings.directory
        directory.mkdir(parents=True, exist_ok=True)
        end_leftover(directory)
        text = await self._bootstrap(told.overlay if told is not None else {})
        write_atomic(directory / BOOTSTRAP, text, mode=0o600)

    def stop(self) -> None:
        """Ask for an orderly end; a second time, for a quick one."""
        self._events.put_nowait(supervise.StopAsked())

    async def run(self) -> None:
        """Keep it running; return when it has ended after `stop`. Cancelling kills it."""
        try:
            await self._loop()
        finally:
            if self._timer is not None:
                self._timer.cancel()
            if self._process is not None:
                process.send(self._process, signal.SIGKILL)
                self._process.wait()
            (self._settings.directory / PID).unlink(missing_ok=True)
            await self._nursery.close()

    async def _bootstrap(self, overlay: Mapping[str, object]) -> bytes:
        """Return the bootstrap, with the mesh's part of it unless Envoy would not start with that."""
        if not overlay:
            return bootstrap_json(self._settings, {})
        text = bootstrap_json(self._settings, overlay)
        write_atomic(self._settings.directory / _CANDIDATE, text, mode=0o600)
        said: list[str] = []
        writing, reader = await process.read_lines(said.append)
        try:
            argv = (str(self._binary), "--mode", "validate", "-l", "error", "-c", _CANDIDATE)
            started = self._begin(argv, stdout=writing, stderr=writing)
        finally:
            os.close(writing)
        code = await process.wait_exit(started)
        await reader.closed.wait()
        if code == 0:
            return text
        _log.error(
            "what the mesh says of the bootstrap is left out, Envoy would not start with it: %s",
            " ".join(said)[-1000:],
            extra={"workload": self._settings.name},
        )
        return bootstrap_json(self._settings, {})

    def _begin(
        self, argv: tuple[str, ...], *, stdout: int | None, stderr: int
    ) -> subprocess.Popen[bytes]:
        """Start the binary; RhumbError when the system does not."""
        try:
            return self._launch(
                process.Command(
                    argv=argv,
                    directory=self._settings.directory,
                    environment=self._settings.environment,
                    stdout=stdout,
                    stderr=stderr,
                )
            )
        except OSError as error:
            raise cannot_run(self._binary, error) from error

    async def _loop(self) -> None:
        actions = self._machine.begin()
        while True:
            for action in actions:
                match action:
                    case supervise.Finish():
                        return
                    case _:
                        await self._do(action)
            actions = self._machine.on(await self._events.get())

    async def _do(self, action: supervise.Action) -> None:
        match action:
            case supervise.Spawn():
                await self._spawn()
            case supervise.Wait(seconds):
                if self._timer is not None:
                    self._timer.cancel()
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(seconds, self._events.put_nowait, supervise.Due())
            case supervise.Drain():
                self._nursery.start("drain", self._drain())
            case supervise.Terminate():
                self._signal(signal.SIGTERM)
            case supervise.Kill():
                _log.warning(
                    "Envoy did not end in time; killed", extra={"workload": self._settings.name}
                )
                self._signal(signal.SIGKILL)
            case supervise.Finish():
                pass

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            process.send(self._process, number)

    async def _spawn(self) -> None:
        name = self._settings.name
        try:
            writing, reader = await process.read_lines(lambda line: pass_on(line, name))
            try:
                argv = command(self._settings, self._binary)
                started = self._begin(argv, stdout=self._access_log, stderr=writing)
            finally:
                os.close(writing)
        except (OSError, RhumbError) as error:
            _log.error("Envoy did not start: %s", error, extra={"workload": name})
            self._events.put_nowait(supervise.Failed(str(error)))
            return
        self._process = started
        self._note(started.pid)
        self._events.put_nowait(supervise.Started())
        self._nursery.start("exit", self._watch(started, reader, self._clock.monotonic()))

    def _note(self, pid: int) -> None:
        """Leave its id to an agent that comes after this one was killed."""
        try:
            (self._settings.directory / PID).write_text(f"{pid}\n")
        except OSError as error:
            extra = {"workload": self._settings.name, "error": error}
            _log.warning("the process id of Envoy is not kept", extra=extra)

    async def _watch(
        self, started: subprocess.Popen[bytes], reader: process.LineReader, since: float
    ) -> None:
        code = await process.wait_exit(started)
        await reader.closed.wait()
        self._process = None
        self._on_exit()
        ran = self._clock.monotonic() - since
        if self._machine.state is supervise.State.RUNNING:
            _log.error(
                "Envoy ended by itself (%s); it is started again",
                process.cause(code),
                extra={"workload": self._settings.name, "ran_seconds": round(ran, 1)},
            )
        self._events.put_nowait(supervise.Exited(code, ran))

    async def _drain(self) -> None:
        await self.drain()
        self._events.put_nowait(supervise.Drained())

    async def drain(self, ports: Collection[int] = ()) -> None:
        """Invite no more work, and wait until connections to these ports (to all) have ended.

        Waits for `drain_seconds` at most.
        """
        deadline = self._clock.monotonic() + self._settings.drain_seconds
        try:
            # Listeners stay open (skip_exit): a late request is served, and told to come no more.
            await http.request(self.admin, "/drain_listeners?graceful&skip_exit", method="POST")
            quiet = 0
            while quiet < _QUIET_LOOKS and self._clock.monotonic() < deadline:
                quiet = 0 if await self._busy(ports) else quiet + 1
                await asyncio.sleep(_POLL_SECONDS)
        except (OSError, ValueError) as error:
            _log.warning("Envoy's admin interface does not answer: %s", error)

    async def _busy(self, ports: Collection[int]) -> bool:
        answer = await http.request(self.admin, f"/stats?filter={_ACTIVE}$")
        return active_connections(answer.body.decode(), ports) > 0


def end_leftover(directory: Path) -> None:
    """Kill the Envoy that an agent killed with -9 left behind in this directory: it holds our ports."""
    try:
        pid = int((directory / PID).read_text())
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        where = Path(f"/proc/{pid}/cwd").resolve()
    except (OSError, ValueError):
        return
    if BOOTSTRAP.encode() in argv and where == directory.resolve():
        _log.warning("ending an Envoy that a killed agent left behind", extra={"pid": pid})
        os.kill(pid, signal.SIGKILL)
