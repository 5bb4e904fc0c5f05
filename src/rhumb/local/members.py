"""One workload of a running local mesh: namespace, sidecar, application, published ports."""

import logging
import socket
import subprocess
from pathlib import Path

import msgspec

from rhumb.agent import netns, redirect, redirect_apply
from rhumb.agent.health import commands
from rhumb.agent.process import Command
from rhumb.agent.run import Sidecar
from rhumb.agent.settings import Capture, Discovery, Probe, SidecarSettings
from rhumb.base.files import write_atomic
from rhumb.base.tasks import Nursery
from rhumb.local import network, programs
from rhumb.local.programs import Application, Place, environment_of, own_environment
from rhumb.local.relay import Relay
from rhumb.local.state import State
from rhumb.local.topology import ServicePlan, WorkloadPlan
from rhumb.model.kinds.workload_group import ReadinessProbe
from rhumb.model.proxy import Interception, Role

_log = logging.getLogger(__name__)

CONTROL_PORT = 15012


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What all workloads of a mesh share."""

    state: State
    envoy: Path
    roots: str
    uid: int
    gid: int
    domain: str = "cluster.local"


class Member:
    """Starts and stops one workload."""

    def __init__(
        self,
        plan: WorkloadPlan,
        service: ServicePlan | None,
        address: str,
        around: Surroundings,
        token: str,
    ) -> None:
        self.plan = plan
        self.address = address
        self._service = service
        self._around = around
        self._token = token
        self._nursery = Nursery(f"workload/{plan.id}")
        self._namespace: network.Namespace | None = None
        self.sidecar: Sidecar | None = None
        self.application: Application | None = None
        self.ready = False

    async def start(self, sockets: dict[str, socket.socket]) -> None:
        """Bring the workload up; returns when its sidecar is ready.

        `sockets` are the host's listening sockets by ADDRESS:PORT. Raises OSError, NetlinkError.
        """
        self._namespace = network.add_workload(self.plan.id, self.address)
        settings = self._settings()
        rules = redirect.plan(settings)
        if rules:
            network.inside(self._namespace, lambda: redirect_apply.apply(rules))
        log = self._around.state.log(f"{self.plan.id}.proxy").open("ab")
        self.sidecar = Sidecar(
            settings,
            binary=self._around.envoy,
            roots=self._around.roots,
            join_token=self._token,
            enter=netns.inside(self._namespace.path),
            access_log=log.fileno(),
            run_command=commands(self._beside, self._directory()),
        )
        if self.plan.program is not None:
            self.application = Application(
                self.plan.program,
                self.place(),
                self.environment(),
                self._around.state.log(self.plan.id),
            )
            self._nursery.start("application", self.application.run())
        await self.sidecar.start()
        for publish in self.plan.publish:
            listening = sockets.get(f"{publish.address}:{publish.host_port}")
            if listening is not None:
                relay = Relay(listening, self.address, publish.port)
                self._nursery.start("relay", relay.run())
        await self.sidecar.wait_ready()
        self.ready = True

    async def stop(self) -> None:
        """End the application, drain the sidecar, let the namespace go."""
        if self.application is not None:
            await self.application.stop()
        if self.sidecar is not None:
            await self.sidecar.stop()
        await self._nursery.close()
        if self._namespace is not None:
            network.remove_workload(self._namespace)
            self._namespace = None

    @property
    def running(self) -> bool:
        """Return whether programs may be started in it."""
        return self._namespace is not None

    @property
    def path(self) -> str:
        """Return the path of its network namespace, for this process."""
        assert self._namespace is not None
        return self._namespace.path

    def place(self) -> Place:
        """Return where programs of this workload run."""
        assert self._namespace is not None
        return Place(
            netns=self._namespace.handle,
            mounts=self._mounts(),
            uid=self._around.uid,
            gid=self._around.gid,
        )

    def environment(self) -> dict[str, str]:
        """Return the variables of programs of this workload."""
        base = own_environment()
        if self.plan.program is None or self._service is None:
            return base
        port = self._service.ports[0]
        return environment_of(
            self.plan.program,
            base,
            "0.0.0.0",  # noqa: S104 - inside a namespace of its own
            port.target_port or port.port,
        )

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

    def _mounts(self) -> tuple[tuple[str, str], ...]:
        folder = self._around.state.directory / "etc" / self.plan.namespace
        domain, namespace = self._around.domain, self.plan.namespace
        search = f"{namespace}.svc.{domain} svc.{domain} {domain}"
        files = {
            "resolv.conf": f"nameserver {network.HUB}\nsearch {search}\noptions ndots:5\n",
            # The system's resolver daemons would answer from outside the mesh.
            "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
        }
        for name, text in files.items():
            path = folder / name
            if not path.exists():
                write_atomic(path, text)
        return tuple((str(folder / name), f"/etc/{name}") for name in files)

    def _settings(self) -> SidecarSettings:
        plan = self.plan
        return SidecarSettings(
            name=plan.name,
            namespace=plan.namespace,
            addresses=(self.address,),
            discovery=Discovery(address=f"{network.HUB}:{CONTROL_PORT}"),
            directory=self._around.state.directory / "proxies" / plan.id,
            workload=plan.workload,
            labels=plan.labels,
            service_account=plan.service_account,
            role=Role.ROUTER if plan.gateway else Role.SIDECAR,
            metadata={} if plan.gateway else {"WORKLOAD_ENTRY": plan.name},
            capture=Capture(
                mode=Interception.NONE if plan.gateway else Interception.REDIRECT,
                dns=not plan.gateway,
            ),
            probe=_probe(plan.probe),
        )


def _probe(found: ReadinessProbe | None) -> Probe | None:
    """Return the agent's probe for one of the API: the same fields under the same names."""
    if found is None:
        return None
    raw = msgspec.json.encode(found)
    probe: Probe = msgspec.json.decode(raw, type=Probe)
    return probe


def pids(member: Member) -> dict[str, int | None]:
    """Return the processes of a workload."""
    return {
        "application": member.application.pid if member.application else None,
        "envoy": member.sidecar.envoy.pid if member.sidecar else None,
    }
