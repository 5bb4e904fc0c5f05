"""The agent's own stream to the control plane: names and roots come, health goes."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

import grpc
import msgspec
from envoy.config.core.v3 import base_pb2 as core
from envoy.service.discovery.v3 import discovery_pb2 as discovery
from google.protobuf.json_format import ParseDict

from rhumb.agent.certificates import CertificateKeeper
from rhumb.agent.dns_names import Host
from rhumb.agent.node import metadata
from rhumb.agent.settings import SidecarSettings, Start, Stats
from rhumb.base import backoff
from rhumb.base.errors import RhumbError
from rhumb.model.proxy import Role
from rhumb.protos import nds_pb2, pcds_pb2
from rhumb.protos.startup_pb2 import Startup

_log = logging.getLogger(__name__)

_METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
_NAMES = "type.googleapis.com/istio.networking.nds.v1.NameTable"
_ROOTS = "type.googleapis.com/istio.mesh.v1alpha1.ProxyConfig"
_STARTUP = "type.googleapis.com/rhumb.v1.Startup"
_HEALTH = "type.googleapis.com/istio.v1.HealthInformation"

_Outgoing = asyncio.Queue[discovery.DeltaDiscoveryRequest | None]
"""What is to be sent; None is the end."""


class ControlStream:
    """Keeps one stream open, with the workload's own certificate."""

    def __init__(
        self,
        settings: SidecarSettings,
        keeper: CertificateKeeper,
        *,
        on_names: Callable[[tuple[Host, ...]], None],
        on_start: Callable[[Start], None] = lambda _told: None,
    ) -> None:
        self._settings = settings
        self._keeper = keeper
        self._on_names = on_names
        self._on_start = on_start
        self._outgoing: _Outgoing = asyncio.Queue()
        self._health: tuple[bool, str] | None = None
        self.connected = False

    def report(self, *, healthy: bool, reason: str = "") -> None:
        """Say how the workload is: now, and again on every new stream."""
        self._health = (healthy, reason)
        if self.connected:
            self._outgoing.put_nowait(self._health_request())

    async def run(self) -> None:
        """Connect, and connect again, until cancelled."""
        delays = backoff.delays(first=0.5, cap=15.0)
        while True:
            await self._keeper.wait_ready()
            try:
                if await self._session():
                    delays = backoff.delays(first=0.5, cap=15.0)
            except grpc.aio.AioRpcError as error:
                _log.warning(
                    "stream to the control plane ended: %s",
                    error.details(),
                    extra={"workload": self._settings.name, "code": error.code().name},
                )
            except (RhumbError, OSError) as error:
                # Roots that are none, or that the disk does not take: the next stream tells them anew.
                _log.error(
                    "what the control plane told cannot be taken, asking again: %s",
                    error,
                    extra={"workload": self._settings.name},
                )
            finally:
                self.connected = False
            await asyncio.sleep(next(delays))

    async def _session(self) -> bool:
        """Run one stream; return whether anything came over it."""
        heard = False
        outgoing: _Outgoing = asyncio.Queue()
        self._outgoing = outgoing
        try:
            async with self._channel() as channel:
                call = channel.stream_stream(
                    _METHOD,
                    request_serializer=discovery.DeltaDiscoveryRequest.SerializeToString,
                    response_deserializer=discovery.DeltaDiscoveryResponse.FromString,
                )(self._requests(outgoing))
                async for response in call:
                    heard = True
                    self._take(response)
        finally:
            # gRPC waits for the next request of a stream that the other side has ended, too.
            outgoing.put_nowait(None)
        return heard

    def _channel(self) -> grpc.aio.Channel:
        pair, name = self._keeper.pair, self._settings.discovery.sni
        credentials = grpc.ssl_channel_credentials(
            self._keeper.roots.encode(),
            pair.key.encode() if pair else None,
            pair.chain.encode() if pair else None,
        )
        options = (
            ("grpc.ssl_target_name_override", name),
            ("grpc.default_authority", name),
            ("grpc.enable_http_proxy", 0),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.keepalive_time_ms", 30_000),
        )
        return grpc.aio.secure_channel(self._settings.discovery.address, credentials, options)

    async def _requests(
        self, outgoing: _Outgoing
    ) -> AsyncIterator[discovery.DeltaDiscoveryRequest]:
        node = core.Node(id=self._settings.node_id(Role.AGENT))
        ParseDict(metadata(self._settings), node.metadata)
        yield discovery.DeltaDiscoveryRequest(node=node, type_url=_STARTUP)
        yield discovery.DeltaDiscoveryRequest(type_url=_NAMES)
        yield discovery.DeltaDiscoveryRequest(type_url=_ROOTS)
        self.connected = True
        if self._health is not None:
            yield self._health_request()
        while (request := await outgoing.get()) is not None:
            yield request

    def _health_request(self) -> discovery.DeltaDiscoveryRequest:
        request = discovery.DeltaDiscoveryRequest(type_url=_HEALTH)
        healthy, reason = self._health or (True, "")
        if not healthy:
            request.error_detail.code = 500
            request.error_detail.message = reason
        return request

    def _take(self, response: discovery.DeltaDiscoveryResponse) -> None:
        for resource in response.resources:
            if response.type_url == _NAMES:
                table = nds_pb2.NameTable.FromString(resource.resource.value)
                self._on_names(tuple(_host(name, info) for name, info in table.table.items()))
            elif response.type_url == _ROOTS:
                found = pcds_pb2.ProxyConfig.FromString(resource.resource.value)
                self._keeper.update_roots("".join(found.ca_certificates_pem))
            elif response.type_url == _STARTUP:
                self._on_start(_start(Startup.FromString(resource.resource.value)))
        self._outgoing.put_nowait(
            discovery.DeltaDiscoveryRequest(
                type_url=response.type_url, response_nonce=response.nonce
            )
        )


def _start(told: Startup) -> Start:
    return Start(
        concurrency=told.concurrency if told.HasField("concurrency") else None,
        drain_seconds=told.drain_seconds if told.HasField("drain_seconds") else None,
        environment=dict(told.environment),
        runtime=dict(told.runtime),
        stats=Stats(
            tuple(told.stats_prefixes), tuple(told.stats_suffixes), tuple(told.stats_expressions)
        ),
        overlay=msgspec.json.decode(told.bootstrap or "{}"),
    )


def _host(name: str, info: nds_pb2.NameTable.NameInfo) -> Host:
    return Host(
        name=name,
        addresses=tuple(info.ips),
        short_name=info.shortname,
        namespace=info.namespace,
    )
