"""Port 15012: who may be whom on an xDS stream."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import grpc
import pytest

from rhumb.base.clock import SystemClock
from rhumb.ca.authority import make_root
from rhumb.ca.sign import Names
from rhumb.identity.spiffe import SpiffeId
from rhumb.testing.ads_client import AdsClient, Certificate, connecting
from rhumb.testing.ca import signed
from rhumb.testing.control_plane import Running, running, settings
from rhumb.testing.fake_envoy import CDS, FakeEnvoy

CLIENT = SpiffeId("cluster.local", "default", "client")


def certificate(up: Running, identity: SpiffeId = CLIENT, *, foreign: bool = False) -> Certificate:
    ca, now = up.plane.authority, SystemClock().now()
    other = make_root(organization="cluster.local", now=now, life=timedelta(days=1))
    key, chain = signed(other if foreign else ca.signing, Names.of(identity))
    return Certificate(ca.bundle.pem.encode(), key, chain)


def _empty(directory: Path) -> Path:
    config = directory / "config"
    config.mkdir()
    return config


def envoy(namespace: str = "default", **metadata: str) -> FakeEnvoy:
    node = f"sidecar~10.0.0.1~client-1.{namespace}~{namespace}.svc.cluster.local"
    return FakeEnvoy(node, {"NAMESPACE": namespace, **metadata})


def test_the_status_shows_the_identity_and_the_certificates_life(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(settings(_empty(tmp_path), tmp_path / "state")) as up:
            client = envoy(SERVICE_ACCOUNT="client")
            async with connecting(client, up.ports.secure, certificate(up)) as link:
                await link.wait(lambda e: bool(e.held.get(CDS)))
                (row,) = cast("list[dict[str, Any]]", await up.page("/debug/syncz"))
                assert row["identity"] == str(CLIENT)
                assert row["certificate_issued"] < row["certificate_expires"]

    asyncio.run(scenario())


def test_a_node_that_names_no_account_has_that_of_its_certificate(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            running(settings(_empty(tmp_path), tmp_path / "state")) as up,
            connecting(envoy(), up.ports.secure, certificate(up)) as link,
        ):
            await link.wait(lambda e: bool(e.held.get(CDS)))
            (stream,) = up.plane.ads.streams
            assert stream.proxy is not None
            assert stream.proxy.service_account == "client"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("namespace", "metadata"),
    [
        ("default", {"SERVICE_ACCOUNT": "admin"}),
        ("kube-system", {"SERVICE_ACCOUNT": "client"}),
        ("kube-system", {}),
        ("default", {"NAMESPACE": "kube-system"}),
    ],
)
def test_who_claims_to_be_another_is_refused_and_logged(
    tmp_path: Path,
    namespace: str,
    metadata: Mapping[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        async with running(settings(_empty(tmp_path), tmp_path / "state")) as up:
            client = FakeEnvoy(envoy(namespace).node.id, metadata)
            async with connecting(client, up.ports.secure, certificate(up)) as link:
                error = await link.ended()
                assert error.code() is grpc.StatusCode.PERMISSION_DENIED
                assert "spiffe://cluster.local/ns/default/sa/client claims" in str(error.details())
            assert not client.held
            assert not up.plane.ads.streams

    asyncio.run(scenario())
    assert "claims to be" in caplog.text


def test_without_a_certificate_of_this_mesh_there_is_no_stream(tmp_path: Path) -> None:
    async def ended(link: AdsClient) -> grpc.StatusCode:
        code: grpc.StatusCode = (await link.ended()).code()
        return code

    async def scenario() -> None:
        async with running(settings(_empty(tmp_path), tmp_path / "state")) as up:
            roots = up.plane.authority.bundle.pem.encode()
            nobody = Certificate(roots, None, None)
            async with connecting(envoy(), up.ports.secure, nobody) as link:
                assert await ended(link) is grpc.StatusCode.UNAUTHENTICATED
            async with connecting(envoy(), up.ports.secure, certificate(up, foreign=True)) as link:
                assert await ended(link) is grpc.StatusCode.UNAVAILABLE
            elsewhere = SpiffeId("elsewhere.example", "default", "client")
            async with connecting(envoy(), up.ports.secure, certificate(up, elsewhere)) as link:
                assert await ended(link) is grpc.StatusCode.UNAUTHENTICATED
            assert not up.plane.ads.streams

    asyncio.run(scenario())
