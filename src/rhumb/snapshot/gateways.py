"""Gateways: which routers serve them."""

from collections.abc import Iterable

from rhumb.model.endpoint import Labels
from rhumb.model.kinds.gateway import Gateway
from rhumb.model.resource import Resource
from rhumb.registry.workloads import pairs, selects
from rhumb.snapshot.snapshot import GatewayServers


class Gateways:
    """The Gateways of the mesh, oldest first, in whatever namespace they are."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self._all: list[tuple[Labels, GatewayServers]] = []
        for resource in sorted(resources, key=lambda r: r.age_key):
            spec = resource.spec
            assert isinstance(spec, Gateway)
            self._all.append((pairs(spec.selector), GatewayServers(resource=resource, spec=spec)))

    def of(self, labels: Labels) -> tuple[GatewayServers, ...]:
        """Return the Gateways that select a router; an empty selector selects all of them."""
        named = dict(labels)
        return tuple(servers for selector, servers in self._all if selects(selector, named))
