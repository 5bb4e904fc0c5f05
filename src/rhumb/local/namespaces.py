"""A ground of namespaces: each workload has its own network, and its traffic is redirected."""

from collections.abc import Iterable, Mapping

from pyroute2.netlink.exceptions import NetlinkError

from rhumb.agent import netns, redirect, redirect_apply
from rhumb.agent.settings import Capture, Discovery, SidecarSettings
from rhumb.base.files import write_atomic
from rhumb.local import addresses, network
from rhumb.local.addresses import next_address
from rhumb.local.ground import DOMAIN, Door, Plane, Seat, UnfitError
from rhumb.local.programs import Place
from rhumb.local.state import State
from rhumb.local.topology import ServicePlan, WorkloadPlan
from rhumb.model.proxy import Interception


class Namespaces:
    """Gives each workload an address on the bridge."""

    shared = False

    def __init__(self, state: State, uid: int, gid: int) -> None:
        """Take the user that programs run as."""
        self.plane = Plane(address=addresses.HUB)
        self._state = state
        self._uid, self._gid = uid, gid
        self._seats: dict[str, Seat] = {}

    def set_up(self) -> None:
        """Make the bridge, and try on a namespace for nothing what each workload's will need."""
        try:
            network.set_up_hub()
            self._try_out()
        except (OSError, NetlinkError) as error:
            raise UnfitError(
                f"this machine's namespaces lack what a mesh needs: {error}"
            ) from error

    def _try_out(self) -> None:
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
        site = self.open(plan, seat, ())
        try:
            site.redirect(
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
            site.close()
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

    def open(self, plan: WorkloadPlan, seat: Seat, doors: Iterable[Door]) -> "NamespaceSite":
        """Make the namespace."""
        del doors
        made = network.add_workload(plan.id, seat.address)
        place = Place(netns=made.handle, mounts=self._mounts(plan), uid=self._uid, gid=self._gid)
        return NamespaceSite(made, place, gateway=plan.gateway)

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
    listen = "0.0.0.0"  # noqa: S104 - of a namespace of its own
    host = "0.0.0.0"  # noqa: S104 - as well

    def __init__(self, namespace: network.Namespace, place: Place, *, gateway: bool) -> None:
        self._namespace = namespace
        self._place = place
        self.enter = netns.inside(namespace.path)
        self.capture = Capture(
            mode=Interception.NONE if gateway else Interception.REDIRECT, dns=not gateway
        )

    def place(self) -> Place:
        """Return the namespaces that programs enter."""
        return self._place

    def redirect(self, settings: SidecarSettings) -> None:
        """Write the rules of nftables."""
        rules = redirect.plan(settings)
        if rules:
            network.inside(self._namespace, lambda: redirect_apply.apply(rules))

    def variables(self) -> Mapping[str, str]:
        """Return nothing: names and addresses are as everywhere."""
        return {}

    def close(self) -> None:
        """Let the namespace go."""
        network.remove_workload(self._namespace)
