"""Drives a FakeEnvoy over real gRPC."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
from envoy.service.discovery.v3 import discovery_pb2 as discovery

from rhumb.base.tasks import Nursery
from rhumb.testing.fake_envoy import FakeEnvoy, Request

_SERVICE = "/envoy.service.discovery.v3.AggregatedDiscoveryService"
_PATIENCE_S = 15.0
_OPTIONS = (("grpc.use_local_subchannel_pool", 1),)
"""Each client has a connection of its own, as each Envoy has."""


class Certificate:
    """A client certificate and what it trusts, PEM."""

    def __init__(self, roots: bytes, key: bytes | None, chain: bytes | None) -> None:
        self.credentials = grpc.ssl_channel_credentials(roots, key, chain)

    @classmethod
    def read(cls, roots: Path, key: Path, chain: Path) -> "Certificate":
        """Read the three files."""
        return cls(roots.read_bytes(), key.read_bytes(), chain.read_bytes())


class AdsClient:
    """One stream of one client; `connecting` opens it."""

    def __init__(self, envoy: FakeEnvoy, call: "grpc.aio.StreamStreamCall[Request, bytes]") -> None:
        self.envoy = envoy
        self.error: grpc.aio.AioRpcError | None = None
        """How the stream ended."""
        self.silent = False
        """Take responses and answer none of them."""
        self._call = call
        self._news = asyncio.Condition()

    async def run(self) -> None:
        """Talk until the stream ends."""
        make = (
            discovery.DeltaDiscoveryResponse.FromString
            if self.envoy.delta
            else discovery.DiscoveryResponse.FromString
        )
        try:
            for request in self.envoy.connect():
                await self._call.write(request)
            while (data := await self._call.read()) is not grpc.aio.EOF:
                for request in self.envoy.receive(make(data)):
                    if not self.silent:
                        await self._call.write(request)
                await self._tell()
        except grpc.aio.AioRpcError as error:
            self.error = error
        await self._tell()

    async def wait(self, is_there: Callable[[FakeEnvoy], bool]) -> None:
        """Wait until the client's state is as wanted. Raises TimeoutError."""
        async with asyncio.timeout(_PATIENCE_S), self._news:
            await self._news.wait_for(lambda: is_there(self.envoy))

    async def ended(self) -> grpc.aio.AioRpcError:
        """Wait until the server has ended the stream; return how."""
        async with asyncio.timeout(_PATIENCE_S), self._news:
            await self._news.wait_for(lambda: self.error is not None)
        assert self.error is not None
        return self.error

    async def send(self, request: Request) -> None:
        """Say something out of turn."""
        await self._call.write(request)

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()


@contextlib.asynccontextmanager
async def connecting(
    envoy: FakeEnvoy, port: int, certificate: Certificate | None = None
) -> AsyncIterator[AdsClient]:
    """Hold a stream open to a port of this machine while the block runs."""
    target = f"localhost:{port}" if certificate else f"127.0.0.1:{port}"
    channel = (
        grpc.aio.secure_channel(target, certificate.credentials, _OPTIONS)
        if certificate
        else grpc.aio.insecure_channel(target, _OPTIONS)
    )
    method = "DeltaAggregatedResources" if envoy.delta else "StreamAggregatedResources"
    nursery = Nursery("fake-envoy")
    async with channel:
        call = channel.stream_stream(
            f"{_SERVICE}/{method}", request_serializer=lambda request: request.SerializeToString()
        )()
        client = AdsClient(envoy, call)
        _ = nursery.start("talk", client.run())
        try:
            yield client
        finally:
            call.cancel()
            await nursery.close()
