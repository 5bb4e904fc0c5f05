"""What one view may see: the Sidecar that selects it, or everything that is exported to its namespace."""

from collections.abc import Iterable

import msgspec

from rhumb.base import hosts
from rhumb.model.endpoint import Labels
from rhumb.model.kinds import sidecar as kind
from rhumb.model.proxy import Interception, Role
from rhumb.model.resource import Key, Resource
from rhumb.model.service import Registry, Resolution, Service
from rhumb.registry.workloads import pairs, selects
from rhumb.snapshot.imports import Imports, destinations
from rhumb.snapshot.routes import Routes
from rhumb.snapshot.seen import NOBODY, Seen, choose
from rhumb.snapshot.snapshot import EgressListener, Mesh, Routing, Scope
from rhumb.snapshot.view import View

HTTP_PROXY = "HTTP_PROXY"


class Sidecars:
    """The Sidecars of the mesh: one that selects, then the namespace's, then the root namespace's."""

    def __init__(self, resources: Iterable[Resource], root: str) -> None:
        self._root = root
        self._wide: dict[str, Resource] = {}
        self._selecting: dict[str, list[tuple[Labels, Resource]]] = {}
        for resource in sorted(resources, key=lambda r: r.age_key):
            spec = resource.spec
            assert isinstance(spec, kind.Sidecar)
            namespace, selector = resource.meta.namespace, spec.workload_selector
            if selector is not None and selector.labels:
                self._selecting.setdefault(namespace, []).append((pairs(selector.labels), resource))
            else:
                self._wide.setdefault(namespace, resource)

    def of(self, namespace: str, labels: Labels) -> Resource | None:
        """Return the Sidecar in force for a workload."""
        named = dict(labels)
        for selector, resource in self._selecting.get(namespace, ()):
            if selects(selector, named):
                return resource
        return self._wide.get(namespace) or self._wide.get(self._root)


ScopeKey = tuple[bool, str, Key | None, Interception]


class Differing(msgspec.Struct, frozen=True, eq=False):
    """What came, went or is not as it was: the old and the new of each."""

    services: tuple[Service, ...]
    routing: tuple[Routing, ...]


class _Made(msgspec.Struct, frozen=True, eq=False):
    """A scope, and what can bring something into it."""

    scope: Scope
    imports: tuple[Imports, ...]
    """Of a Sidecar's egress listeners; empty: everything comes in."""
    implied: frozenset[str]
    """Hosts that its VirtualServices send to."""
    delegates: bool
    """Its VirtualServices have rules of others."""

    def touched(self, differing: Differing) -> bool:
        """Tell whether the scope may be another one."""
        if not self.imports:
            return True
        return any(
            service.hostname in self.implied
            or any(one.service(service.namespace, service.hostname) for one in self.imports)
            for service in differing.services
        ) or any(
            (self.delegates and not routing.spec.hosts)
            or any(one.routing(routing) for one in self.imports)
            for routing in differing.routing
        )


class Scopes:
    """Builds scopes from the services and VirtualServices of one snapshot; equal ones once."""

    def __init__(self, seen: Seen, routes: Routes, sidecars: Sidecars, mesh: Mesh) -> None:
        self._seen = seen
        self._routes = routes
        self._sidecars = sidecars
        self._mesh = mesh
        self._made: dict[ScopeKey, _Made] = {}

    def following(self, seen: Seen, routes: Routes, differing: Differing) -> "Scopes":
        """Return the scopes after services and VirtualServices changed; those they do not reach are the same."""
        following = Scopes(seen, routes, self._sidecars, self._mesh)
        following._made = {k: m for k, m in self._made.items() if not m.touched(differing)}
        return following

    def scope(self, view: View) -> Scope:
        """Return what the view may see; routers ignore Sidecars."""
        routed = view.role in (Role.ROUTER, Role.WAYPOINT)
        sidecar = None if routed else self._sidecars.of(view.namespace, view.labels)
        key = (routed, view.namespace, sidecar.key if sidecar else None, view.interception)
        found = self._made.get(key)
        if found is None:
            if sidecar is None and self._sees_what_is_public(view.namespace):
                found = self._public(view, key)
            else:
                found = self._note(view, self._make(view, sidecar))
            self._made[key] = found
        return found.scope

    def _public(self, view: View, key: ScopeKey) -> "_Made":
        """Return the one scope of all namespaces that see nothing but what is public."""
        public = (key[0], NOBODY, None, view.interception)
        found = self._made.get(public)
        if found is None:
            found = self._made[public] = self._note(view, self._make(view, None))
        return found

    def _sees_what_is_public(self, namespace: str) -> bool:
        seen, routes = self._seen, self._routes
        return seen.chosen(namespace) is seen.chosen(NOBODY) and routes.of_mesh(
            namespace
        ) is routes.of_mesh(NOBODY)

    def _note(self, view: View, scope: Scope) -> _Made:
        egress = scope.spec.egress if scope.spec is not None else ()
        imports = tuple(Imports(one.hosts, view.namespace) for one in egress)
        routing = [r for listener in scope.egress for r in listener.routing] if imports else []
        implied: set[str] = set()
        for each in routing:
            implied |= destinations(each, view.namespace, self._routes.delegate).keys()
        delegates = any(rule.delegate is not None for r in routing for rule in r.spec.http)
        return _Made(scope, imports, frozenset(implied), delegates)

    def _make(self, view: View, sidecar: Resource | None) -> Scope:
        spec = sidecar.spec if sidecar is not None else None
        assert spec is None or isinstance(spec, kind.Sidecar)
        listeners: tuple[EgressListener, ...]
        if spec is None or not spec.egress:
            listeners = (self._everything(view),)
            services = listeners[0].services
        else:
            listeners = tuple(self._listener(view, one) for one in spec.egress)
            services = self._together(view.namespace, spec.egress, listeners)
        allow_any, proxy = self._outbound(spec, view.namespace)
        own = spec.outbound_traffic_policy if spec is not None else None
        # Nothing was captured, so the host is all that tells where a request was to go.
        uncaptured = view.interception is Interception.NONE and allow_any and not proxy[0]
        # The agent of a sidecar shares its scope, whoever comes first.
        dynamic = view.role in (Role.SIDECAR, Role.AGENT) and (
            uncaptured or (self._mesh.outbound_dynamic_dns and own is None)
        )
        return Scope(
            services=services,
            egress=listeners,
            sidecar=sidecar,
            spec=spec,
            outbound_allow_any=allow_any,
            dynamic_dns=dynamic,
            resolves_names=(
                dynamic or any(s.resolution is Resolution.DYNAMIC_DNS for s in services)
            ),
            egress_proxy=proxy,
            by_host={s.hostname: s for s in services},
            in_domain=self._seen.in_domain if services is self._seen.chosen(NOBODY) else {},
        )

    def _everything(self, view: View) -> EgressListener:
        return EgressListener(
            capture=view.interception is not Interception.NONE,
            services=self._seen.chosen(view.namespace),
            routing=self._routes.of_mesh(view.namespace),
        )

    def _listener(self, view: View, one: kind.EgressListener) -> EgressListener:
        viewer = view.namespace
        imports = Imports(one.hosts, viewer)
        services = []
        for host, group in sorted(self._seen.groups(viewer).items()):
            wanted = [
                fit
                for s in group
                if imports.service(s.namespace, host) and (fit := _with_port(s, one)) is not None
            ]
            if wanted:
                services.append(choose(wanted, viewer))
        port = one.port
        binds = one.capture_mode is kind.CaptureMode.NONE or view.interception is Interception.NONE
        return EgressListener(
            port=port.number if port else 0,
            protocol=port.protocol if port else "",
            name=port.name if port else "",
            bind=one.bind,
            capture=not binds,
            services=tuple(services),
            routing=tuple(r for r in self._routes.of_mesh(viewer) if imports.routing(r)),
        )

    def _together(
        self,
        viewer: str,
        specs: tuple[kind.EgressListener, ...],
        listeners: tuple[EgressListener, ...],
    ) -> tuple[Service, ...]:
        """Return the services of all listeners, and what their VirtualServices send to besides."""
        found: dict[str, Service] = {}
        for spec, listener in zip(specs, listeners, strict=True):
            for service in listener.services:
                _add(found, service)
            for routing in listener.routing:
                for service in self._implied(viewer, routing, spec):
                    _add(found, service)
        return tuple(found[host] for host in sorted(found))

    def _implied(
        self, viewer: str, routing: Routing, listener: kind.EgressListener
    ) -> Iterable[Service]:
        groups = self._seen.groups(viewer)
        wanted = destinations(routing, viewer, self._routes.delegate)
        for host, ports in sorted(wanted.items()):
            if host not in groups:
                continue
            service = choose(groups[host], viewer)
            if _matches_port(listener):
                fit = _with_port(service, listener)
            else:
                fit = service if 0 in ports else _narrowed(service, ports)
            if fit is not None:
                yield fit

    def _outbound(
        self, spec: kind.Sidecar | None, namespace: str
    ) -> tuple[bool, tuple[str, int, str]]:
        policy = spec.outbound_traffic_policy if spec is not None else None
        if policy is None:
            return self._mesh.outbound_allow_any, ("", 0, "")
        allow_any = policy.mode is kind.OutboundTrafficMode.ALLOW_ANY
        proxy = policy.egress_proxy
        if proxy is None:
            return allow_any, ("", 0, "")
        host = hosts.fqdn(proxy.host, namespace, self._mesh.domain)
        return allow_any, (host, proxy.port.number if proxy.port else 0, proxy.subset)


def _matches_port(listener: kind.EgressListener) -> bool:
    """Tell whether a listener serves one port only: not without a port, nor as an HTTP proxy."""
    port = listener.port
    return port is not None and bool(port.number) and port.protocol.upper() != HTTP_PROXY


def _with_port(service: Service, listener: kind.EgressListener) -> Service | None:
    """Return the service as the listener serves it, None when it lacks the listener's port."""
    if not _matches_port(listener) or listener.port is None:
        return service
    return _narrowed(service, {listener.port.number})


def _narrowed(service: Service, ports: set[int]) -> Service | None:
    kept = tuple(p for p in service.ports if p.number in ports)
    if not kept:
        return None
    return service if kept == service.ports else msgspec.structs.replace(service, ports=kept)


def _add(found: dict[str, Service], service: Service) -> None:
    """Add a service, or the ports that an earlier listener left out of it.

    Of two services with one host the first stays, but Kubernetes' own displaces a ServiceEntry.
    """
    known = found.get(service.hostname)
    if known is None:
        found[service.hostname] = service
    elif known.namespace == service.namespace:
        numbers = {p.number for p in known.ports}
        more = tuple(p for p in service.ports if p.number not in numbers)
        if more:
            ports = tuple(sorted((*known.ports, *more), key=lambda p: p.number))
            found[service.hostname] = msgspec.structs.replace(known, ports=ports)
    elif known.registry is not Registry.KUBERNETES and service.registry is Registry.KUBERNETES:
        found[service.hostname] = service
