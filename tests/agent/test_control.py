"""The agent's stream to a control plane that goes away."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from rhumb.ads.server import SERVICE, Context
from rhumb.agent.run import Sidecar
from rhumb.agent.settings import Discovery, SidecarSettings


def test_its_requests_end_when_the_other_side_ends_the_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(requests: AsyncIterator[bytes], context: Context) -> None:
        assert [await anext(requests) for _ in range(3)]
        await context.abort(grpc.StatusCode.UNAVAILABLE, "away")

    async def scenario() -> None:
        server = grpc.aio.server()
        methods = {"DeltaAggregatedResources": grpc.stream_stream_rpc_method_handler(away)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        settings = SidecarSettings(
            name="shop-0",
            namespace="default",
            addresses=("127.0.0.1",),
            discovery=Discovery(address=f"127.0.0.1:{port}"),
            directory=tmp_path,
        )
        stream = Sidecar(settings, binary=tmp_path, roots="").control
        monkeypatch.setattr(
            stream, "_channel", lambda: grpc.aio.insecure_channel(settings.discovery.address)
        )
        ended = asyncio.Event()
        requests = stream._requests

        async def heard(queue: asyncio.Queue[Any]) -> AsyncIterator[Any]:
            async for request in requests(queue):
                yield request
            ended.set()

        monkeypatch.setattr(stream, "_requests", heard)
        try:
            with pytest.raises(grpc.aio.AioRpcError, match="away"):
                await stream._session()
            async with asyncio.timeout(5):
                await ended.wait()
        finally:
            await server.stop(None)

    asyncio.run(scenario())
