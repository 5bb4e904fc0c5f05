"""A ground without namespaces: proxies and programs share 127.0.0.1, each has ports of its own.

Nothing is captured: a program is in the mesh as far as it listens where it is told to, and calls
through the HTTP proxy, or at the addresses, that it is told of.
"""

import errno
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from rhumb.agent import netns
from rhumb.agent.process import Command, Launch
from rhumb.agent.settings import Capture, Ports, SidecarSettings
from rhumb.base.errors import RhumbError
from rhumb.local import programs
from rhumb.local.ground import Door, Plane, Seat
from rhumb.local.processes import MARK
from rhumb.local.programs import Place
from rhumb.local.topology import ServicePlan, WorkloadPlan
from rhumb.model.proxy import Interception

ADDRESS = "127.0.0.1"
FIRST, LAST = 20000, 32000
"""Ports are taken from here: above what servers use, below what systems give to callers."""
BLOCK = 1000
NO_PROXY = "localhost,127.0.0.1,::1"
_UNPRIVILEGED = 1024
_DOORS = 100
"""Second byte of the addresses of doors, of the first block; each further one has the next."""

LOST = (
    "this mesh captures nothing. What that means (docs/local-mesh.md says more):",
    "- a program must listen on $HOST:$PORT, and call HTTP services through $HTTP_PROXY",
    "  (most libraries do) and TCP services at $NAME_SERVICE_HOST:$NAME_SERVICE_PORT;",
    "- a call that passes these by is outside the mesh: no routing, no mutual TLS,",
    "  and mesh names do not resolve;",
    "- all programs share this machine's network: its other users can reach their ports;",
    "- for workloads, Sidecar objects, portLevelMtls and `outside: false` have no effect.",
)
"""What people are told when a mesh runs like this."""


class Block:
    """A range of ports that belongs to one mesh of this machine for as long as it holds it."""

    def __init__(self) -> None:
        """Claim the first block that no other mesh has. Raises RhumbError when all are taken."""
        for number, first in enumerate(range(FIRST, LAST, BLOCK)):
            mark = _bound(first)
            if mark is not None:
                self._mark = mark  # held, never listened on: it goes with this process
                self.number = number
                self._ports = range(first + 1, first + BLOCK)
                self._given: set[int] = set()
                self._claims: dict[int, socket.socket] = {}
                return
        raise RhumbError(
            f"no ports are left between {FIRST} and {LAST}",
            hint="end other meshes with `rhumb down`",
        )

    def close(self) -> None:
        """Let another mesh have it."""
        self._mark.close()
        self.give_back(list(self._claims))

    def take(self, wish: int = 0) -> int:
        """Return a port that nobody listens on: the wish if it is one. Raises RhumbError when there is none."""
        wished = [wish] if wish >= _UNPRIVILEGED and self._claim(wish) else []
        for port in chain(wished, self._ports):
            if port in self._given:
                continue
            found = _bound(port, waiting=True)
            if found is None:
                continue
            found.close()
            self._given.add(port)
            return port
        raise RhumbError(
            f"no ports are left between {self._ports.start} and {self._ports.stop}",
            hint="run fewer workloads in one mesh, or allow namespaces",
        )

    def give_back(self, ports: Iterable[int]) -> None:
        """Let ports be taken again."""
        for port in ports:
            self._given.discard(port)
            claim = self._claims.pop(port, None)
            if claim is not None:
                claim.close()

    def _claim(self, port: int) -> bool:
        """Tell other meshes that a port outside the block is ours, until programs listen; False: another has."""
        if port in self._claims:
            return True
        claim = socket.socket(socket.AF_UNIX)
        if sys.platform == "linux":  # elsewhere there are no names that go with their socket
            try:
                claim.bind(f"\0rhumb-port-{port}")
            except OSError:
                claim.close()
                return False
        self._claims[port] = claim
        return True


def _bound(port: int, *, waiting: bool = False) -> socket.socket | None:
    """Return a socket with this port; None when somebody has it, at this or at every address.

    `waiting`: connections that have ended, and wait for stragglers, do not count.
    """
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, waiting)
    try:
        made.bind((ADDRESS, port))
    except OSError as error:
        made.close()
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        return None
    return made


class Loopback:
    """Gives each workload ports on 127.0.0.1."""

    shared = True
    forward = None

    def __init__(self, mark: str) -> None:
        """Take what all processes of this mesh are known by."""
        self._mark = mark
        self._block = Block()
        self.plane = Plane(
            address=ADDRESS,
            secure=self._block.take(),
            xds=-1,  # not for everybody on this machine
            monitoring=self._block.take(),
        )
        self._seats: dict[str, Seat] = {}
        self._workloads: dict[str, int] = {}
        self._services: dict[str, int] = {}

    async def set_up(self) -> None:
        """Do nothing: loopback is there."""

    def close(self) -> None:
        """Let another mesh have all that was allotted here."""
        self._block.close()

    def allow_outside(self, allowed: bool) -> None:
        """Do nothing: programs are in this machine's network."""

    def seat(self, plan: WorkloadPlan, service: ServicePlan | None) -> Seat:
        """Return ports for all that the workload serves, its proxy and its agent."""
        served = _served(plan, service)
        found = self._seats.get(plan.id)
        if found is not None and set(found.received) == served:
            return found
        self.release(plan.id)
        take = self._block.take
        made = Seat(
            address=ADDRESS,
            ports=Ports(admin=take(), agent=take(), ready=take(), prometheus=take()),
            received={port: take() for port in sorted(served)},
            # Programs that do not ask for their port get the one they expect, if nobody has it.
            listening={} if plan.gateway else {port: take(port) for port in sorted(served)},
            proxy=0 if plan.gateway else take(),
        )
        self._seats[plan.id] = made
        return made

    def release(self, workload: str) -> None:
        """Let the ports be given again."""
        found = self._seats.pop(workload, None)
        if found is not None:
            self._block.give_back(_ports(found))

    def doors(self, plan: WorkloadPlan, services: Iterable[ServicePlan]) -> tuple[Door, ...]:
        """Return an address of 127/8 for each service that speaks other than HTTP.

        None where the system has a single loopback address (macOS), or so many are not to be had.
        """
        if sys.platform != "linux" or plan.gateway:
            return ()
        found = []
        second = _DOORS + self._block.number
        third = self._workloads.setdefault(plan.id, len(self._workloads))
        for service in services:
            ports = tuple(port for port in service.ports if not port.spoken.is_http)
            if not ports:
                continue
            last = self._services.setdefault(service.id, len(self._services) + 1)
            if third < 256 and last < 255:
                address = f"127.{second}.{third}.{last}"
                found.append(Door(service=service, address=address, ports=ports))
        return tuple(found)

    async def open(self, plan: WorkloadPlan, seat: Seat, doors: Iterable[Door]) -> "LoopbackSite":
        """Return the place; nothing is to be made."""
        return LoopbackSite(plan, seat, doors, self._mark)


def _served(plan: WorkloadPlan, service: ServicePlan | None) -> set[int]:
    if plan.gateway:
        return {publish.port for publish in plan.publish}
    return {port.target for port in service.ports} if service else set()


def _ports(seat: Seat) -> Iterator[int]:
    own = seat.ports
    yield from (own.admin, own.agent, own.ready, own.prometheus)
    yield from seat.received.values()
    yield from seat.listening.values()
    yield seat.proxy


class LoopbackSite:
    """A workload among others."""

    enter = staticmethod(netns.here)
    capture = Capture(mode=Interception.NONE, dns=False)
    listen = ADDRESS
    host = ADDRESS

    def __init__(self, plan: WorkloadPlan, seat: Seat, doors: Iterable[Door], mark: str) -> None:
        self._seat = seat
        # Of two services with one name the workload's own namespace's is meant.
        self._doors = sorted(doors, key=lambda door: door.service.namespace == plan.namespace)
        self._mark = mark
        self.launch: Launch = self._launch

    def place(self) -> Place:
        """Return here."""
        return Place()

    async def redirect(self, settings: SidecarSettings) -> None:
        """Do nothing: that takes a network of one's own."""

    def variables(self) -> Mapping[str, str]:
        """Return the ways into the mesh, in the spellings that programs look for."""
        found = {MARK: self._mark}
        if self._seat.proxy:
            proxy = f"http://{ADDRESS}:{self._seat.proxy}"
            found |= {"HTTP_PROXY": proxy, "http_proxy": proxy}
            found |= {"NO_PROXY": NO_PROXY, "no_proxy": NO_PROXY}
        for door in self._doors:
            name = door.service.name.upper().replace("-", "_")
            found[f"{name}_SERVICE_HOST"] = door.address  # as Kubernetes names them
            found[f"{name}_SERVICE_PORT"] = str(door.ports[0].port)
        return found

    async def close(self) -> None:
        """Do nothing: the ports stay the workload's."""

    def _launch(self, command: Command) -> subprocess.Popen[bytes]:
        """Start a proxy that ends with us: no process namespace would end it."""
        return programs.start(
            command.argv,
            self.place(),
            directory=str(command.directory),
            environment={**(command.environment or {}), MARK: self._mark},
            streams=(None, command.stdout, command.stderr),
        )
