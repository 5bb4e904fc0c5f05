"""(previous, resources, changes) -> the next snapshot; what a change does not touch is shared."""

import msgspec

from rhumb.ir.bundle import NameTable
from rhumb.model.endpoint import Endpoint, Labels, Workload
from rhumb.model.finding import Finding
from rhumb.model.kinds.gateway import Gateway
from rhumb.model.kinds.table import CORE, MESH, NETWORKING, SECURITY
from rhumb.model.proxy import Proxy
from rhumb.model.resource import Changes, Resource, ResourceSet
from rhumb.model.service import Service
from rhumb.registry import join
from rhumb.registry.join import Catalog, ServiceKey
from rhumb.registry.workloads import pairs, selects
from rhumb.snapshot import affects, instances, secrets
from rhumb.snapshot.mesh import mesh as mesh_of
from rhumb.snapshot.name_table import name_table
from rhumb.snapshot.policies import PeerPolicies, Rules
from rhumb.snapshot.routes import Routes
from rhumb.snapshot.scopes import Scopes, Sidecars
from rhumb.snapshot.snapshot import (
    GatewayServers,
    Mesh,
    Mtls,
    Policy,
    Routing,
    Scope,
    SecretData,
)
from rhumb.snapshot.view import View


class Indexes(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One index for each kind of policy; rebuilt only when an object of the kind changed."""

    rules: Rules
    peers: PeerPolicies
    routes: Routes
    gateways: tuple[GatewayServers, ...]
    sidecars: Sidecars


class Memo(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Answers already given; carried over to the next snapshot where they still hold."""

    scopes: dict[object, Scope]
    policies: dict[object, Policy | None]


class World:
    """The concrete Snapshot: indexes over one ResourceSet, and memos that live as long as they hold."""

    def __init__(
        self,
        version: int,
        resources: ResourceSet,
        mesh: Mesh,
        catalog: Catalog,
        indexes: Indexes,
        memo: Memo,
        endpoint_changes: frozenset[ServiceKey] | None = None,
    ) -> None:
        self._version = version
        self.resources = resources
        self._mesh = mesh
        self.catalog = catalog
        self.indexes = indexes
        self.memo = memo
        self.endpoint_changes = endpoint_changes
        """Services whose endpoints alone differ from the previous snapshot; None: anything may."""
        self._scopes = Scopes(
            list(catalog.by_host.values()), indexes.routes, indexes.sidecars, mesh
        )
        self._by_address = _by_address(catalog)
        self._names: dict[int, NameTable] = {}

    @property
    def version(self) -> int:
        """Return a number that grows with each build."""
        return self._version

    @property
    def mesh(self) -> Mesh:
        """Return the mesh-wide settings."""
        return self._mesh

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return what objects say of each other: conflicts."""
        return self.catalog.findings

    def view(self, proxy: Proxy) -> View:
        """Return what matters of a proxy, with the service ports it serves."""
        return instances.view(proxy, self.catalog, self._by_address)

    def scope(self, view: View) -> Scope:
        """Return what the view may see."""
        key = (view.role, view.namespace, view.labels, view.interception)
        found = self.memo.scopes.get(key)
        if found is None:
            found = self.memo.scopes[key] = self._scopes.scope(view)
        return found

    def services(self, hostname: str) -> tuple[Service, ...]:
        """Return every service with this host name, in all namespaces."""
        return self.catalog.by_host.get(hostname, ())

    def endpoints(self, service: Service) -> tuple[Endpoint, ...]:
        """Return the endpoints of all ports, sorted."""
        return self.catalog.endpoints.get((service.hostname, service.namespace), ())

    def policy(self, view: View, service: Service) -> Policy | None:
        """Return the DestinationRule in force for a service."""
        key = (view.namespace, view.labels, service.hostname, service.namespace)
        if key not in self.memo.policies:
            self.memo.policies[key] = self.indexes.rules.lookup(
                service.hostname,
                view.namespace,
                view.labels,
                service.namespace,
                self._mesh.root_namespace,
            )
        return self.memo.policies[key]

    def mtls(self, namespace: str, labels: Labels, port: int) -> Mtls:
        """Return what a workload accepts on one of its ports."""
        for number, found in self.indexes.peers.ports(namespace, labels):
            if number == port:
                return found
        return self.indexes.peers.workload(namespace, labels)

    def port_mtls(self, namespace: str, labels: Labels) -> tuple[tuple[int, Mtls], ...]:
        """Return the ports with a portLevelMtls entry for this workload, sorted by port."""
        return self.indexes.peers.ports(namespace, labels)

    def gateways(self, view: View) -> tuple[GatewayServers, ...]:
        """Return the Gateways that select this router, oldest first."""
        labels = dict(view.labels)
        return tuple(g for g in self.indexes.gateways if selects(pairs(g.spec.selector), labels))

    def gateway_routing(self, view: View, gateway: str) -> tuple[Routing, ...]:
        """Return the VirtualServices bound to a gateway and visible to the view, oldest first."""
        return self.indexes.routes.of_gateway(gateway, view.namespace)

    def delegate(self, namespace: str, name: str, root_namespace: str) -> Routing | None:
        """Return a delegate VirtualService visible to the root's namespace."""
        return self.indexes.routes.delegate(namespace, name, root_namespace)

    def workload_at(self, address: str) -> Workload | None:
        """Return the workload that has this address."""
        return self.catalog.by_address.get(address)

    def secret(self, namespace: str, name: str) -> SecretData | None:
        """Return a TLS credential."""
        return secrets.secret(self.resources, namespace, name)

    def config_map(self, namespace: str, name: str) -> SecretData | None:
        """Return the CA in a ConfigMap."""
        return secrets.config_map(self.resources, namespace, name)

    def names(self, view: View) -> NameTable:
        """Return the DNS names that the view may see."""
        scope = self.scope(view)
        found = self._names.get(id(scope))
        if found is None:
            found = self._names[id(scope)] = name_table(scope, self.catalog)
        return found


_CATALOG_KINDS = {(CORE, "Service"), (NETWORKING, "ServiceEntry"), (NETWORKING, "WorkloadEntry")}
_POLICY_KINDS = {
    "rules": (NETWORKING, "DestinationRule"),
    "peers": (SECURITY, "PeerAuthentication"),
    "routes": (NETWORKING, "VirtualService"),
    "gateways": (NETWORKING, "Gateway"),
    "sidecars": (NETWORKING, "Sidecar"),
}


def build(previous: World, resources: ResourceSet, changes: Changes) -> World:
    """Return the snapshot of `resources`, sharing with `previous` what `changes` do not touch."""
    kinds = frozenset((key.group, key.kind) for key in changes.keys)
    if (MESH, "MeshConfig") in kinds:
        return _from_scratch(previous.version + 1, resources, mesh_of(resources))
    endpoint_changes: frozenset[ServiceKey] | None = None
    catalog = previous.catalog
    if affects.only_entries(changes):
        catalog, endpoint_changes = join.update_entries(catalog, resources, changes.keys)
    elif kinds & _CATALOG_KINDS:
        catalog = join.build(resources, previous.mesh.domain)
    indexes = _next_indexes(previous, resources, kinds)
    memo = _next_memo(previous, catalog, indexes)
    return World(
        previous.version + 1, resources, previous.mesh, catalog, indexes, memo, endpoint_changes
    )


def _from_scratch(version: int, resources: ResourceSet, mesh: Mesh) -> World:
    catalog = join.build(resources, mesh.domain)
    return World(version, resources, mesh, catalog, _indexes(resources, mesh), _no_memo())


def _no_memo() -> Memo:
    return Memo(scopes={}, policies={})


def _next_memo(previous: World, catalog: Catalog, indexes: Indexes) -> Memo:
    same = previous.catalog.services is catalog.services
    before = previous.indexes
    scopes = same and before.routes is indexes.routes and before.sidecars is indexes.sidecars
    return Memo(
        scopes=previous.memo.scopes if scopes else {},
        policies=previous.memo.policies if same and before.rules is indexes.rules else {},
    )


def _next_indexes(
    previous: World, resources: ResourceSet, kinds: frozenset[tuple[str, str]]
) -> Indexes:
    before = previous.indexes
    changed = {name for name, kind in _POLICY_KINDS.items() if kind in kinds}
    if not changed:
        return before
    mesh = previous.mesh
    return Indexes(
        rules=_rules(resources, mesh) if "rules" in changed else before.rules,
        peers=_peers(resources, mesh) if "peers" in changed else before.peers,
        routes=_routes(resources, mesh) if "routes" in changed else before.routes,
        gateways=_gateways(resources) if "gateways" in changed else before.gateways,
        sidecars=_sidecars(resources, mesh) if "sidecars" in changed else before.sidecars,
    )


def _indexes(resources: ResourceSet, mesh: Mesh) -> Indexes:
    return Indexes(
        rules=_rules(resources, mesh),
        peers=_peers(resources, mesh),
        routes=_routes(resources, mesh),
        gateways=_gateways(resources),
        sidecars=_sidecars(resources, mesh),
    )


def _rules(resources: ResourceSet, mesh: Mesh) -> Rules:
    found = resources.of(NETWORKING, "DestinationRule")
    return Rules(found, mesh.domain, mesh.destination_rule_export_to)


def _peers(resources: ResourceSet, mesh: Mesh) -> PeerPolicies:
    return PeerPolicies(resources.of(SECURITY, "PeerAuthentication"), mesh.root_namespace)


def _routes(resources: ResourceSet, mesh: Mesh) -> Routes:
    found = resources.of(NETWORKING, "VirtualService")
    return Routes(found, mesh.domain, mesh.virtual_service_export_to)


def _sidecars(resources: ResourceSet, mesh: Mesh) -> Sidecars:
    return Sidecars(resources.of(NETWORKING, "Sidecar"), mesh.root_namespace)


def _gateways(resources: ResourceSet) -> tuple[GatewayServers, ...]:
    return tuple(_gateway(resource) for resource in resources.of(NETWORKING, "Gateway"))


def _gateway(resource: Resource) -> GatewayServers:
    spec = resource.spec
    assert isinstance(spec, Gateway)
    return GatewayServers(resource=resource, spec=spec)


def _by_address(catalog: Catalog) -> dict[str, tuple[ServiceKey, ...]]:
    found: dict[str, dict[ServiceKey, None]] = {}
    for key, endpoints in catalog.endpoints.items():
        for endpoint in endpoints:
            found.setdefault(endpoint.address, {})[key] = None
    return {address: tuple(keys) for address, keys in found.items()}


EMPTY = _from_scratch(0, ResourceSet(), Mesh())
"""The world before anything is known."""
