"""A real Envoy on the control plane's stream: traffic, changes, restarts, and what it rejects."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from tests.app.files import replace
from tests.app.live_envoy import application, envoy, free_port

from rhumb.ads.server import AdsServer
from rhumb.ads.stream import Stream
from rhumb.base.errors import RhumbError
from rhumb.testing.control_plane import Running, running, settings
from rhumb.xds.types import XdsType

pytestmark = pytest.mark.envoy

NODE = {
    "id": "router~127.0.0.1~ingress-1.default~default.svc.cluster.local",
    "cluster": "ingress",
    "metadata": {
        "NAMESPACE": "default",
        "LABELS": {"istio": "ingress"},
        "SERVICE_ACCOUNT": "ingress",
    },
}
MESH = """
apiVersion: v1
kind: Service
metadata: {{name: app}}
spec:
  clusterIP: 10.96.0.10
  selector: {{app: app}}
  ports: [{{name: http, port: 80}}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: app-v1}}
spec: {{address: 127.0.0.1, ports: {{http: {v1}}}, labels: {{app: app, version: v1}}}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: app-v2}}
spec: {{address: 127.0.0.1, ports: {{http: {v2}}}, labels: {{app: app, version: v2}}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: app}}
spec:
  host: app
  trafficPolicy: {{tls: {{mode: DISABLE}}, connectionPool: {{tcp: {{maxConnections: {connections}}}}}}}
  subsets: [{subsets}]
"""
ROUTE = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: ingress}}
spec:
  selector: {{istio: ingress}}
  servers: [{{port: {{number: {port}, name: http, protocol: HTTP}}, hosts: ["*"]}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: app}}
spec:
  hosts: ["*"]
  gateways: [ingress]
  http: [{{route: [{{destination: {{host: app, subset: {subset}}}}}]}}]
"""


class Site:
    """A directory of configuration: one application in two versions behind one gateway."""

    def __init__(self, directory: Path, apps: dict[str, int], port: int) -> None:
        self.directory = directory
        self.apps = apps
        self.port = port
        directory.mkdir()
        self.mesh(("v1",))
        self.route("v1")

    def mesh(self, subsets: tuple[str, ...], connections: int = 100) -> None:
        listed = ", ".join(f"{{name: {s}, labels: {{version: {s}}}}}" for s in subsets)
        self._put("mesh", MESH.format(**self.apps, subsets=listed, connections=connections))

    def route(self, subset: str) -> None:
        self._put("route", ROUTE.format(port=self.port, subset=subset))

    def _put(self, name: str, text: str) -> None:
        replace(self.directory / f"{name}.yaml", text)


async def get(port: int) -> tuple[int, str]:
    """Ask once, on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET / HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()
    finally:
        writer.close()


async def until(port: int, text: str) -> None:
    """Ask until the answer is this text; an answer that is no answer at all fails."""
    async with asyncio.timeout(15):
        while True:
            status, body = await get(port)
            assert status == HTTPStatus.OK, (status, body)
            if body == text:
                return


async def opened(port: int) -> None:
    """Wait until something listens."""
    async with asyncio.timeout(15):
        while True:
            with contextlib.suppress(OSError):
                await get(port)
                return
            await asyncio.sleep(0.02)


async def status(up: Running, kind: str, state: str) -> dict[str, Any]:
    """Wait until the gateway's state of a type is this one."""
    async with asyncio.timeout(15):
        while True:
            rows = cast("list[dict[str, Any]]", await up.page("/debug/syncz"))
            for row in rows:
                if row["types"].get(kind, {}).get("state") == state:
                    return cast("dict[str, Any]", row["types"][kind])
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with application("v1") as v1, application("v2") as v2:
        yield Site(tmp_path / "config", {"v1": v1, "v2": v2}, free_port())


@contextlib.asynccontextmanager
async def serving(tmp_path: Path) -> AsyncIterator[tuple[Site, Running]]:
    """Run a control plane, and a gateway that has its configuration."""
    async with (
        site(tmp_path) as place,
        running(settings(place.directory, tmp_path / "state")) as up,
        envoy(tmp_path / "envoy", up.ports.xds, NODE),
    ):
        await opened(place.port)
        yield place, up


def test_no_request_is_lost_while_routes_move_to_what_did_not_exist_and_back(
    tmp_path: Path,
) -> None:
    """Subset and route change together, clusters change in use, the control plane comes and goes."""

    async def ask_on(port: int, stop: asyncio.Event, count: list[int]) -> None:
        while not stop.is_set():
            found, body = await get(port)
            assert found == HTTPStatus.OK, (found, body)
            count[0] += 1

    async def move(place: Site) -> None:
        for round_ in range(10):
            # Nothing but the order of the push keeps requests from subsets that are not there yet, or no more.
            place.mesh(("v1", "v2"), 100 + round_)
            place.route("v2")
            await until(place.port, "v2")
            place.route("v1")
            await until(place.port, "v1")
            place.mesh(("v1",), 100 + round_)

    async def scenario() -> None:
        async with serving(tmp_path) as (place, up):
            stop, count = asyncio.Event(), [0]
            async with asyncio.TaskGroup() as group:
                for _ in range(4):
                    group.create_task(ask_on(place.port, stop, count))
                await move(place)
                await status(up, "CDS", "SYNCED")
                stop.set()
            assert count[0] > 100
            await status(up, "RDS", "SYNCED")
            assert await up.page("/debug/push_status") == []

    asyncio.run(scenario())


def test_envoy_serves_on_without_the_control_plane_and_gets_only_what_changed_from_the_next(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with site(tmp_path) as place, contextlib.AsyncExitStack() as stack:
            place.mesh(("v1", "v2"))
            wanted = settings(place.directory, tmp_path / "state")
            async with running(wanted) as up:
                port = up.ports.xds
                await stack.enter_async_context(envoy(tmp_path / "envoy", port, NODE))
                await opened(place.port)
                await status(up, "RDS", "SYNCED")
            assert await get(place.port) == (HTTPStatus.OK, "v1")
            place.route("v2")
            async with running(msgspec.structs.replace(wanted, xds_port=port)) as up:
                await until(place.port, "v2")
                await status(up, "RDS", "SYNCED")
                await status(up, "CDS", "SYNCED")
                _, body = await up.get("/metrics")
                assert b'pilot_xds_pushes{type="rds"} 1.0' in body
                for kind in (b"cds", b"eds", b"lds"):
                    assert b'pilot_xds_pushes{type="%s"}' % kind not in body

    asyncio.run(scenario())


def test_a_port_in_use_is_told_in_envoys_words_with_the_gateway_that_wants_it(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as (place, up):
            good = place.port
            with socket.create_server(("0.0.0.0", 0)) as taken:
                place.port = taken.getsockname()[1]
                route = place.directory / "route.yaml"
                text = route.read_text()
                server = f"{{port: {{number: {place.port}, name: two, protocol: HTTP}}, hosts: [x.example]}}"
                replace(route, text.replace("servers: [", f"servers: [{server}, "))
                nack = await status(up, "LDS", "NACK")
                assert "Address already in use" in nack["error"]
                assert nack["refused"] == [f"0.0.0.0_{place.port}"]
                assert any("Gateway default/ingress" in each for each in nack["objects"])
                assert await get(good) == (HTTPStatus.OK, "v1")
            replace(route, text)
            await status(up, "LDS", "SYNCED")
            assert await get(good) == (HTTPStatus.OK, "v1")

    asyncio.run(scenario())


def test_envoy_that_lost_the_endpoints_of_a_changed_cluster_gets_them_when_it_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream ends between a cluster and its endpoints: Envoy asks for no clusters until it has these."""

    def cutting(ads: AdsServer) -> asyncio.Event:
        cut = asyncio.Event()
        speak = ads._next

        def next_or_cut(stream: Stream) -> bytes | None:
            data = speak(stream)
            if data is None or cut.is_set() or XdsType.EDS.value.encode() not in data:
                return data
            cut.set()
            stream.failed = RhumbError("cut")
            stream.wake()
            return None

        monkeypatch.setattr(ads, "_next", next_or_cut)
        return cut

    async def scenario() -> None:
        async with serving(tmp_path) as (place, up):
            await status(up, "RDS", "SYNCED")
            cut = cutting(up.plane.ads)
            place.mesh(("v1",), 7)
            await asyncio.wait_for(cut.wait(), 15)
            place.mesh(("v1", "v2"), 7)
            await status(up, "CDS", "SYNCED")
            place.route("v2")
            await until(place.port, "v2")

    asyncio.run(scenario())
