"""One workload of a running local mesh: its place, sidecar, application, published ports."""

import asyncio
import contextlib
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from rhumb.agent import http, netns
from rhumb.agent.health import commands
from rhumb.agent.process import Command
from rhumb.agent.run import Sidecar
from rhumb.agent.settings import Discovery, Probe, SidecarSettings
from rhumb.base.errors import RhumbError
from rhumb.base.tasks import Nursery
from rhumb.local import programs, resources
from rhumb.local.ground import Ground, Seat, Site
from rhumb.local.presence import Presence
from rhumb.local.programs import Application, Place, own_environment
from rhumb.local.published import Published
from rhumb.local.resources import Seated
from rhumb.local.state import State
from rhumb.local.topology import PortSpec
from rhumb.model.kinds.workload_group import ReadinessProbe
from rhumb.model.proxy import Role

_POLL_S = 0.05
_TRIES = 3
"""An Envoy that has ended so often before it was ready is given up: the mesh does not start."""


Json = dict[str, object]


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What all workloads of a mesh share."""

    state: State
    ground: Ground
    published: Published
    envoy: Path
    roots: str


class Member:
    """Starts and stops one workload."""

    def __init__(self, seated: Seated, around: Surroundings, token: str) -> None:
        self.seated = seated
        self.plan = seated.plan
        self._around = around
        self._token = token
        self._nursery = Nursery(f"workload/{self.plan.id}")
        self._site: Site | None = None
        self.sidecar: Sidecar | None = None
        self.application: Application | None = None
        self._access_log: BinaryIO | None = None
        self.ready = False
        generated = around.state.generated
        self._presence = (
            Presence(generated / resources.entry_file(self.plan), resources.entry_text(seated))
            if not self.plan.gateway
            else None
        )
        self._announcing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Bring the workload up; returns when its sidecar is ready. Raises OSError, RhumbError."""
        seated = self.seated
        site = await self._around.ground.open(self.plan, seated.seat, seated.doors)
        self._site = site
        settings = self._settings(site)
        await site.redirect(settings)
        # Stays open: a proxy that is started again gets it, too.
        self._access_log = self._around.state.log(f"{self.plan.id}.proxy").open("ab")
        self.sidecar = Sidecar(
            settings,
            binary=self._around.envoy,
            roots=self._around.roots,
            join_token=self._token,
            enter=site.enter,
            launch=site.launch,
            access_log=self._access_log.fileno(),
            forward=self._around.ground.forward,
            run_command=commands(self._beside, self._directory()),
        )
        if self.plan.program is not None:
            self.application = Application(
                self.plan.program,
                self.place(),
                self.environment(),
                self._around.state.log(self.plan.id),
                self._program_ended,
            )
            self._nursery.start("application", self.application.run())
        await self.sidecar.start()
        await self._wait_ready(self.sidecar)
        self.ready = True
        self.lead()
        if self.application is not None:
            self.announce()

    async def _wait_ready(self, sidecar: Sidecar) -> None:
        """Wait for its proxy; one that ends again and again before that will hardly become ready."""
        waiting = self._nursery.start("ready", sidecar.wait_ready())
        while not waiting.done():
            if sidecar.envoy.restarts >= _TRIES:
                raise RhumbError(f"the Envoy of {self.plan.id} ends again and again")
            await asyncio.wait([waiting], timeout=_POLL_S)

    # --- traffic ---------------------------------------------------------------------------

    def announce(self) -> None:
        """Let traffic come as soon as the program serves."""
        if self._presence is not None and self._announcing is None:
            self._announcing = self._nursery.start("announce", self._announce(self._presence))

    async def _announce(self, presence: Presence) -> None:
        assert self.sidecar is not None
        if self.plan.probe is not None:
            await self.sidecar.healthy.wait()
        else:
            await self._listens()
        presence.announce()

    async def _listens(self) -> None:
        """Wait until the program accepts connections at a port of its service."""
        ports = [self.seat.at_program(port.target) for port in self._ports()]
        while True:
            for port in ports:
                target = http.Target(host="127.0.0.1", port=port, enter=self.enter)
                with contextlib.suppress(OSError):
                    (await http.connect(target)).close()
                    return
            await asyncio.sleep(_POLL_S)

    def retract(self) -> None:
        """Let no more traffic come; proxies hear of it a little later."""
        if self._announcing is not None:
            self._announcing.cancel()
            self._announcing = None
        if self._presence is not None:
            self._presence.retract()

    @property
    def announced(self) -> bool:
        """Return whether others may send traffic."""
        return self._presence is not None and self._presence.announced

    @property
    def without_traffic(self) -> str:
        """Return why the workload gets no traffic; empty when it does, or is to get none."""
        if self._presence is None or self.sidecar is None or self._announcing is None:
            return ""
        if self.plan.probe is not None and not self.sidecar.healthy.is_set():
            return self.sidecar.unhealthy or "its probe has not succeeded yet"
        if not self.announced:
            ports = ", ".join(str(self.seat.at_program(port.target)) for port in self._ports())
            return f"its program does not listen at {ports}"
        return ""

    async def wait_announced(self) -> None:
        """Wait until others may send traffic, if ever any shall."""
        if self._presence is not None:
            await self._presence.wait()

    def lead(self) -> None:
        """Lead what the workload publishes on the host to it."""
        for publish in self.plan.publish:
            port = self.seat.at_proxy(publish.port)
            self._around.published.lead(publish.name, self.seat.address, port)

    async def drain(self) -> None:
        """Let what is in flight to the workload end, once nobody sends any more."""
        for publish in self.plan.publish:
            self._around.published.hold(publish.name)
        if self.sidecar is not None:
            inbound = {self.sidecar.settings.ports.inbound, *self.seat.received.values()}
            if self.plan.gateway:
                inbound |= {self.seat.at_proxy(publish.port) for publish in self.plan.publish}
            await self.sidecar.drain(inbound)

    def _program_ended(self) -> None:
        """Take that the program ended by itself; it is started again."""
        if self.sidecar is not None:
            self.sidecar.application_ended()
        if self._announcing is not None:
            self.retract()
            self.announce()

    async def stop(self, *, at_once: bool = False) -> None:
        """End the application and the sidecar, give up the place.

        What is in flight ends before, unless the whole mesh is to end `at_once`.
        """
        self.retract()
        if not at_once:
            await self.drain()
        if self.application is not None:
            await self.application.stop()
        if self.sidecar is not None:
            await self.sidecar.stop(at_once=at_once)
        await self._nursery.close()
        if self._access_log is not None:
            self._access_log.close()
        site, self._site = self._site, None
        if site is not None and not at_once:  # else the place goes with the mesh
            await site.close()

    def differs(self, seated: Seated) -> bool:
        """Tell whether the workload must be started anew to be this one; else take what is new of it."""
        if self.seated.essence != seated.essence:
            return True
        self.seated, self.plan = seated, seated.plan
        self.lead()
        if self._presence is not None:
            self._presence.update(resources.entry_text(seated))
        return False

    @property
    def seat(self) -> Seat:
        """Return where it is reached."""
        return self.seated.seat

    @property
    def running(self) -> bool:
        """Return whether programs may be started in it."""
        return self._site is not None

    @property
    def enter(self) -> netns.Enter:
        """Return the door of its network, for this process."""
        assert self._site is not None
        return self._site.enter

    def place(self) -> Place:
        """Return where programs of this workload run."""
        assert self._site is not None
        return self._site.place()

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the variables of programs of this workload: its own over those of `base`, else ours."""
        assert self._site is not None
        found = {**(own_environment() if base is None else base), **self._site.variables()}
        ports = self._ports()
        if ports and not self.plan.gateway:
            found["HOST"] = self._site.host
            found["PORT"] = str(self.seat.at_program(ports[0].target))
        for port in ports[1:]:
            name = port.label.upper().replace("-", "_")
            found[f"PORT_{name}"] = str(self.seat.at_program(port.target))
        return found | dict(self.plan.program.environment if self.plan.program else ())

    def _ports(self) -> Sequence[PortSpec]:
        return self.seated.service.ports if self.seated.service else ()

    def _directory(self) -> Path:
        """Return where commands of probes run: where the program does."""
        program = self.plan.program
        return Path(program.directory) if program else self._around.state.directory

    def _beside(self, command: Command) -> "subprocess.Popen[bytes]":
        """Start the command of a probe as the program is: same namespaces, user and variables."""
        return programs.start(
            command.argv,
            self.place(),
            directory=str(command.directory),
            environment=self.environment(),
            streams=(None, command.stdout, command.stderr),
        )

    def _settings(self, site: Site) -> SidecarSettings:
        plan, seated, seat = self.plan, self.seated, self.seat
        plane = self._around.ground.plane
        metadata = {}
        if seated.shared or not plan.gateway:
            metadata["WORKLOAD_ENTRY"] = plan.name
        if seated.shared and plan.gateway:
            metadata |= {"RHUMB_BIND": site.listen, "UNPRIVILEGED_POD": "true"}
        return SidecarSettings(
            name=plan.name,
            namespace=plan.namespace,
            addresses=(seat.address,),
            discovery=Discovery(address=f"{plane.address}:{plane.secure}"),
            directory=self._around.state.directory / "proxies" / plan.id,
            workload=plan.workload,
            labels=seated.labels,
            service_account=plan.service_account,
            role=Role.ROUTER if plan.gateway else Role.SIDECAR,
            metadata=metadata,
            listen=site.listen,
            ports=seat.ports,
            capture=site.capture,
            own_resolver=not seated.shared,
            probe=_probe(plan.probe, seat),
        )


def _probe(found: ReadinessProbe | None, seat: Seat) -> Probe | None:
    """Return the agent's probe for one of the API: the same fields under the same names.

    Its port is one that the workload serves; the program may listen elsewhere.
    """
    if found is None:
        return None
    raw = msgspec.json.encode(found)
    probe: Probe = msgspec.json.decode(raw, type=Probe)
    moved = {
        name: msgspec.structs.replace(method, port=seat.at_program(method.port))
        for name in ("http_get", "tcp_socket", "grpc")
        if (method := getattr(probe, name)) is not None
    }
    return msgspec.structs.replace(probe, **moved)


async def row(member: Member) -> Json:
    """Return what `rhumb ps` shows of a workload, and more."""
    plan = member.plan
    found: Json = {
        "name": plan.name,
        "namespace": plan.namespace,
        "service": plan.service,
        "version": dict(plan.labels).get("version", ""),
        "address": member.seat.address,
        "ports": {str(port): found for port, found in member.seat.received.items()},
        "admin": member.seat.ports.admin,
        "gateway": plan.gateway,
        "application": member.application.state() if member.application else "",
        "ready": member.ready,
        "without_traffic": member.without_traffic,
        "publish": [
            {"address": p.address, "host_port": p.host_port, "port": p.port} for p in plan.publish
        ],
        "pids": _pids(member),
    }
    if member.sidecar is not None:
        proxy = await member.sidecar.status()
        found |= {"proxy": proxy.state, "proxy_ready": proxy.ready, "why": proxy.why}
        found["proxy_restarts"] = proxy.restarts
    return found


def _pids(member: Member) -> Json:
    return {
        "application": member.application.pid if member.application else None,
        "envoy": member.sidecar.envoy.pid if member.sidecar else None,
    }
