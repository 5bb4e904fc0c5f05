"""Virtual hosts as resources of their own, on a real Envoy: no request is ever lost to one that is on its way."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path

import msgspec
import pytest
from tests.app.files import replace
from tests.app.live_envoy import application, envoy, free_port

from rhumb.testing.control_plane import Running, running, settings
from rhumb.testing.world import sends, service_entry

pytestmark = pytest.mark.envoy

NODE = {
    "id": "sidecar~127.0.0.1~client-1.default~default.svc.cluster.local",
    "cluster": "client",
    "metadata": {
        "NAMESPACE": "default",
        "SERVICE_ACCOUNT": "client",
        "INTERCEPTION_MODE": "NONE",
        "RHUMB_VHDS": "true",
    },
}
MESH_CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "outboundTrafficPolicy: {mode: REGISTRY_ONLY}"}
"""


class Files:
    """A directory of configuration."""

    def __init__(self, directory: Path, app: int) -> None:
        self.directory = directory
        self.app = app
        directory.mkdir()
        self.put("mesh", MESH_CONFIG)

    def put(self, name: str, text: str) -> None:
        replace(self.directory / f"{name}.yaml", text)

    def service(self, name: str, port: int) -> None:
        self.put(name, service_entry(name, "127.0.0.1", port=port, target=self.app))

    def route(self, name: str, said: str) -> None:
        header = f"headers: {{response: {{set: {{said: {said}}}}}}}"
        self.put(f"route-{name}", sends(name, name, header))

    def remove(self, name: str) -> None:
        (self.directory / f"{name}.yaml").unlink()


async def ask(port: int, name: str) -> tuple[int, str]:
    """Ask once; the answer's status, and what its route says."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        text = f"GET / HTTP/1.1\r\nhost: {name}.example\r\nconnection: close\r\n\r\n"
        writer.write(text.encode())
        head = (await reader.read()).partition(b"\r\n\r\n")[0].decode()
        said = [line for line in head.split("\r\n") if line.startswith("said: ")]
        return int(head.split()[1]), said[0].removeprefix("said: ") if said else ""
    finally:
        writer.close()


async def first_answer(port: int, name: str) -> tuple[int, str]:
    """Return the first answer there is: from the moment that the port can be connected to."""
    async with asyncio.timeout(15):
        while True:
            with contextlib.suppress(OSError):
                return await ask(port, name)
            await asyncio.sleep(0.002)


async def until(port: int, name: str, wanted: tuple[int, str], before: tuple[int, str]) -> None:
    """Ask until the answer is another one than before: the one that is wanted, and none between."""
    async with asyncio.timeout(15):
        while (found := await ask(port, name)) != wanted:
            assert found == before
            await asyncio.sleep(0.005)


async def pushes(up: Running) -> dict[str, float]:
    _, body = await up.get("/metrics")
    lines = [line for line in body.decode().splitlines() if line.startswith("pilot_xds_pushes{")]
    return {line.split('"')[1]: float(line.split()[1]) for line in lines}


OK = (HTTPStatus.OK, "")
REFUSED = (HTTPStatus.BAD_GATEWAY, "")


@contextlib.asynccontextmanager
async def files(tmp_path: Path) -> AsyncIterator[Files]:
    async with application() as app:
        yield Files(tmp_path / "config", app)


def test_hosts_come_change_and_go_one_by_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with files(tmp_path) as made:
            first, second = free_port(), free_port()
            for number in range(50):
                made.service(f"s{number}", first)
            wanted = settings(made.directory, tmp_path / "state")
            async with running(wanted) as up, envoy(tmp_path / "envoy", up.ports.xds, NODE):
                # The listener takes connections only once its hosts are there.
                assert await first_answer(first, "s7") == OK
                before = await pushes(up)
                made.route("s7", "one")
                await until(first, "s7", (HTTPStatus.OK, "one"), OK)
                made.route("s7", "two")
                await until(first, "s7", (HTTPStatus.OK, "two"), (HTTPStatus.OK, "one"))
                made.remove("route-s7")
                await until(first, "s7", OK, (HTTPStatus.OK, "two"))
                after = await pushes(up)
                assert after["vhds"] == before["vhds"] + 3
                assert after["rds"] == before["rds"]
                made.service("new", first)
                await until(first, "new", OK, REFUSED)
                made.remove("s9")
                await until(first, "s9", REFUSED, OK)
                # A route configuration of its own comes with a new port: its hosts come unasked.
                made.service("late", second)
                assert await first_answer(second, "late") == OK
                made.route("late", "one")
                await until(second, "late", (HTTPStatus.OK, "one"), OK)
                assert await ask(first, "s8") == OK
                assert await up.page("/debug/push_status") == []

    asyncio.run(scenario())


def test_restarts_of_either_side_lose_nothing_and_send_what_differs(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with files(tmp_path) as made, contextlib.AsyncExitStack() as stack:
            port = free_port()
            for name in ("a", "b", "c", "d"):
                made.service(name, port)
            wanted = settings(made.directory, tmp_path / "state")
            async with running(wanted) as up:
                xds = up.ports.xds
                await stack.enter_async_context(envoy(tmp_path / "envoy", xds, NODE))
                assert await first_answer(port, "a") == OK
            assert await ask(port, "b") == OK
            made.route("a", "one")
            made.remove("d")
            again = msgspec.structs.replace(wanted, xds_port=xds)
            async with running(again) as up:
                await until(port, "a", (HTTPStatus.OK, "one"), OK)
                await until(port, "d", REFUSED, OK)
                assert await ask(port, "b") == OK
                found = await pushes(up)
                assert "rds" not in found
                assert "lds" not in found
            async with running(again) as up:
                # Nothing differs: nothing is sent. A change shows that the stream is there.
                made.route("b", "two")
                await until(port, "b", (HTTPStatus.OK, "two"), OK)
                assert await pushes(up) == {"vhds": 1.0}
                await stack.aclose()
                async with envoy(tmp_path / "envoy", xds, NODE):
                    assert await first_answer(port, "a") == (HTTPStatus.OK, "one")
                    assert await ask(port, "b") == (HTTPStatus.OK, "two")

    asyncio.run(scenario())
