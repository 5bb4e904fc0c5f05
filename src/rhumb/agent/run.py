"""One sidecar from certificate to drained Envoy; a process may run many."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Collection
from pathlib import Path

import msgspec

from rhumb.agent import http, netns, process, readiness
from rhumb.agent import metrics as merged
from rhumb.agent import status as pages
from rhumb.agent.ca_client import CaClient
from rhumb.agent.certificates import CertificateKeeper
from rhumb.agent.control import ControlStream
from rhumb.agent.dns import DnsProxy, Forward
from rhumb.agent.dns_names import Host, Names, expand, search_domains
from rhumb.agent.envoy import Envoy
from rhumb.agent.health import HealthProbe, RunCommand, commands
from rhumb.agent.settings import Probe, SidecarSettings, Start
from rhumb.base.listeners import port_taken
from rhumb.base.tasks import Nursery
from rhumb.identity.spiffe import SpiffeId
from rhumb.model.peer import format_peer, peer
from rhumb.model.proxy import Role

_log = logging.getLogger(__name__)

_POLL_S = 0.05
_STARTUP_S = 3.0
"""Other control planes do not know the question."""


class SidecarStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What people want to know of one sidecar."""

    name: str
    state: str
    ready: bool
    why: str
    pid: int | None
    restarts: int
    certificate_seconds: float | None


class Sidecar:
    """Identity, DNS, Envoy, readiness and metrics of one workload."""

    def __init__(
        self,
        settings: SidecarSettings,
        *,
        binary: Path,
        roots: str,
        join_token: str = "",
        enter: netns.Enter = netns.here,
        launch: process.Launch | None = None,
        access_log: int | None = None,
        forward: Forward | None = None,
        run_command: RunCommand | None = None,
    ) -> None:
        """Take the roots (PEM) that the control plane is verified against, and a token for the first time.

        `forward` asks the outside for names that the mesh does not know; without it there is no outside.
        `run_command` runs the commands of probes; without it they run as this process does, inside
        the workload's network.
        """
        self.settings = settings
        self._enter = enter
        self._nursery = Nursery(f"sidecar/{settings.name}")
        self.keeper = CertificateKeeper(
            identity=SpiffeId.of(
                settings.trust_domain, settings.namespace, settings.service_account
            ),
            peer=format_peer(peer(settings.identity)),
            directory=settings.directory / "sds",
            signer=CaClient(settings.discovery.address, server_name=settings.discovery.sni),
            roots=roots,
            join_token=join_token,
        )
        self.control = ControlStream(
            settings, self.keeper, on_names=self._names, on_start=self._told
        )
        self.dns = DnsProxy(settings.name, forward, settings.domain)
        self._upstream_dns = DnsProxy(
            settings.name,
            forward,
            settings.domain,
            search=search_domains(settings.namespace, settings.domain),
        )
        self._upstream_dns.update(Names())
        self.envoy = Envoy(
            settings,
            binary,
            enter=enter,
            launch=launch,
            access_log=access_log,
            on_exit=self._envoy_ended,
        )
        self.readiness = readiness.Gate(self._fetch)
        self._tally = merged.Tally()
        self._run_command = run_command or commands(process.launcher(enter), settings.directory)
        self._running: asyncio.Task[None] | None = None
        self._server: asyncio.Server | None = None
        self._named = asyncio.Event()
        self._start: Start | None = None
        self._start_known = asyncio.Event()
        self._probe: HealthProbe | None = None
        self.healthy = asyncio.Event()
        """Set while a probe says that the application is."""
        self.unhealthy = ""
        """Why the application is not healthy, once that is known."""

    async def start(self) -> None:
        """Start everything; `wait_ready` tells when traffic may come.

        Raises OSError, or RhumbError with who it is, when a port inside the workload's network is taken;
        RhumbError when Envoy cannot be run.
        """
        settings = self.settings
        (settings.directory / "sds").mkdir(parents=True, exist_ok=True, mode=0o700)
        self._nursery.start("certificate", self.keeper.run())
        self._nursery.start("control", self.control.run())
        if settings.role is Role.SIDECAR and settings.capture.dns:
            await self._serve_names(self.dns, settings.ports.dns)
        if settings.own_resolver:
            await self._serve_names(self._upstream_dns, settings.ports.dns_upstream)
        self._server = await pages.serve(self._listen(), self._routes())
        await self.keeper.wait_ready()
        await self._prepare()
        self._running = self._nursery.start("envoy", self.envoy.run())
        if settings.probe is not None:
            self._nursery.start("probe", self._watch_health(settings.probe))

    async def _serve_names(self, proxy: DnsProxy, port: int) -> None:
        address = self.settings.loopback
        await proxy.start(
            netns.bind_udp(self._enter, address, port), netns.listen(self._enter, address, port)
        )

    def _listen(self) -> socket.socket:
        address, port = self.settings.listen, self.settings.ports.agent
        try:
            return netns.listen(self._enter, address, port)
        except OSError as error:
            raise port_taken(address, port, os.strerror(error.errno or 0)) from None

    async def _prepare(self) -> None:
        """Wait for what the mesh says of how Envoy starts; one that says nothing is not waited for long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._start_known.wait(), _STARTUP_S)
        self._start_known.set()
        await self.envoy.prepare(self._start)

    def _told(self, told: Start) -> None:
        if not self._start_known.is_set():
            self._start = told
            self._start_known.set()
        elif told != self._start:
            _log.warning(
                "the mesh says anew how %s starts; restart it for that to hold", self.settings.name
            )

    async def wait_ready(self) -> None:
        """Wait until Envoy has its first configuration, and DNS its first names."""
        while not await self.readiness.check():  # noqa: ASYNC110 - Envoy tells when asked only
            await asyncio.sleep(_POLL_S)
        if self.settings.role is Role.SIDECAR and self.settings.capture.dns:
            await self._named.wait()

    async def drain(self, ports: Collection[int]) -> None:
        """Let what is in flight to these ports of Envoy's end; `stop` comes later."""
        self.readiness.drain()
        await self.envoy.drain(ports)

    async def stop(self, *, at_once: bool = False) -> None:
        """Drain Envoy, unless it is to be `at_once`; then end everything."""
        self.readiness.drain()
        self.envoy.stop()
        if at_once:
            self.envoy.stop()
        if self._running is not None:
            await asyncio.wait([self._running])
        if self._server is not None:
            self._server.close()
        await self.dns.stop()
        await self._upstream_dns.stop()
        await self._nursery.close()

    async def status(self) -> SidecarStatus:
        """Return how it stands."""
        found = await self.readiness.check()
        return SidecarStatus(
            name=self.settings.name,
            state=self.envoy.state,
            ready=bool(found),
            why=found.why,
            pid=self.envoy.pid,
            restarts=self.envoy.restarts,
            certificate_seconds=self.keeper.expiry_seconds(),
        )

    async def metrics(self) -> bytes:
        """Return the merged metrics: Envoy's, the application's and ours."""
        return await merged.collect(
            self.settings, self._enter, self.keeper.expiry_seconds(), self._tally
        )

    async def _watch_health(self, probe: Probe) -> None:
        # A workload takes no traffic before its proxy does, however well the application is.
        await self.wait_ready()
        self._probe = HealthProbe(
            probe,
            enter=self._enter,
            on_change=self._health_changed,
            run_command=self._run_command,
        )
        await self._probe.run()

    def application_ended(self) -> None:
        """Take that the application is gone: whoever comes in its place must be healthy first."""
        if self._probe is not None:
            self._probe.forget()
        if self.healthy.is_set():
            self._health_changed(False, "it ended")

    def _health_changed(self, healthy: bool, why: str) -> None:
        (self.healthy.set if healthy else self.healthy.clear)()
        self.unhealthy = "" if healthy else why
        level = logging.INFO if healthy else logging.WARNING
        word = "healthy" if healthy else f"unhealthy: {why}"
        _log.log(level, "the application of %s is %s", self.settings.name, word)
        self.control.report(healthy=healthy, reason=why)

    def _names(self, hosts: tuple[Host, ...]) -> None:
        self.dns.update(expand(hosts, self.settings.namespace, self.settings.domain))
        self._named.set()

    def _envoy_ended(self) -> None:
        self.readiness.forget()

    async def _fetch(self, path: str) -> http.Answer:
        target = http.Target(
            host=self.settings.loopback, port=self.settings.ports.admin, enter=self._enter
        )
        return await http.request(target, path)

    def _routes(self) -> dict[str, pages.Route]:
        return {
            "/healthz/ready": pages.Route(handler=self._ready),
            "/stats/prometheus": pages.Route(handler=self._metrics),
            "/metrics": pages.Route(handler=self._metrics),
            "/quitquitquit": pages.Route(handler=self._quit, method="POST", local_only=True),
        }

    async def _ready(self) -> pages.Reply:
        found = await self.readiness.check()
        return pages.Reply(200, b"ready\n") if found else pages.Reply(503, found.why.encode())

    async def _metrics(self) -> pages.Reply:
        return pages.Reply(200, await self.metrics(), merged.CONTENT_TYPE)

    async def _quit(self) -> pages.Reply:
        self.envoy.stop()
        return pages.Reply(200, b"ok\n")
