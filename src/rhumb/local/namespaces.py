"""A ground of namespaces: each workload has its own network, and its traffic is redirected."""

import os
from collections.abc import Iterable, Mapping

from rhumb.agent import netns, redirect
from rhumb.agent.dns import Forward
from rhumb.agent.settings import Capture, Discovery, SidecarSettings
from rhumb.base.files import write_atomic
from rhumb.local import addresses
from rhumb.local.addresses import next_address
from rhumb.local.ground import DOMAIN, Door, Plane, Seat, UnfitError
from rhumb.local.network_client import Network, NetworkError
from rhumb.local.outside import RULES, Outside
from rhumb.local.programs import Place
from rhumb.local.state import State
from rhumb.local.topology import ServicePlan, WorkloadPlan
from rhumb.model.proxy import Interception


class Namespaces:
    """Gives each workload an address on the bridge."""

    shared = False

    def __init__(self, state: State, uid: int, gid: int, outside: Outside) -> None:
        """Take the user that programs run as, and the way out."""
        self.plane = Plane(address=addresses.HUB)
        self._state = state
        self._uid, self._gid = uid, gid
        self._seats: dict[str, Seat] = {}
        self._network = Network()
        self._outside = outside

    async def set_up(self) -> None:
        """Make the bridge, and try on a namespace for nothing what each workload's will need."""
        try:
            await self._network.set_up_hub()
            await self._network.redirect(RULES)
            self._outside.start()
            self._outside.serve()
            await self._try_out()
        except (OSError, NetworkError) as error:
            raise UnfitError(
                f"this machine's namespaces lack what a mesh needs: {error}"
            ) from error

    async def _try_out(self) -> None:
        """Write the rules of nftables once: the kernel may lack them."""
        plan = WorkloadPlan(
            name="trial",
            namespace="",
            workload="trial",
            service="",
            labels=(),
            service_account="",
        )
        seat = self.seat(plan, None)
        site = await self.open(plan, seat, ())
        try:
            await site.redirect(
                SidecarSettings(
                    name=plan.name,
                    namespace=plan.namespace,
                    addresses=(seat.address,),
                    discovery=Discovery(address=f"{self.plane.address}:{self.plane.secure}"),
                    directory=self._state.directory,
                    capture=site.capture,
                )
            )
        finally:
            await site.close()
            self.release(plan.id)

    def seat(self, plan: WorkloadPlan, service: ServicePlan | None) -> Seat:
        """Return the workload's address; all its ports are its own."""
        del service
        found = self._seats.get(plan.id)
        if found is None:
            taken = {seat.address for seat in self._seats.values()} | {addresses.HUB}
            found = self._seats[plan.id] = Seat(address=next_address(addresses.WORKLOADS, taken))
        return found

    def release(self, workload: str) -> None:
        """Let the address be given again."""
        self._seats.pop(workload, None)

    def doors(self, plan: WorkloadPlan, services: Iterable[ServicePlan]) -> tuple[Door, ...]:
        """Return none: what goes to a service is captured."""
        del plan, services
        return ()

    async def open(self, plan: WorkloadPlan, seat: Seat, doors: Iterable[Door]) -> "NamespaceSite":
        """Make the namespace."""
        del doors
        handle = await self._network.add(seat.address)
        place = Place(netns=handle, mounts=self._mounts(plan), uid=self._uid, gid=self._gid)
        return NamespaceSite(self._network, seat.address, handle, place, gateway=plan.gateway)

    @property
    def forward(self) -> Forward:
        """Return what asks the host's resolvers."""
        return self._outside.resolve

    def allow_outside(self, allowed: bool) -> None:
        """Let workloads reach the network that this machine is in, or not."""
        self._outside.allowed = allowed

    def _mounts(self, plan: WorkloadPlan) -> tuple[tuple[str, str], ...]:
        folder = self._state.directory / "etc" / plan.namespace
        search = f"{plan.namespace}.svc.{DOMAIN} svc.{DOMAIN} {DOMAIN}"
        files = {
            "resolv.conf": f"nameserver {addresses.HUB}\nsearch {search}\noptions ndots:5\n",
            # The system's resolver daemons would answer from outside the mesh.
            "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
        }
        for name, text in files.items():
            path = folder / name
            if not path.exists():
                write_atomic(path, text)
        return tuple((str(folder / name), f"/etc/{name}") for name in files)


class NamespaceSite:
    """One workload's namespace."""

    launch = None
    listen = host = "0.0.0.0"  # noqa: S104 - of a namespace of its own

    def __init__(
        self, network: Network, address: str, handle: int, place: Place, *, gateway: bool
    ) -> None:
        self._network = network
        self._address = address
        self._handle = handle
        self._place = place
        # A path that all threads of this process can open.
        self.enter = netns.inside(f"/proc/{os.getpid()}/fd/{handle}")
        self.capture = Capture(
            mode=Interception.NONE if gateway else Interception.REDIRECT, dns=not gateway
        )

    def place(self) -> Place:
        """Return the namespaces that programs enter."""
        return self._place

    async def redirect(self, settings: SidecarSettings) -> None:
        """Write the rules of nftables."""
        rules = redirect.plan(settings)
        if rules:
            await self._network.redirect(rules, self._handle)

    def variables(self) -> Mapping[str, str]:
        """Return nothing: names and addresses are as everywhere."""
        return {}

    async def close(self) -> None:
        """Let the namespace go; the kernel removes it some time after its last process has ended."""
        try:
            await self._network.remove(self._address)
        finally:
            os.close(self._handle)
