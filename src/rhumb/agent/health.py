"""Is the application healthy? Kubernetes' probe, made by the agent for workloads no kubelet looks after.

`Health` decides from results alone; the runners below it do the asking, inside the workload's network.
Source: networking.istio.io WorkloadGroup `probe`; Kubernetes `Probe`.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import msgspec
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from rhumb.agent import http, netns, process
from rhumb.agent.settings import Grpc, HttpGet, Probe, TcpSocket
from rhumb.base.tasks import Nursery

RunCommand = Callable[[tuple[str, ...]], Awaitable[int]]
"""Runs a command beside the application and returns its exit code; ends it when cancelled.

Raises OSError when it cannot be started.
"""
OnChange = Callable[[bool, str], None]
"""Takes whether the application is healthy, and why not."""

_CHECK = "/grpc.health.v1.Health/Check"
_SERVING = 1
_STATUSES = {0: "UNKNOWN", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
_CHUNK = 64 * 1024
_EAGER_S = 0.25


class Change(msgspec.Struct, frozen=True):
    """What has become known of the application."""

    healthy: bool
    why: str = ""


class Health:
    """Counts results in a row. Nothing is known, so nothing healthy, before a threshold is reached."""

    def __init__(self, success_threshold: int = 1, failure_threshold: int = 3) -> None:
        self._needed = {True: success_threshold, False: failure_threshold}
        self._last: bool | None = None
        self._run = 0
        self.healthy: bool | None = None
        """None: not known yet."""

    def observe(self, why: str) -> Change | None:
        """Take one result, empty when good; return what it changes, if anything."""
        good = not why
        self._run = self._run + 1 if good is self._last else 1
        self._last = good
        if good is self.healthy or self._run < self._needed[good]:
            return None
        self.healthy = good
        return Change(good, why)


class HealthProbe:
    """Asks the application time and again, and tells when its health changes."""

    def __init__(
        self, probe: Probe, *, enter: netns.Enter, on_change: OnChange, run_command: RunCommand
    ) -> None:
        self._probe = probe
        self._enter = enter
        self._on_change = on_change
        self._run_command = run_command
        self.health = Health(probe.success_threshold, probe.failure_threshold)

    async def run(self) -> None:
        """Probe until cancelled."""
        await asyncio.sleep(self._probe.initial_delay_seconds)
        now = asyncio.get_running_loop().time
        while True:
            begun = now()
            change = self.health.observe(await self._judge(begun + self._probe.period_seconds))
            if change is not None:
                self._on_change(change.healthy, change.why)
            await asyncio.sleep(max(0.0, begun + self._probe.period_seconds - now()))

    async def _judge(self, until: float) -> str:
        """Return one result; within its period, an application that only starts is asked again."""
        now = asyncio.get_running_loop().time
        while (why := await self.check()) and self.health.healthy is None:
            if now() + _EAGER_S > until:
                break
            await asyncio.sleep(_EAGER_S)
        return why

    def forget(self) -> None:
        """Begin anew: the application that was asked is gone."""
        self.health = Health(self._probe.success_threshold, self._probe.failure_threshold)

    async def check(self) -> str:
        """Probe once; return what is wrong, empty when nothing is."""
        try:
            async with asyncio.timeout(self._probe.timeout_seconds):
                why = await self._ask()
        except TimeoutError:
            why = f"no answer within {self._probe.timeout_seconds:g} s"
        except (OSError, ValueError, OverflowError) as error:
            # The last is a port number beyond 65535.
            why = _explain(error)
        return f"{_where(self._probe)}: {why}" if why else ""

    async def _ask(self) -> str:
        probe = self._probe
        if probe.http_get is not None:
            return await check_http(probe.http_get, self._enter, probe.timeout_seconds)
        if probe.tcp_socket is not None:
            return await check_tcp(probe.tcp_socket, self._enter)
        if probe.grpc is not None:
            return await check_grpc(probe.grpc, self._enter)
        command = probe.exec.command if probe.exec else ()
        if not command:
            raise ValueError("exec has no command")
        code = await self._run_command(command)
        return "" if code == 0 else f"ended with {code}"


def _where(probe: Probe) -> str:
    if probe.exec is not None:
        return " ".join(probe.exec.command) or "probe"
    at = probe.http_get or probe.tcp_socket or probe.grpc
    return f"port {at.port}" if at else ""


def _explain(error: Exception) -> str:
    # Event loops word a refused connection each in its own way.
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__


def commands(launch: process.Launch, directory: Path) -> RunCommand:
    """Return a runner of commands by a launcher of processes; their output is dropped."""

    async def run(argv: tuple[str, ...]) -> int:
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            child = launch(
                process.Command(argv=argv, directory=directory, stdout=nowhere, stderr=nowhere)
            )
        finally:
            os.close(nowhere)
        try:
            return await process.wait_exit(child)
        except asyncio.CancelledError:
            _kill(child)
            raise

    return run


def _kill(child: subprocess.Popen[bytes]) -> None:
    """Kill a command, with its own children when it leads a group, and reap it."""
    with contextlib.suppress(ProcessLookupError):
        if os.getpgid(child.pid) == child.pid:
            os.killpg(child.pid, signal.SIGKILL)
    child.kill()
    child.wait()


async def check_http(probe: HttpGet, enter: netns.Enter, seconds: float) -> str:
    """Ask for a page; 200 to 399 is good. A certificate is not verified, as Kubernetes does.

    Raises OSError or ValueError when there is no HTTP answer.
    """
    target = http.Target(
        host=probe.host,
        port=probe.port,
        enter=enter,
        tls=http.unverified() if probe.scheme == "HTTPS" else None,
    )
    headers = {header.name: header.value for header in probe.http_headers}
    path = probe.path if probe.path.startswith("/") else f"/{probe.path}"
    answer = await http.request(target, path, headers=headers, timeout=seconds)
    good = 200 <= answer.status < 400
    return "" if good else f"status {answer.status} at {path}"


async def check_tcp(probe: TcpSocket, enter: netns.Enter) -> str:
    """Connect, no more.

    Raises OSError when nobody accepts.
    """
    (await http.connect(http.Target(host=probe.host, port=probe.port, enter=enter))).close()
    return ""


async def check_grpc(probe: Grpc, enter: netns.Enter) -> str:
    """Call grpc.health.v1.Health/Check; SERVING is good.

    gRPC opens its sockets on threads of its own, out of reach of a namespace, so it talks to a
    Unix socket here that is joined to a connection made inside.
    """
    target = http.Target(host="127.0.0.1", port=probe.port, enter=enter)
    with tempfile.TemporaryDirectory(prefix="rhumb-") as folder:
        async with _Relay(Path(folder) / "grpc", target) as relay:
            found = await _call(f"unix:{relay.path}", probe)
    # gRPC knows of a stream that ended only.
    return _explain(relay.error) if found and relay.error else found


async def _call(address: str, probe: Grpc) -> str:
    options = (
        ("grpc.default_authority", f"127.0.0.1:{probe.port}"),
        ("grpc.use_local_subchannel_pool", 1),
    )
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        # The messages of Health/Check have the very bytes of these: a string or a number as field 1.
        call = channel.unary_unary(
            _CHECK,
            request_serializer=StringValue.SerializeToString,
            response_deserializer=Int32Value.FromString,
        )
        try:
            answer = await call(StringValue(value=probe.service))
        except grpc.aio.AioRpcError as error:
            return f"gRPC health check: {error.code().name} {error.details()}"
    if answer.value == _SERVING:
        return ""
    status = _STATUSES.get(answer.value, str(answer.value))
    return f'service "{probe.service}" is {status}'


class _Relay:
    """A Unix socket whose every connection goes on to a target."""

    def __init__(self, path: Path, target: http.Target) -> None:
        self.path = path
        self.error: OSError | None = None
        """Why the target was not reached."""
        self._target = target
        self._nursery = Nursery("health/relay")
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "_Relay":
        self._server = await asyncio.start_unix_server(self._connected, self.path)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        await self._nursery.close()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._nursery.start("connection", self._join(reader, writer))

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            try:
                made = await http.connect(self._target)
            except OSError as error:
                self.error = error
                return
            there = await asyncio.open_connection(sock=made)
            with contextlib.closing(there[1]):
                back = self._nursery.start("back", _copy(there[0], writer))
                await _copy(reader, there[1])
                await asyncio.wait([back])


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while part := await reader.read(_CHUNK):
            writer.write(part)
            await writer.drain()
        writer.close()
