"""VirtualServices: made full, ordered, and found by gateway."""

import bisect
from collections.abc import Iterable, Mapping, Sequence

from rhumb.model.kinds.virtual_service import VirtualService
from rhumb.model.resource import Key, Resource
from rhumb.snapshot import names
from rhumb.snapshot.seen import NOBODY
from rhumb.snapshot.snapshot import Routing
from rhumb.snapshot.visible import exported, is_public, level, named


class Routes:
    """The VirtualServices of the mesh (Istio: virtualServiceIndex).

    Precedence for one viewer: namespace-private, then exported to some, then public; the oldest first
    in each.
    """

    def __init__(self, domain: str, default: Sequence[str]) -> None:
        self._domain = domain
        self._default = default
        self._by_key: dict[Key, Routing] = {}
        self._by_gateway: dict[str, list[Routing]] = {}
        """Oldest first."""
        self._delegates: dict[tuple[str, str], Routing] = {}
        self._sources: dict[Key, frozenset[str]] = {}
        """The namespaces for whose clients there are rules, of those that have any."""
        self._told: frozenset[str] = frozenset()
        """All of them."""
        self._narrow: dict[str, dict[str, list[Routing]]] = {}
        """What not everybody may see, by gateway and namespace, as far as that was asked."""
        self._seen: dict[tuple[str, str], tuple[Routing, ...]] = {}
        """What was asked of this very index: (gateway, viewer)."""

    def updated(self, changed: Mapping[Key, Resource | None]) -> "Routes":
        """Return the index after some VirtualServices changed (None: went); the rest is shared."""
        following = Routes(self._domain, self._default)
        following._by_key = dict(self._by_key)
        following._by_gateway = dict(self._by_gateway)
        following._delegates = dict(self._delegates)
        following._sources = dict(self._sources)
        touched: dict[str, list[Routing]] = {}
        for key, resource in changed.items():
            before = following._by_key.pop(key, None)
            following._sources.pop(key, None)
            if before is not None:
                following._remove(key, before, touched)
            if resource is not None:
                following._add(key, resource, touched)
        for gateway, bound in touched.items():
            if bound:
                following._by_gateway[gateway] = bound
            else:
                following._by_gateway.pop(gateway, None)
        following._told = frozenset().union(*following._sources.values())
        following._seen = {k: v for k, v in self._seen.items() if k[0] not in touched}
        following._narrow = {k: v for k, v in self._narrow.items() if k not in touched}
        return following

    def tells(self, source: str) -> bool:
        """Tell whether some rule is for the clients of this namespace (`sourceNamespace`)."""
        return source in self._told

    def _remove(self, key: Key, before: Routing, touched: dict[str, list[Routing]]) -> None:
        self._delegates.pop((key.namespace, key.name), None)
        for gateway in _gateways(before.spec):
            bound = self._bound(gateway, touched)
            touched[gateway] = [r for r in bound if r is not before]

    def _add(self, key: Key, resource: Resource, touched: dict[str, list[Routing]]) -> None:
        spec = resource.spec
        assert isinstance(spec, VirtualService)
        full = names.virtual_service(spec, key.namespace, self._domain)
        routing = self._by_key[key] = Routing(resource=resource, spec=full)
        if sources := _sources(spec):
            self._sources[key] = sources
        if not spec.hosts:
            self._delegates[key.namespace, key.name] = routing
            return
        for gateway in _gateways(full):
            bound = self._bound(gateway, touched)
            bisect.insort(bound, routing, key=lambda r: r.resource.age_key)

    def _bound(self, gateway: str, touched: dict[str, list[Routing]]) -> list[Routing]:
        if gateway not in touched:
            touched[gateway] = list(self._by_gateway.get(gateway, ()))
        return touched[gateway]

    def of_gateway(self, gateway: str, viewer: str) -> tuple[Routing, ...]:
        """Return what is bound to a gateway and visible to a namespace, in order of precedence.

        The very same for all namespaces that see nothing but what is public.
        """
        found = self._seen.get((gateway, viewer))
        if found is None:
            if viewer == NOBODY:
                found = self.ranked(self._by_gateway.get(gateway, ()), viewer)
            else:
                public = self.of_gateway(gateway, NOBODY)
                own = self.ranked(self._of_some(gateway).get(viewer, ()), viewer)
                found = own + public if own else public
            self._seen[gateway, viewer] = found
        return found

    def _of_some(self, gateway: str) -> Mapping[str, Sequence[Routing]]:
        found = self._narrow.get(gateway)
        if found is None:
            found = self._narrow[gateway] = {}
            for routing in self._by_gateway.get(gateway, ()):
                said, home = routing.spec.export_to, routing.resource.meta.namespace
                if not is_public(said, self._default):
                    for namespace in named(said, self._default, home):
                        found.setdefault(namespace, []).append(routing)
        return found

    def ranked(self, routing: Iterable[Routing], viewer: str) -> tuple[Routing, ...]:
        """Return those of some VirtualServices, the oldest first, that a namespace sees, by precedence."""
        seen = [r for r in routing if self._visible(r, viewer)]
        # Stable: age decides within a level.
        return tuple(sorted(seen, key=lambda r: self._level(r, viewer)))

    def get(self, key: Key) -> Routing | None:
        """Return a VirtualService."""
        return self._by_key.get(key)

    def all(self) -> Iterable[Routing]:
        """Return every VirtualService, in no order."""
        return self._by_key.values()

    def of_mesh(self, viewer: str) -> tuple[Routing, ...]:
        """Return what sidecars of a namespace may see, in order of precedence."""
        return self.of_gateway(names.MESH_GATEWAY, viewer)

    def delegate(self, namespace: str, name: str, root_namespace: str) -> Routing | None:
        """Return a delegate visible to its root's namespace."""
        found = self._delegates.get((namespace or root_namespace, name))
        return found if found is not None and self._visible(found, root_namespace) else None

    def _visible(self, routing: Routing, viewer: str) -> bool:
        home = routing.resource.meta.namespace
        return exported(routing.spec.export_to, self._default, home, viewer)

    def _level(self, routing: Routing, viewer: str) -> int:
        home = routing.resource.meta.namespace
        return level(routing.spec.export_to, self._default, home, viewer)


def _gateways(spec: VirtualService) -> Iterable[str]:
    return dict.fromkeys(spec.gateways) if spec.hosts else ()


def _sources(spec: VirtualService) -> frozenset[str]:
    said = [match.source_namespace for rule in spec.http for match in rule.match]
    said += [match.source_namespace for rule in spec.tls for match in rule.match]
    said += [match.source_namespace for rule in spec.tcp for match in rule.match]
    return frozenset(filter(None, said))
