"""What Istio's push context counts of a mesh (its pilot_* gauges): what is there but can't serve, and who lost."""

from collections.abc import Iterable, Iterator

from rhumb.model.endpoint import Health
from rhumb.model.proxy import Role
from rhumb.model.service import Resolution
from rhumb.snapshot.build import World
from rhumb.snapshot.view import View
from rhumb.translate import conflicts
from rhumb.translate.listeners import outbound
from rhumb.translate.perspective import Perspective

Gauge = tuple[str, str, dict[str, str], float]


class Conditions:
    """Counts anew only when the world, or who is served, is another one than at the last scrape."""

    def __init__(self) -> None:
        self._counted: tuple[int, frozenset[View]] | None = None
        self._gauges: tuple[Gauge, ...] = ()

    def gauges(self, world: World, served: frozenset[View]) -> tuple[Gauge, ...]:
        """Return (name, help, labels, value) of each condition, for the proxies that are served."""
        asked = world.version, served
        if asked != self._counted:
            self._counted, self._gauges = asked, tuple(_gauges(world, served))
        return self._gauges


def _gauges(world: World, served: Iterable[View]) -> Iterator[Gauge]:
    catalog = world.catalog
    empty = sum(
        service.resolution is Resolution.STATIC
        and not service.external_name
        and not catalog.endpoints.get(key)
        for key, service in catalog.services.items()
    )
    yield "pilot_eds_no_instances", "Services without any endpoint.", {}, empty
    ill = sum(
        endpoint.health is not Health.HEALTHY
        for endpoints in catalog.endpoints.values()
        for endpoint in endpoints
    )
    yield "pilot_endpoint_not_ready", "Endpoints that are known and not healthy.", {}, ill
    views = tuple(view for view in served if view.role is Role.SIDECAR)
    name = "pilot_conflict_outbound_listener_tcp_over_current_tcp"
    text = "TCP service ports whose address and port another service has."
    yield name, text, {}, _lost(world, views)
    text = "Service ports whose workloads take that port for another, older service."
    yield "pilot_conflict_inbound_listener", text, {}, _displaced(views)
    text = "Hosts that two VirtualServices of the mesh route."
    twice = {host for host, _, _ in conflicts.doubly_routed(world)}
    yield "pilot_vservice_dup_domain", text, {}, len(twice)
    text = "Hosts with a subset that two DestinationRules define."
    twice = {host for host, *_ in conflicts.doubly_defined(world)}
    yield "pilot_destrule_subsets", text, {}, len(twice)


def _displaced(served: Iterable[View]) -> int:
    """Count the service ports that have no chain of their own, each once, whatever workloads serve them."""
    lost: set[tuple[str, int]] = set()
    for view in served:
        first: dict[int, str] = {}
        for each in view.instances:
            if first.setdefault(each.target_port, each.hostname) != each.hostname:
                lost.add((each.hostname, each.port.number))
    return len(lost)


def _lost(world: World, served: Iterable[View]) -> int:
    """Count the ports that are not listened for, each once, whoever does not listen for them."""
    commons = {world.common(view) for view in served}
    return len(
        {
            (lost.place.service.hostname, lost.place.port.number)
            for view in commons
            for lost in outbound.conflicts(Perspective(world, view), world.scope(view).by_host)
        }
    )
