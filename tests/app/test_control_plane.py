"""A whole control plane, with files on one side and clients over real gRPC on the other."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import grpc
import msgspec
import pytest
from envoy.service.discovery.v3 import discovery_pb2 as discovery
from tests.app.files import replace

from rhumb.ads.server import SERVICE
from rhumb.ads.settings import DebounceSettings
from rhumb.base.errors import RhumbError
from rhumb.protos import nds_pb2, pcds_pb2
from rhumb.testing.ads_client import connecting
from rhumb.testing.control_plane import Running, running, settings
from rhumb.testing.fake_envoy import (
    CDS,
    EDS,
    LDS,
    METADATA,
    RDS,
    FakeEnvoy,
    Reject,
    accept,
    sidecar,
)
from rhumb.xds.types import XdsType

REVIEWS = """
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec:
  clusterIP: 10.96.0.10
  selector: {app: reviews}
  ports: [{name: http, port: 9080}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews-v1-0}
spec: {address: 10.0.0.11, labels: {app: reviews, version: v1}, serviceAccount: reviews}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews-v2-0}
spec: {address: 10.0.0.12, labels: {app: reviews, version: v2}, serviceAccount: reviews}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
"""
ROUTES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: reviews}}
spec:
  hosts: [reviews]
  http:
  - route:
    - {{destination: {{host: reviews, subset: v1}}, weight: {v1}}}
    - {{destination: {{host: reviews, subset: v2}}, weight: {v2}}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    directory = tmp_path / "config"
    directory.mkdir()
    (directory / "reviews.yaml").write_text(REVIEWS)
    write_weights(directory, 100)
    return directory


def write_weights(directory: Path, v1: int) -> None:
    replace(directory / "routes.yaml", ROUTES.format(v1=v1, v2=100 - v1))


def envoy(number: int = 1, *, delta: bool = True, reject: Reject = accept) -> FakeEnvoy:
    return FakeEnvoy(sidecar(number), METADATA, delta=delta, reject=reject)


def has_routes(client: FakeEnvoy) -> bool:
    return "9080" in client.held.get(RDS, {})


def sent(client: FakeEnvoy, kind: XdsType) -> int:
    return sum(k is kind for k, _, _ in client.responses)


def was_sent_more(kind: XdsType, *, than: int) -> Callable[[FakeEnvoy], bool]:
    return lambda client: sent(client, kind) > than


async def state_of(up: Running, name: str, state: str, kind: str = "RDS") -> dict[str, Any]:
    """Wait until the status page shows a state; an answer is on its way when this is asked."""
    async with asyncio.timeout(10):
        while True:
            rows = cast("list[dict[str, Any]]", await up.page("/debug/syncz"))
            for row in rows:
                if row["name"] == name and row["types"].get(kind, {}).get("state") == state:
                    return row
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("delta", [True, False])
def test_a_change_of_a_file_reaches_every_client(config: Path, tmp_path: Path, delta: bool) -> None:
    async def scenario() -> None:
        async with (
            running(settings(config, tmp_path / "state")) as up,
            connecting(envoy(1, delta=delta), up.ports.xds) as one,
            connecting(envoy(2, delta=delta), up.ports.xds) as two,
        ):
            for client in (one, two):
                await client.wait(has_routes)
            before = one.envoy.texts(RDS)
            write_weights(config, 90)
            for client in (one, two):
                await client.wait(lambda e: e.texts(RDS) != before)
            assert one.envoy.texts(RDS) == two.envoy.texts(RDS)
            row = await state_of(up, "client-1.default", "SYNCED")
            assert {t["state"] for t in row["types"].values()} == {"SYNCED"}
            status, body = await up.get("/metrics")
            assert status == 200
            assert b'pilot_xds_pushes{type="rds"} 4.0' in body
            assert b"pilot_proxy_convergence_time_count 2.0" in body

    asyncio.run(scenario())


def test_a_restart_sends_only_what_changed_meanwhile(config: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        client = envoy()
        async with (
            running(settings(config, tmp_path / "state")) as up,
            connecting(client, up.ports.xds) as link,
        ):
            await link.wait(has_routes)
        client.responses.clear()
        write_weights(config, 50)
        async with (
            running(settings(config, tmp_path / "state")) as up,
            connecting(client, up.ports.xds) as link,
        ):
            await link.wait(lambda e: bool(e.responses))
            await state_of(up, "client-1.default", "SYNCED")
            assert [(kind, names) for kind, names, _ in client.responses] == [(RDS, ("9080",))]

    asyncio.run(scenario())


def test_a_client_that_has_nothing_more_to_say_ends_its_stream(
    config: Path, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with running(settings(config, tmp_path / "state")) as up:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{up.ports.xds}") as channel:
                method = f"/{SERVICE}/DeltaAggregatedResources"
                call = channel.stream_stream(
                    method, request_serializer=lambda request: request.SerializeToString()
                )()
                (first, *_) = envoy().connect()
                await call.write(first)
                assert await call.read()
                await call.done_writing()
                async with asyncio.timeout(10):
                    assert await call.code() is grpc.StatusCode.OK
            assert not up.plane.ads.streams

    asyncio.run(scenario())


def test_a_rejected_resource_shows_everywhere_and_is_not_sent_again(
    config: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = "outbound|9080|v2|reviews.default.svc.cluster.local"

    def reject(kind: XdsType, name: str, _value: bytes) -> str:
        return "no such thing" if kind is CDS and name == bad else ""

    async def scenario() -> None:
        client = envoy(reject=reject)
        async with (
            running(settings(config, tmp_path / "state")) as up,
            connecting(client, up.ports.xds) as link,
        ):
            await link.wait(has_routes)
            row = await state_of(up, "client-1.default", "NACK", "CDS")
            nack = row["types"]["CDS"]
            assert "no such thing" in nack["error"]
            assert nack["refused"] == [bad]
            assert any("DestinationRule default/reviews" in each for each in nack["objects"])
            assert any("reviews.yaml:" in each for each in nack["objects"])
            assert row["types"]["RDS"]["state"] == "SYNCED"
            before = sent(client, CDS)
            write_weights(config, 10)
            await link.wait(lambda e: sent(e, RDS) == 2)
            assert sent(client, CDS) == before
            _, body = await up.get("/metrics")
            assert b"pilot_xds_cds_reject 1.0" in body
            assert b"pilot_total_xds_rejects 1.0" in body
            pushes = cast("list[dict[str, Any]]", await up.page("/debug/push_status"))
            assert pushes[0]["resources"] == [bad]

    with caplog.at_level("ERROR"):
        asyncio.run(scenario())
    assert "no such thing" in caplog.text


def test_garbage_is_refused_with_a_reason_and_harms_nobody(config: Path, tmp_path: Path) -> None:
    async def refusal(up: Running, request: bytes | discovery.DeltaDiscoveryRequest) -> str:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{up.ports.xds}") as channel:
            call = channel.stream_stream(
                "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
            )()
            raw = request if isinstance(request, bytes) else request.SerializeToString()
            await call.write(raw)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call.read()
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            return caught.value.details() or ""

    async def scenario() -> None:
        async with (
            running(settings(config, tmp_path / "state", max_names=10, max_name_bytes=64)) as up,
            connecting(envoy(), up.ports.xds) as link,
        ):
            await link.wait(has_routes)
            assert "not a discovery request" in await refusal(up, b"\xff\xff\xff\xff")
            nobody = discovery.DeltaDiscoveryRequest(type_url=CDS.value)
            assert 'node id "" is not' in await refusal(up, nobody)
            odd = discovery.DeltaDiscoveryRequest(type_url="odd")
            odd.node.CopyFrom(link.envoy.node)
            assert 'type "odd" is not served' in await refusal(up, odd)
            many = discovery.DeltaDiscoveryRequest(
                type_url=RDS.value, resource_names_subscribe=[f"n{i}" for i in range(11)]
            )
            many.node.CopyFrom(link.envoy.node)
            assert "more than 10 names" in await refusal(up, many)
            long = discovery.DeltaDiscoveryRequest(
                type_url=RDS.value, resource_names_subscribe=["n" * 65]
            )
            long.node.CopyFrom(link.envoy.node)
            assert "longer than 64 bytes" in await refusal(up, long)
            write_weights(config, 90)
            await link.wait(lambda e: sent(e, RDS) == 2)
            _, body = await up.get("/metrics")
            assert b"rhumb_xds_refused_streams 5.0" in body

    asyncio.run(scenario())


def test_a_client_that_never_answers_holds_nobody_up_and_not_even_itself_for_ever(
    config: Path, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with (
            running(settings(config, tmp_path / "state", ack_timeout_s=0.05)) as up,
            connecting(envoy(1), up.ports.xds) as deaf,
            connecting(envoy(2), up.ports.xds) as well,
        ):
            for client in (deaf, well):
                await client.wait(has_routes)
            deaf.silent = True
            for weight in (90, 80, 70):
                news = was_sent_more(RDS, than=sent(well.envoy, RDS))
                write_weights(config, weight)
                await well.wait(news)
            await deaf.wait(lambda e: e.texts(RDS) == well.envoy.texts(RDS))
            await state_of(up, "client-1.default", "STALE")

    asyncio.run(scenario())


def test_an_agent_gets_names_and_roots(config: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = "agent~10.0.0.1~client-1.default~default.svc.cluster.local"
        agent = FakeEnvoy(node, METADATA, types=(XdsType.NDS, XdsType.PCDS))
        async with (
            running(settings(config, tmp_path / "state")) as up,
            connecting(agent, up.ports.xds) as link,
        ):
            await link.wait(lambda e: {XdsType.NDS, XdsType.PCDS} <= e.held.keys())
            (names,) = agent.texts(XdsType.NDS).values()
            table = nds_pb2.NameTable.FromString(names).table
            assert list(table["reviews.default.svc.cluster.local"].ips) == ["10.96.0.10"]
            (roots,) = agent.texts(XdsType.PCDS).values()
            (root,) = pcds_pb2.ProxyConfig.FromString(roots).ca_certificates_pem
            assert root == up.plane.authority.bundle.pem

    asyncio.run(scenario())


def test_the_pages_answer(config: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            running(settings(config, tmp_path / "state")) as up,
            connecting(envoy(), up.ports.xds) as link,
        ):
            await link.wait(has_routes)
            assert await up.get("/ready") == (200, b"ready\n")
            for path in cast("list[str]", await up.page("/debug/list")):
                if path not in ("/debug/config_dump", "/debug/ndsz", "/debug/origins"):
                    await up.page(path)
            dump = cast(
                "dict[str, list[Any]]", await up.page("/debug/config_dump?proxyID=client-1.default")
            )
            assert {c["name"] for c in dump["clusters"]} == link.envoy.held[CDS].keys()
            assert {c["name"] for c in dump["listeners"]} == link.envoy.held[LDS].keys()
            status, body = await up.get("/debug/config_dump?proxyID=nobody.default")
            assert status == 404
            assert b"/debug/connections" in body
            memory = cast("dict[str, Any]", await up.page("/debug/memory"))
            assert memory["streams"]["count"] == 1
            assert memory["services"]["count"] == 1
            assert memory["resources"]["bytes"] > 1000
            assert memory["resident"] > 1 << 20
            _, metrics = await up.get("/metrics")
            assert b"pilot_eds_no_instances 0.0" in metrics
            assert b"pilot_conflict_outbound_listener_tcp_over_current_tcp 0.0" in metrics
            assert b"pilot_conflict_inbound_listener 0.0" in metrics
            assert b"pilot_vservice_dup_domain 0.0" in metrics
            assert b"pilot_destrule_subsets 0.0" in metrics
            assert b'pilot_xds_push_time_count{type="cds"}' in metrics
            assert b"pilot_xds_send_time_count" in metrics
            status, body = await up.get("/no/such/page")
            assert status == 404
            assert b"/debug/syncz" in body

    asyncio.run(scenario())


def test_a_port_in_use_is_named_with_its_holder(config: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(settings(config, tmp_path / "state")) as up:
            for name, option in (
                ("xds", "--xds-port"),
                ("secure", "--secure-port"),
                ("monitoring", "--monitoring-port"),
            ):
                port = getattr(up.ports, name)
                free = settings(config, tmp_path / "other")
                wanted = msgspec.structs.replace(free, **{f"{name}_port": port})
                with pytest.raises(
                    RhumbError, match=f"cannot listen on 127.0.0.1:{port}: process"
                ) as caught:
                    async with running(wanted):
                        pass
                assert option in caught.value.hint

    asyncio.run(scenario())


def test_endpoints_overtake_what_waits_for_its_time(config: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        # A quiet period that never ends in this test: the first change goes at once, the next waits.
        slow = DebounceSettings(quiet_min_s=30.0, quiet_max_s=30.0)
        wanted = msgspec.structs.replace(settings(config, tmp_path / "state"), debounce=slow)
        async with running(wanted) as up, connecting(envoy(), up.ports.xds) as link:
            await link.wait(has_routes)
            write_weights(config, 90)
            await link.wait(lambda e: sent(e, RDS) == 2)
            write_weights(config, 80)
            more = REVIEWS.replace("address: 10.0.0.11", "address: 10.0.0.99")
            (config / "reviews.yaml").write_text(more)
            await link.wait(lambda e: any(b"10.0.0.99" in each for each in e.texts(EDS).values()))
            assert sent(link.envoy, RDS) == 2

    asyncio.run(scenario())
