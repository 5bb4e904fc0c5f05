"""Probes of the application: what results mean, and asking real servers on loopback."""

import asyncio
import itertools
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from google.protobuf.wrappers_pb2 import Int32Value, StringValue
from hypothesis import given
from hypothesis import strategies as st

from rhumb.agent import netns, process
from rhumb.agent import status as pages
from rhumb.agent.health import Change, Health, HealthProbe, commands
from rhumb.agent.run import Sidecar
from rhumb.agent.settings import (
    Capture,
    Discovery,
    Exec,
    Grpc,
    HttpGet,
    HttpHeader,
    Probe,
    SidecarSettings,
    TcpSocket,
)


def talk(health: Health, results: str) -> list[str]:
    """Give results, "." good and "x" bad; return what was told at each."""
    told = []
    for result in results:
        change = health.observe("" if result == "." else "broken")
        told.append("-" if change is None else "up" if change.healthy else "down")
    return told


def test_nothing_is_known_before_the_first_success() -> None:
    health = Health()
    assert health.healthy is None
    assert talk(health, "xx.") == ["-", "-", "up"]
    assert health.healthy is True


def test_an_application_that_never_answers_is_down_once() -> None:
    assert talk(Health(), "xxxxx") == ["-", "-", "down", "-", "-"]


def test_only_failures_in_a_row_count() -> None:
    assert talk(Health(), ".xx.xx.xxx.") == [
        *("up", "-", "-", "-", "-", "-", "-", "-", "-", "down", "up"),
    ]


def test_only_successes_in_a_row_count() -> None:
    assert talk(Health(success_threshold=2, failure_threshold=1), "..x.x..") == [
        *("-", "up", "down", "-", "-", "-", "up"),
    ]


def test_the_reason_is_that_of_the_last_failure() -> None:
    health = Health(failure_threshold=2)
    assert health.observe("first") is None
    assert health.observe("second") == Change(healthy=False, why="second")
    assert health.observe("") == Change(healthy=True)


@given(st.text(alphabet=".x"), st.integers(1, 4), st.integers(1, 4))
def test_a_change_has_its_threshold_behind_it_and_alternates(
    results: str, success: int, failure: int
) -> None:
    told = talk(Health(success, failure), results)
    for at, word in enumerate(told):
        needed = {"up": "." * success, "down": "x" * failure, "-": ""}[word]
        assert results[: at + 1].endswith(needed)
    changes = [word for word in told if word != "-"]
    assert all(a != b for a, b in itertools.pairwise(changes))
    if results.endswith("." * success) and results:
        assert changes[-1] == "up"


async def no_command(argv: tuple[str, ...]) -> int:
    raise AssertionError(argv)


def prober(
    probe: Probe, run_command: Callable[[tuple[str, ...]], Awaitable[int]] = no_command
) -> HealthProbe:
    return HealthProbe(probe, enter=netns.here, on_change=lambda *_: None, run_command=run_command)


@asynccontextmanager
async def server(route: pages.Route) -> AsyncIterator[int]:
    made = await pages.serve(netns.listen(netns.here, "127.0.0.1", 0), {"/healthz": route})
    try:
        yield made.sockets[0].getsockname()[1]
    finally:
        made.close()
        await made.wait_closed()


@pytest.mark.parametrize(("status", "good"), [(200, True), (301, True), (400, False), (503, False)])
def test_http_is_judged_by_its_status(status: int, *, good: bool) -> None:
    async def answer() -> pages.Reply:
        return pages.Reply(status)

    async def run() -> str:
        async with server(pages.Route(handler=answer)) as port:
            headers = (HttpHeader("Host", "shop.example.com"),)
            get = HttpGet(port=port, path="/healthz", http_headers=headers)
            return await prober(Probe(http_get=get)).check()

    why = asyncio.run(run())
    assert (why == "") is good
    if not good:
        assert f"status {status}" in why


def test_an_application_that_hangs_runs_out_of_time() -> None:
    async def run() -> str:
        made = netns.listen(netns.here, "127.0.0.1", 0)
        with made:
            get = HttpGet(port=made.getsockname()[1])
            return await prober(Probe(http_get=get, timeout_seconds=0.05)).check()

    assert asyncio.run(run()).endswith(": no answer within 0.05 s")


def test_tcp_needs_a_listener_only() -> None:
    async def run() -> tuple[str, str]:
        with netns.listen(netns.here, "127.0.0.1", 0) as made:
            probe = prober(Probe(tcp_socket=TcpSocket(port=made.getsockname()[1])))
            up = await probe.check()
        return up, await probe.check()

    up, down = asyncio.run(run())
    assert up == ""
    assert "Connection refused" in down


@pytest.mark.parametrize(
    ("service", "why"),
    [("", ""), ("shop", 'port {}: service "shop" is NOT_SERVING'), ("no", "NOT_FOUND who?")],
)
def test_grpc_health(service: str, why: str) -> None:
    async def check(
        request: StringValue, context: grpc.aio.ServicerContext[StringValue, Int32Value]
    ) -> Int32Value:
        if request.value == "no":
            await context.abort(grpc.StatusCode.NOT_FOUND, "who?")
        return Int32Value(value=1 if request.value == "" else 2)

    async def run() -> tuple[str, int, str]:
        handler = grpc.unary_unary_rpc_method_handler(
            check,
            request_deserializer=StringValue.FromString,
            response_serializer=Int32Value.SerializeToString,
        )
        made = grpc.aio.server()
        made.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler}),)
        )
        port = made.add_insecure_port("127.0.0.1:0")
        await made.start()
        probe = prober(Probe(grpc=Grpc(port=port, service=service), timeout_seconds=5))
        try:
            found = await probe.check()
        finally:
            await made.stop(None)
        return found, port, await probe.check()

    found, port, afterwards = asyncio.run(run())
    assert found.endswith(why.format(port))
    assert (found == "") is (why == "")
    assert "Connection refused" in afterwards


def test_commands_are_judged_by_their_end(tmp_path: Path) -> None:
    run = commands(process.launcher(netns.here), tmp_path)

    def check(*argv: str, seconds: float = 20) -> str:
        probe = Probe(exec=Exec(argv), timeout_seconds=seconds)
        return asyncio.run(prober(probe, run).check())

    assert check("true") == ""
    assert check("sh", "-c", "exit 3") == "sh -c exit 3: ended with 3"
    assert "No such file" in check("/no/such/command")


@pytest.mark.parametrize(
    ("probe", "why"),
    [
        (Probe(exec=Exec(())), "probe: exec has no command"),
        (Probe(tcp_socket=TcpSocket(port=70000)), "port 70000: "),
        (Probe(grpc=Grpc(port=70000)), "port 70000: "),
        (Probe(http_get=HttpGet(port=1, path="/a\r\nb: c")), "port 1: "),
    ],
)
def test_a_probe_that_cannot_be_made_is_a_failure(probe: Probe, why: str) -> None:
    assert asyncio.run(prober(probe).check()).startswith(why)


def test_a_sidecar_probes_once_its_proxy_is_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        told: asyncio.Queue[tuple[bool, str]] = asyncio.Queue()
        asked: list[str] = []
        is_ready = asyncio.Event()

        async def command(argv: tuple[str, ...]) -> int:
            assert is_ready.is_set()
            asked.extend(argv)
            return 0

        settings = SidecarSettings(
            name="shop-0",
            namespace="default",
            addresses=("127.0.0.1",),
            discovery=Discovery(address="127.0.0.1:1"),
            directory=tmp_path,
            capture=Capture(dns=False),
            probe=Probe(exec=Exec(("ask",))),
        )
        sidecar = Sidecar(settings, binary=tmp_path, roots="", run_command=command)
        monkeypatch.setattr(sidecar, "wait_ready", is_ready.wait)
        monkeypatch.setattr(
            sidecar.control,
            "report",
            lambda *, healthy, reason: told.put_nowait((healthy, reason)),
        )
        assert settings.probe is not None
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(sidecar._watch_health(settings.probe))
            await asyncio.sleep(0)
            assert asked == []
            is_ready.set()
            assert await told.get() == (True, "")
            watching.cancel()

    asyncio.run(run())


def test_a_command_out_of_time_is_ended(tmp_path: Path) -> None:
    run = commands(process.launcher(netns.here), tmp_path)
    code = (
        "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(60)"
    )

    async def check() -> str:
        probe = prober(Probe(exec=Exec((sys.executable, "-c", code)), timeout_seconds=1.5), run)
        return await probe.check()

    assert asyncio.run(check()).endswith(": no answer within 1.5 s")
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_changes_are_told_as_they_come() -> None:
    codes = iter([1, 0, 0, 1, 1])
    told: list[tuple[bool, str]] = []

    async def command(argv: tuple[str, ...]) -> int:
        code = next(codes, None)
        if code is None:
            await asyncio.Event().wait()
        return code or 0

    async def run() -> None:
        down = asyncio.Event()

        def changed(healthy: bool, why: str) -> None:
            told.append((healthy, why))
            if not healthy:
                down.set()

        probe = Probe(exec=Exec(("ask",)), period_seconds=0.001, failure_threshold=2)
        health = HealthProbe(probe, enter=netns.here, on_change=changed, run_command=command)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(health.run())
            await down.wait()
            running.cancel()

    asyncio.run(run())
    assert told == [(True, ""), (False, "ask: ended with 1")]
