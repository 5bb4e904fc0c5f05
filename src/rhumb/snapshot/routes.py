"""VirtualServices: made full, ordered, and found by gateway."""

from collections.abc import Iterable, Sequence

from rhumb.model.kinds.virtual_service import VirtualService
from rhumb.model.resource import Resource
from rhumb.snapshot import names
from rhumb.snapshot.snapshot import Routing
from rhumb.snapshot.visible import exported, privacy


class Routes:
    """The VirtualServices of the mesh (Istio: virtualServiceIndex).

    On sidecars the precedence is: namespace-private, then exported to some, then public; the oldest
    first in each. On gateways it is age alone.
    """

    def __init__(self, resources: Iterable[Resource], domain: str, default: Sequence[str]) -> None:
        self._default = default
        self._by_gateway: dict[str, list[Routing]] = {}
        self._delegates: dict[tuple[str, str], Routing] = {}
        for resource in resources:
            spec = resource.spec
            assert isinstance(spec, VirtualService)
            namespace = resource.meta.namespace
            full = names.virtual_service(spec, namespace, domain)
            routing = Routing(resource=resource, spec=full)
            if not spec.hosts:
                self._delegates[namespace, resource.meta.name] = routing
                continue
            for gateway in dict.fromkeys(full.gateways):
                self._by_gateway.setdefault(gateway, []).append(routing)

    def of_gateway(self, gateway: str, viewer: str) -> tuple[Routing, ...]:
        """Return what is bound to a gateway and visible to a namespace, oldest first."""
        return tuple(r for r in self._by_gateway.get(gateway, []) if self._visible(r, viewer))

    def of_mesh(self, viewer: str) -> tuple[Routing, ...]:
        """Return what sidecars of a namespace may see, in order of precedence."""
        found = self.of_gateway(names.MESH_GATEWAY, viewer)
        return tuple(sorted(found, key=self._privacy))  # stable: age decides within a level

    def delegate(self, namespace: str, name: str, root_namespace: str) -> Routing | None:
        """Return a delegate visible to its root's namespace."""
        found = self._delegates.get((namespace or root_namespace, name))
        return found if found is not None and self._visible(found, root_namespace) else None

    def _visible(self, routing: Routing, viewer: str) -> bool:
        home = routing.resource.meta.namespace
        return exported(routing.spec.export_to, self._default, home, viewer)

    def _privacy(self, routing: Routing) -> int:
        return privacy(routing.spec.export_to, self._default, routing.resource.meta.namespace)
