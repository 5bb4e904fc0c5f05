"""The agent's stream to a control plane that goes away, or tells what cannot be taken."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy.service.discovery.v3 import discovery_pb2 as discovery

from rhumb.ads.server import SERVICE, Context
from rhumb.agent.run import Sidecar
from rhumb.agent.settings import Discovery, SidecarSettings
from rhumb.base.errors import RhumbError
from rhumb.protos import pcds_pb2

Behaviour = Callable[[AsyncIterator[bytes], Context], AsyncIterator[bytes] | Awaitable[None]]


@asynccontextmanager
async def beside(
    behaviour: Behaviour, directory: Path, patch: pytest.MonkeyPatch
) -> AsyncIterator[Sidecar]:
    """A sidecar whose control plane behaves as it is told."""
    server = grpc.aio.server()
    methods = {"DeltaAggregatedResources": grpc.stream_stream_rpc_method_handler(behaviour)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    settings = SidecarSettings(
        name="shop-0",
        namespace="default",
        addresses=("127.0.0.1",),
        discovery=Discovery(address=f"127.0.0.1:{port}"),
        directory=directory,
    )
    sidecar = Sidecar(settings, binary=directory, roots="")
    patch.setattr(
        sidecar.control, "_channel", lambda: grpc.aio.insecure_channel(settings.discovery.address)
    )
    try:
        yield sidecar
    finally:
        await server.stop(None)


def test_its_requests_end_when_the_other_side_ends_the_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(requests: AsyncIterator[bytes], context: Context) -> None:
        assert [await anext(requests) for _ in range(3)]
        await context.abort(grpc.StatusCode.UNAVAILABLE, "away")

    async def scenario() -> None:
        async with beside(away, tmp_path, monkeypatch) as sidecar:
            stream = sidecar.control
            ended = asyncio.Event()
            requests = stream._requests

            async def heard(queue: asyncio.Queue[Any]) -> AsyncIterator[Any]:
                async for request in requests(queue):
                    yield request
                ended.set()

            monkeypatch.setattr(stream, "_requests", heard)
            with pytest.raises(grpc.aio.AioRpcError, match="away"):
                await stream._session()
            async with asyncio.timeout(5):
                await ended.wait()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RhumbError("no certificate")]
)
def test_roots_that_cannot_be_taken_are_told_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    async def told(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        del context
        async for request in requests:
            found = discovery.DeltaDiscoveryRequest.FromString(request)
            if found.type_url.endswith("ProxyConfig") and not found.response_nonce:
                answer = discovery.DeltaDiscoveryResponse(type_url=found.type_url, nonce="1")
                roots = pcds_pb2.ProxyConfig(ca_certificates_pem=["root"])
                answer.resources.add().resource.Pack(roots)
                yield answer.SerializeToString()

    async def scenario() -> None:
        taken = asyncio.get_running_loop().create_future()
        errors = [error]

        def update(pem: str) -> None:
            if errors:
                raise errors.pop()
            taken.set_result(pem)

        async with beside(told, tmp_path, monkeypatch) as sidecar:
            monkeypatch.setattr(sidecar.keeper, "update_roots", update)
            sidecar.keeper._ready.set()
            running = asyncio.ensure_future(sidecar.control.run())
            async with asyncio.timeout(10):
                assert await taken == "root"
            assert not running.done()
            running.cancel()
            await asyncio.wait([running])

    asyncio.run(scenario())
    assert f"asking again: {error}" in caplog.text
