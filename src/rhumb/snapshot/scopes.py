"""What one view may see: the Sidecar that selects it, or everything that is exported to its namespace."""

from collections.abc import Callable, Iterable, Sequence

from rhumb.base import hosts
from rhumb.model.endpoint import Labels
from rhumb.model.kinds import sidecar as kind
from rhumb.model.kinds.virtual_service import Destination
from rhumb.model.proxy import Interception, Role
from rhumb.model.resource import Resource
from rhumb.model.service import Registry, Service
from rhumb.registry.workloads import pairs, selects
from rhumb.snapshot.routes import Routes
from rhumb.snapshot.snapshot import EgressListener, Mesh, Routing, Scope
from rhumb.snapshot.view import View
from rhumb.snapshot.visible import exported


class Sidecars:
    """The Sidecars of the mesh: one that selects, then the namespace's, then the root namespace's."""

    def __init__(self, resources: Iterable[Resource], root: str) -> None:
        self._root = root
        self._wide: dict[str, Resource] = {}
        self._selecting: dict[str, list[Resource]] = {}
        for resource in resources:
            spec = resource.spec
            assert isinstance(spec, kind.Sidecar)
            if spec.workload_selector is not None and spec.workload_selector.labels:
                self._selecting.setdefault(resource.meta.namespace, []).append(resource)
            else:
                self._wide.setdefault(resource.meta.namespace, resource)

    def of(self, namespace: str, labels: Labels) -> Resource | None:
        """Return the Sidecar in force for a workload."""
        named = dict(labels)
        for resource in self._selecting.get(namespace, []):
            spec = resource.spec
            assert isinstance(spec, kind.Sidecar)
            assert spec.workload_selector is not None
            if selects(pairs(spec.workload_selector.labels), named):
                return resource
        return self._wide.get(namespace) or self._wide.get(self._root)


Services = Callable[[str], tuple[Service, ...]]


class Scopes:
    """Builds scopes from the services and VirtualServices of one snapshot."""

    def __init__(
        self,
        services: Sequence[tuple[Service, ...]],
        routes: Routes,
        sidecars: Sidecars,
        mesh: Mesh,
    ) -> None:
        self._services = services
        self._routes = routes
        self._sidecars = sidecars
        self._mesh = mesh

    def scope(self, view: View) -> Scope:
        """Return what the view may see; routers ignore Sidecars."""
        sidecar = (
            self._sidecars.of(view.namespace, view.labels) if view.role is Role.SIDECAR else None
        )
        spec = sidecar.spec if sidecar is not None else None
        assert spec is None or isinstance(spec, kind.Sidecar)
        listeners = self._listeners(view, spec)
        services = _once(listeners)
        allow_any, proxy = _outbound(spec, self._mesh)
        return Scope(
            services=services,
            egress=listeners,
            sidecar=sidecar,
            spec=spec,
            outbound_allow_any=allow_any,
            egress_proxy=proxy,
            by_host={s.hostname: s for s in services},
        )

    def _listeners(self, view: View, spec: kind.Sidecar | None) -> tuple[EgressListener, ...]:
        visible = self._visible(view.namespace)
        routing = self._routes.of_mesh(view.namespace)
        if spec is None or not spec.egress:
            return (EgressListener(services=visible, routing=routing),)
        return tuple(self._listener(view, one, routing) for one in spec.egress)

    def _listener(
        self, view: View, one: kind.EgressListener, routing: tuple[Routing, ...]
    ) -> EgressListener:
        imports = [_import(text, view.namespace) for text in one.hosts]
        chosen = self._imported(view.namespace, imports)
        kept = tuple(r for r in routing if _imports_routing(imports, r))
        destinations = {h for r in kept for h in _destinations(r)}
        more = self._destinations(view.namespace, destinations - {s.hostname for s in chosen})
        services = tuple(sorted((*chosen, *more), key=lambda s: s.hostname))
        port = one.port
        capture = one.capture_mode is not kind.CaptureMode.NONE
        return EgressListener(
            port=port.number if port else 0,
            protocol=port.protocol if port else "",
            name=port.name if port else "",
            bind=one.bind,
            capture=capture and view.interception is not Interception.NONE,
            services=_with_port(services, port.number) if port else services,
            routing=kept,
        )

    def _visible(self, namespace: str) -> tuple[Service, ...]:
        found = []
        for group in self._services:
            seen = [s for s in group if self._exported(s, namespace)]
            if seen:
                found.append(_choose(seen, namespace))
        return tuple(sorted(found, key=lambda s: s.hostname))

    def _exported(self, service: Service, viewer: str) -> bool:
        return exported(service.export_to, self._mesh.default_export_to, service.namespace, viewer)

    def _imported(self, viewer: str, imports: list["Import"]) -> list[Service]:
        found = []
        for group in self._services:
            seen = [
                s
                for s in group
                if self._exported(s, viewer) and _imports(imports, s.namespace, s.hostname)
            ]
            if seen:
                found.append(_choose(seen, viewer))
        return found

    def _destinations(self, viewer: str, wanted: set[str]) -> list[Service]:
        """Return services that an imported VirtualService sends to, though no host imports them."""
        found = []
        for group in self._services:
            if group and group[0].hostname in wanted:
                seen = [s for s in group if self._exported(s, viewer)]
                if seen:
                    found.append(_choose(seen, viewer))
        return found


Import = tuple[bool, str, str]
"""(excluded, namespace or "*", host pattern)."""


def _import(text: str, namespace: str) -> Import:
    ns, _, host = text.partition("/")
    if not host:
        ns, host = "*", ns
    if ns.startswith("~") and len(ns) > 1:
        return (True, ns[1:], host)
    return (False, namespace if ns == "." else ns, host)


def _imports(imports: list[Import], namespace: str, host: str) -> bool:
    if any(out and ns == namespace and hosts.covers(p, host) for out, ns, p in imports):
        return False
    return any(
        not out and ns in ("*", namespace) and hosts.covers(p, host) for out, ns, p in imports
    )


def _imports_routing(imports: list[Import], routing: Routing) -> bool:
    namespace = routing.resource.meta.namespace
    return any(
        not out and ns in ("*", namespace) and any(hosts.overlap(p, h) for h in routing.spec.hosts)
        for out, ns, p in imports
    )


def _destinations(routing: Routing) -> set[str]:
    spec = routing.spec
    found: list[Destination | None] = []
    for http in spec.http:
        found += [d.destination for d in http.route]
        found += [http.mirror, *(m.destination for m in http.mirrors)]
    for tls in spec.tls:
        found += [d.destination for d in tls.route]
    for tcp in spec.tcp:
        found += [d.destination for d in tcp.route]
    return {d.host for d in found if d is not None}


def _choose(group: Sequence[Service], viewer: str) -> Service:
    """Return one of several services with a host: the viewer's own, then Kubernetes', then the first."""
    return min(
        group,
        key=lambda s: (s.namespace != viewer, s.registry is not Registry.KUBERNETES),
    )


def _with_port(services: tuple[Service, ...], port: int) -> tuple[Service, ...]:
    """Return the services that an egress listener with a port can reach: those that have it.

    A listener port that no service has (a proxy port of the user's own) reaches them all.
    """
    with_it = tuple(s for s in services if s.port(port) is not None)
    return with_it or services


def _once(listeners: tuple[EgressListener, ...]) -> tuple[Service, ...]:
    found: dict[str, Service] = {}
    for listener in listeners:
        for service in listener.services:
            found.setdefault(service.hostname, service)
    return tuple(found[host] for host in sorted(found))


def _outbound(spec: kind.Sidecar | None, mesh: Mesh) -> tuple[bool, tuple[str, int, str]]:
    policy = spec.outbound_traffic_policy if spec is not None else None
    if policy is None:
        return mesh.outbound_allow_any, ("", 0, "")
    proxy = policy.egress_proxy
    where = (
        (proxy.host, proxy.port.number if proxy.port else 0, proxy.subset) if proxy else ("", 0, "")
    )
    return policy.mode is kind.OutboundTrafficMode.ALLOW_ANY, where
