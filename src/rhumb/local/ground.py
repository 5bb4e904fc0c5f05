"""What a local mesh stands on: where its control plane is, and the place of each workload.

There are two: namespaces (`namespaces`), and loopback where those are not to be had (`loopback`).
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from rhumb.agent import netns
from rhumb.agent.dns import Forward
from rhumb.agent.process import Launch
from rhumb.agent.settings import Capture, Ports, SidecarSettings
from rhumb.base.errors import RhumbError
from rhumb.local.programs import Place
from rhumb.local.topology import PortSpec, ServicePlan, WorkloadPlan

DOMAIN = "cluster.local"
"""DNS domain of the mesh."""
NOTHING: Mapping[int, int] = {}
READY_S = 60.0
"""How long a workload may take until it is ready."""


class UnfitError(RhumbError):
    """This machine does not bear such a mesh."""


class Plane(msgspec.Struct, frozen=True, kw_only=True):
    """Where the control plane listens."""

    address: str
    secure: int = 15012
    xds: int = 15010
    """-1: no plaintext port."""
    monitoring: int = 15014
    """On 127.0.0.1."""

    @property
    def options(self) -> tuple[str, ...]:
        """Return what `rhumb serve` must be told."""
        return (
            f"--address={self.address}",
            f"--serving-address={self.address}",
            f"--secure-port={self.secure}",
            f"--xds-port={self.xds}",
            f"--monitoring-port={self.monitoring}",
        )


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """Where a workload is reached, and the ports that stand for those it would have alone."""

    address: str
    ports: Ports = Ports()
    """Of its proxy and agent."""
    received: Mapping[int, int] = NOTHING
    """Port that the workload serves -> port that its proxy takes it at; missing: the same."""
    listening: Mapping[int, int] = NOTHING
    """Port that the workload serves -> port that its program listens on; missing: the same."""
    proxy: int = 0
    """Port of the sidecar's HTTP proxy for its program; 0: traffic is captured."""

    def at_proxy(self, port: int) -> int:
        """Return the port where others reach a port of the workload."""
        return self.received.get(port, port)

    def at_program(self, port: int) -> int:
        """Return the port where the workload's program is to listen."""
        return self.listening.get(port, port)


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """An address where a workload's own proxy awaits calls to one service."""

    service: ServicePlan
    address: str
    ports: tuple[PortSpec, ...]
    """Those of the service that neither capture nor an HTTP proxy leads to."""


class Site(Protocol):
    """The place of one running workload."""

    @property
    def enter(self) -> netns.Enter:
        """Return the door of its network, for this process."""

    @property
    def launch(self) -> Launch | None:
        """Return what starts the proxy; None: as the agent does."""

    @property
    def capture(self) -> Capture:
        """Return what of its traffic is captured."""

    @property
    def listen(self) -> str:
        """Return the address of the agent's pages, and of a gateway's servers that name none."""

    @property
    def host(self) -> str:
        """Return the address that the program is to listen on."""

    def place(self) -> Place:
        """Return where programs of the workload run."""

    async def redirect(self, settings: SidecarSettings) -> None:
        """Lead the workload's traffic through its proxy, where that is possible."""

    def variables(self) -> Mapping[str, str]:
        """Return what programs must know of the place."""

    async def close(self) -> None:
        """Give the place up; nothing runs there any more."""


class Ground(Protocol):
    """What a mesh stands on."""

    @property
    def plane(self) -> Plane:
        """Return where the control plane is."""

    @property
    def shared(self) -> bool:
        """Tell whether workloads share an address: their ports are allotted, and Sidecars say which."""

    async def set_up(self) -> None:
        """Make it ready. Raises UnfitError."""

    @property
    def forward(self) -> Forward | None:
        """Return what asks for names outside the mesh; None where programs ask by themselves."""

    def allow_outside(self, allowed: bool) -> None:
        """Let workloads reach the network that this machine is in, or not, where that can be chosen."""

    def seat(self, plan: WorkloadPlan, service: ServicePlan | None) -> Seat:
        """Return the seat of a workload: the same one for as long as what it serves is the same.

        Raises RhumbError when there is no room.
        """

    def release(self, workload: str) -> None:
        """Take back the seat of a workload that does not return."""

    def doors(self, plan: WorkloadPlan, services: Iterable[ServicePlan]) -> tuple[Door, ...]:
        """Return a workload's doors: the same ones for as long as the services have such ports."""

    async def open(self, plan: WorkloadPlan, seat: Seat, doors: Iterable[Door]) -> Site:
        """Make a workload's place. Raises OSError, RhumbError."""
