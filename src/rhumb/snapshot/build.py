"""(previous, resources, changes) -> the next snapshot; what a change does not touch is shared."""

from collections.abc import Mapping

import msgspec

from rhumb.model.endpoint import Endpoint, Labels, Workload
from rhumb.model.finding import Finding
from rhumb.model.kinds.table import MESH, NETWORKING, SECURITY
from rhumb.model.proxy import Proxy, Role
from rhumb.model.resource import Changes, Key, Resource, ResourceSet
from rhumb.model.service import Service
from rhumb.registry import catalog as catalogs
from rhumb.registry import join
from rhumb.registry.catalog import Catalog
from rhumb.snapshot import affects, instances, secrets
from rhumb.snapshot.affects import Impact
from rhumb.snapshot.discovery import discovered
from rhumb.snapshot.envoy_filters import EnvoyFilters
from rhumb.snapshot.gateways import Gateways
from rhumb.snapshot.labels import MentionedLabels
from rhumb.snapshot.mesh import mesh as mesh_of
from rhumb.snapshot.peers import PeerPolicies
from rhumb.snapshot.policies import Rules
from rhumb.snapshot.proxy_configs import ProxyConfigs, ProxySettings
from rhumb.snapshot.reach import Reach, reach
from rhumb.snapshot.routes import Routes
from rhumb.snapshot.scopes import Differing, Scopes, Sidecars
from rhumb.snapshot.seen import NOBODY, Seen
from rhumb.snapshot.snapshot import GatewayServers, Mesh, Mtls, Policy, Routing, Scope, SecretData
from rhumb.snapshot.view import View

Known = tuple[ResourceSet, ResourceSet]
"""Before and after."""

HOME = "istio-system"
"""Namespace of the control plane, where MeshConfig is read; the root namespace unless it says otherwise."""


class Indexes(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What was read of each kind. They remember answers, which are the same for ever."""

    catalog: Catalog
    routes: Routes
    rules: Rules
    peers: PeerPolicies
    gateways: Gateways
    envoy_filters: EnvoyFilters
    proxy_configs: ProxyConfigs
    sidecars: Sidecars
    seen: Seen
    scopes: Scopes
    labels: MentionedLabels


class World:
    """The concrete Snapshot: indexes over one ResourceSet."""

    def __init__(
        self,
        version: int,
        resources: ResourceSet,
        home: str,
        mesh: Mesh,
        indexes: Indexes,
        impact: Impact,
    ) -> None:
        self._version = version
        self._home = home
        self._mesh = mesh
        self._indexes = indexes
        self.resources = resources
        self.impact = impact
        """What differs from the snapshot before."""
        self._public: dict[View, View] = {}

    @property
    def version(self) -> int:
        """Return a number that grows with each build."""
        return self._version

    @property
    def home(self) -> str:
        """Return the namespace of the control plane."""
        return self._home

    @property
    def mesh(self) -> Mesh:
        """Return the mesh-wide settings."""
        return self._mesh

    @property
    def indexes(self) -> Indexes:
        """Return the indexes, for the next build."""
        return self._indexes

    @property
    def catalog(self) -> Catalog:
        """Return what the registries know: every service, endpoint and workload."""
        return self._indexes.catalog

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return what objects say of each other: conflicts."""
        return self.catalog.findings

    def view(self, proxy: Proxy) -> View:
        """Return what matters of a proxy, with the service ports it serves."""
        found = instances.view(proxy, self.catalog, self._mesh.domain)
        patches = self._indexes.envoy_filters.of(found, proxy)
        if patches:
            found = msgspec.structs.replace(found, patches=patches)
        if found.role is not Role.SIDECAR:
            return found
        sidecar = self._indexes.sidecars.of(found.namespace, found.labels)
        return instances.addressed(found, proxy, sidecar)

    def common(self, view: View) -> View:
        """Return what a proxy's view of others may depend on, without what is the proxy's alone.

        Proxies for which it is equal (and then the same object) are sent the very same of everything
        that is not about themselves. Of their labels only those count that some object names.
        """
        return self._indexes.labels.common(view)

    def public(self, view: View) -> View:
        """Return the common view without its namespace where that makes no difference to what it sees.

        It makes one through exportTo, through rules that a namespace has for the services of others or
        that are for it alone, through its Sidecars, where a route is for its clients, and through other
        names of services (ExternalName). The short names of its own services are not looked at.
        """
        common = self.common(view)
        found = self._public.get(common)
        if found is None:
            found = self._public[common] = self._without_namespace(common)
        return found

    def nobodys(self, view: View) -> View:
        """Return the common view without its namespace: views for which it is equal differ by what they see.

        From the same services, policies and VirtualServices the same is made for all of them for whose
        clients there are no routes.
        """
        return self.common(msgspec.structs.replace(view, namespace=NOBODY))

    def tells(self, source: str) -> bool:
        """Tell whether routes ask for clients of this very namespace."""
        return self._indexes.routes.tells(source)

    def _without_namespace(self, common: View) -> View:
        rules, catalog = self._indexes.rules, self._indexes.catalog
        if (
            common.role not in (Role.SIDECAR, Role.AGENT)
            or self.tells(common.namespace)
            or not rules.are_as_public(common.namespace, catalog.by_host)
        ):
            return common
        nobodys = self.nobodys(common)
        scope = self.scope(common)
        # What a Sidecar lets in is never the same for two namespaces: "./*" means each one's own.
        if self.scope(nobodys) is not scope:
            return common
        # By short names of ExternalName services, listeners tell apart TLS that is for others.
        has_aliases = any(s.external_name in scope.by_host for s in scope.at_home(common))
        return common if has_aliases else nobodys

    def scope(self, view: View) -> Scope:
        """Return what the view may see; the very same value while nothing in it may have changed."""
        return self._indexes.scopes.scope(view)

    def services(self, hostname: str) -> tuple[Service, ...]:
        """Return every service with this host name, in all namespaces."""
        return self.catalog.by_host.get(hostname, ())

    def endpoints(self, service: Service) -> tuple[Endpoint, ...]:
        """Return the endpoints of all ports, sorted by address, port and service port; unhealthy ones too."""
        return self.catalog.endpoints.get((service.hostname, service.namespace), ())

    def policy(self, view: View, service: Service) -> Policy | None:
        """Return the DestinationRule in force for a service."""
        rules = self._indexes.rules
        return rules.lookup(service.hostname, view.namespace, view.labels, service.namespace)

    def mtls(self, namespace: str, labels: Labels, port: int) -> Mtls:
        """Return what a workload accepts on one of its ports."""
        return self._indexes.peers.mtls(namespace, labels, port)

    def port_mtls(self, namespace: str, labels: Labels) -> tuple[tuple[int, Mtls], ...]:
        """Return the ports with a portLevelMtls entry for this workload, sorted by port."""
        return self._indexes.peers.ports(namespace, labels)

    def gateways(self, view: View) -> tuple[GatewayServers, ...]:
        """Return the Gateways that select this router, oldest first; none for a sidecar."""
        return self._indexes.gateways.of(view.labels) if view.role is Role.ROUTER else ()

    def gateway_routing(self, view: View, gateway: str) -> tuple[Routing, ...]:
        """Return the VirtualServices bound to `NAMESPACE/NAME` and visible to the view, by precedence."""
        return self._indexes.routes.of_gateway(gateway, view.namespace)

    def delegate(self, namespace: str, name: str, root_namespace: str) -> Routing | None:
        """Return a delegate VirtualService visible to the root's namespace."""
        return self._indexes.routes.delegate(namespace, name, root_namespace)

    def envoy_filter(self, namespace: str, name: str) -> Resource | None:
        """Return an EnvoyFilter."""
        return self.resources.get(Key(NETWORKING, "EnvoyFilter", namespace, name))

    def proxy_settings(self, view: View) -> ProxySettings:
        """Return with what the proxy of a workload starts."""
        return self._indexes.proxy_configs.of(view.namespace, view.labels)

    def workload_at(self, address: str) -> Workload | None:
        """Return the workload that has this address."""
        return self.catalog.workload_at(address)

    def secret(self, namespace: str, name: str) -> SecretData | None:
        """Return a TLS credential."""
        return secrets.secret(self.resources, namespace, name)

    def config_map(self, namespace: str, name: str) -> SecretData | None:
        """Return the CA in a ConfigMap."""
        return secrets.config_map(self.resources, namespace, name)


def empty(home: str = HOME, domain: str = "cluster.local") -> World:
    """Return the snapshot of nothing, number 0: where every history starts.

    `domain` is the DNS domain of services (`NAME.NAMESPACE.svc.DOMAIN`).
    """
    resources = ResourceSet()
    mesh = mesh_of(resources, home, domain)
    return World(0, resources, home, mesh, _nothing(mesh), Impact())


def build(previous: World, resources: ResourceSet, changes: Changes) -> World:
    """Return the snapshot of `resources`, sharing with `previous` what `changes` do not touch.

    `changes` are the differences between `previous.resources` and `resources`.
    """
    mesh = previous.mesh
    if mesh.config.discovery_selectors or _is_of_mesh(changes):
        fresh = mesh_of(resources, previous.home, mesh.domain)
        if fresh.config.discovery_selectors:
            always = (previous.home, fresh.root_namespace)
            selectors = fresh.config.discovery_selectors
            return _rebuilt(previous, discovered(resources, selectors, always), changes, fresh)
        if fresh.config != mesh.config:
            return _rebuilt(previous, resources, changes, fresh)
    known = previous.resources, resources
    indexes, impact = _following(previous.indexes, mesh, known, changes)
    return World(previous.version + 1, resources, previous.home, mesh, indexes, impact)


def _is_of_mesh(changes: Changes) -> bool:
    return any((key.group, key.kind) == (MESH, "MeshConfig") for key in changes.keys)


def _rebuilt(previous: World, resources: ResourceSet, changes: Changes, mesh: Mesh) -> World:
    whole = Changes(added=frozenset(resources))
    indexes, found = _following(_nothing(mesh), mesh, (ResourceSet(), resources), whole)
    old, new = previous.catalog, indexes.catalog
    impact = Impact(
        keys=changes.keys,
        types=affects.ALL,
        wide=affects.ALL,
        services=found.services | frozenset(old.services),
        endpoints=frozenset(old.endpoints) | frozenset(new.endpoints),
        is_full=True,
    )
    return World(previous.version + 1, resources, previous.home, mesh, indexes, impact)


def _nothing(mesh: Mesh) -> Indexes:
    root = mesh.root_namespace
    routes = Routes(mesh.domain, mesh.virtual_service_export_to)
    sidecars = Sidecars((), root)
    seen = Seen({}, mesh.default_export_to)
    return Indexes(
        catalog=catalogs.EMPTY,
        routes=routes,
        rules=Rules(mesh.domain, root, mesh.destination_rule_export_to),
        peers=PeerPolicies((), root),
        gateways=Gateways(()),
        envoy_filters=EnvoyFilters((), root),
        proxy_configs=ProxyConfigs((), root, mesh.config),
        sidecars=sidecars,
        seen=seen,
        scopes=Scopes(seen, routes, sidecars, mesh),
        labels=MentionedLabels(),
    )


def _following(
    before: Indexes, mesh: Mesh, known: Known, changes: Changes
) -> tuple[Indexes, Impact]:
    resources = known[1]
    by_kind = _by_kind(resources, changes)

    def changed(group: str, kind: str) -> Mapping[Key, Resource | None]:
        return by_kind.get((group, kind), {})

    catalog, touched = join.update(before.catalog, resources, changes, mesh.domain)
    root = mesh.root_namespace
    virtual_services = changed(NETWORKING, "VirtualService")
    rules = changed(NETWORKING, "DestinationRule")
    routes = before.routes.updated(virtual_services) if virtual_services else before.routes
    peers, gateways, sidecars, seen = before.peers, before.gateways, before.sidecars, before.seen
    if changed(SECURITY, "PeerAuthentication"):
        peers = PeerPolicies(resources.of(SECURITY, "PeerAuthentication"), root)
    if changed(NETWORKING, "Gateway"):
        gateways = Gateways(resources.of(NETWORKING, "Gateway"))
    envoy_filters = before.envoy_filters
    if changed(NETWORKING, "EnvoyFilter"):
        envoy_filters = EnvoyFilters(resources.of(NETWORKING, "EnvoyFilter"), root)
    proxy_configs = before.proxy_configs
    if changed(NETWORKING, "ProxyConfig"):
        known_configs = resources.of(NETWORKING, "ProxyConfig")
        proxy_configs = ProxyConfigs(known_configs, root, mesh.config)
    if changed(NETWORKING, "Sidecar"):
        sidecars = Sidecars(resources.of(NETWORKING, "Sidecar"), root)
    if touched.services:
        seen = seen.following(catalog.by_host, (host for host, _ in touched.services))
    if sidecars is before.sidecars:
        old, new = before.catalog.services, catalog.services
        services = (by[key] for by in (old, new) for key in touched.services if key in by)
        found = (by.get(key) for by in (before.routes, routes) for key in virtual_services)
        differing = Differing(tuple(services), tuple(r for r in found if r is not None))
        scopes = before.scopes.following(seen, routes, differing)
    else:
        scopes = Scopes(seen, routes, sidecars, mesh)
    same = routes is before.routes and sidecars is before.sidecars and seen is before.seen
    indexes = Indexes(
        catalog=catalog,
        routes=routes,
        rules=before.rules.updated(rules) if rules else before.rules,
        peers=peers,
        gateways=gateways,
        envoy_filters=envoy_filters,
        proxy_configs=proxy_configs,
        sidecars=sidecars,
        seen=seen,
        scopes=before.scopes if same else scopes,
        labels=before.labels.updated({key: resources.get(key) for key in changes.keys}),
    )
    reached = _reach(known, changes, catalog, mesh.domain)
    return indexes, affects.impact(changes, reached, touched, (before.catalog, catalog))


def _reach(known: Known, changes: Changes, catalog: Catalog, domain: str) -> Reach:
    versions = {
        key: [found for resources in known if (found := resources.get(key)) is not None]
        for key in changes.keys
    }
    types = {key: affects.types_of(key) for key in changes.keys}
    return reach(versions, types, catalog.by_host, domain)


def _by_kind(
    resources: ResourceSet, changes: Changes
) -> dict[tuple[str, str], dict[Key, Resource | None]]:
    found: dict[tuple[str, str], dict[Key, Resource | None]] = {}
    for key in changes.keys:
        found.setdefault((key.group, key.kind), {})[key] = resources.get(key)
    return found
