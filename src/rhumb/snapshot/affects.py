"""What a change may touch, so that the rest is not even looked at."""

from collections.abc import Iterable

import msgspec

from rhumb.model.endpoint import Endpoint
from rhumb.model.kinds.table import CORE, DISCOVERY, MESH, NETWORKING, SECURITY
from rhumb.model.resource import Changes, Key
from rhumb.model.service import Resolution
from rhumb.registry.catalog import Catalog, ServiceKey, Touched
from rhumb.snapshot.reach import Reach
from rhumb.snapshot.snapshot import Scope
from rhumb.xds.types import XdsType

CDS, EDS, LDS, RDS, SDS, NDS = (
    XdsType.CDS,
    XdsType.EDS,
    XdsType.LDS,
    XdsType.RDS,
    XdsType.SDS,
    XdsType.NDS,
)
VHDS = XdsType.VHDS
ALL = frozenset({CDS, EDS, LDS, RDS, VHDS, SDS, NDS})

_TYPES: dict[tuple[str, str], frozenset[XdsType]] = {
    (CORE, "Secret"): frozenset({SDS, LDS, CDS}),
    (CORE, "ConfigMap"): frozenset({SDS, LDS, CDS}),
    (CORE, "Namespace"): frozenset(),
    (CORE, "ServiceAccount"): frozenset(),
    (NETWORKING, "WorkloadGroup"): frozenset(),
    (NETWORKING, "VirtualService"): ALL - {SDS, NDS},
    (NETWORKING, "DestinationRule"): frozenset({CDS, EDS, LDS, RDS}),
    (NETWORKING, "Gateway"): ALL - {NDS},
    (NETWORKING, "Sidecar"): ALL - {SDS},
    (NETWORKING, "EnvoyFilter"): frozenset({CDS, LDS, RDS, SDS, XdsType.ECDS, XdsType.STARTUP}),
    (NETWORKING, "ProxyConfig"): frozenset({XdsType.STARTUP}),
    (SECURITY, "PeerAuthentication"): frozenset({CDS, EDS, LDS}),
    (MESH, "MeshConfig"): ALL,
    # These are judged by what they did to services and endpoints.
    (CORE, "Pod"): frozenset(),
    (CORE, "Node"): frozenset(),
    (CORE, "Endpoints"): frozenset(),
    (DISCOVERY, "EndpointSlice"): frozenset(),
    (CORE, "Service"): frozenset(),
    (NETWORKING, "ServiceEntry"): frozenset(),
    (NETWORKING, "WorkloadEntry"): frozenset(),
}


_AT_HOME = frozenset(
    {
        *((CORE, kind) for kind in ("Service", "Pod", "Endpoints")),
        (DISCOVERY, "EndpointSlice"),
        *((NETWORKING, kind) for kind in ("ServiceEntry", "WorkloadEntry", "WorkloadGroup")),
    }
)
"""Kinds that make workloads of their own namespace another view."""
_SERVICES = frozenset({(CORE, "Service"), (NETWORKING, "ServiceEntry")})
_WORKLOADS = frozenset(
    {
        (CORE, "Pod"),
        (CORE, "Endpoints"),
        (DISCOVERY, "EndpointSlice"),
        (NETWORKING, "WorkloadEntry"),
    }
)
_OF_OTHERS = frozenset({(NETWORKING, "VirtualService"), (NETWORKING, "DestinationRule")})
"""Kinds that make none another view."""
Catalogs = tuple[Catalog, Catalog]
"""Before and after."""


class Impact(msgspec.Struct, frozen=True, kw_only=True):
    """What one build made different, or several in a row.

    It speaks of what proxies see of others. A proxy whose own View changed (its workload was
    registered, its ports changed) needs all of its configuration in any case.
    """

    keys: frozenset[Key] = frozenset()
    types: frozenset[XdsType] = frozenset()
    """Types that may come out different for some view."""
    wide: frozenset[XdsType] = frozenset()
    """Of these types any resource may differ; of the others those that are about `hostnames`."""
    services: frozenset[ServiceKey] = frozenset()
    """(hostname, namespace) of services that came, went or differ."""
    endpoints: frozenset[ServiceKey] = frozenset()
    """(hostname, namespace) of services whose endpoints differ."""
    rules: frozenset[str] = frozenset()
    """Host names whose DestinationRules differ."""
    is_full: bool = False
    """The settings of the mesh changed: nothing may be taken for equal."""

    @property
    def hostnames(self) -> frozenset[str]:
        """Return the host names of all services that differ in any way."""
        return frozenset(host for host, _ in self.services | self.endpoints) | self.rules

    @property
    def homes(self) -> frozenset[str] | None:
        """Return the namespaces whose workloads may be known, or serve, otherwise than before; None: all."""
        kinds = {(key.group, key.kind) for key in self.keys}
        if self.is_full or not kinds <= _AT_HOME | _OF_OTHERS:
            return None
        served = {namespace for _, namespace in self.services | self.endpoints}
        return frozenset(served | {k.namespace for k in self.keys if (k.group, k.kind) in _AT_HOME})

    def then(self, later: "Impact") -> "Impact":
        """Merge with what differs afterwards."""
        return Impact(
            keys=self.keys | later.keys,
            types=self.types | later.types,
            wide=self.wide | later.wide,
            services=self.services | later.services,
            endpoints=self.endpoints | later.endpoints,
            rules=self.rules | later.rules,
            is_full=self.is_full or later.is_full,
        )

    def matters(self, before: Scope, after: Scope) -> bool:
        """Tell whether a view with these scopes can see the change.

        Scopes are shared while they stay equal, so a new one says that something in it changed.
        """
        if self.is_full or self.wide or before is not after:
            return bool(self.types)
        return any(
            (found := after.service(host)) is not None and namespace in ("", found.namespace)
            for host, namespace in (*self.services, *self.endpoints, *((h, "") for h in self.rules))
        )

    def seen(self, before: Scope, after: Scope) -> frozenset[str]:
        """Return the hosts that are not as they were for a scope, in whatever way."""
        found = self._within(before, after)
        return found if before is after else found | _differing(before, after)

    def hosts(self, kind: XdsType, before: Scope, after: Scope) -> frozenset[str] | None:
        """Return the hosts whose clusters or endpoints may differ for a scope; None: any."""
        if self.is_full or kind in self.wide:
            return None
        found = self._within(before, after) if kind in self.types else frozenset[str]()
        return found if before is after else found | _differing(before, after)

    def _within(self, before: Scope, after: Scope) -> frozenset[str]:
        known, now = before.by_host, after.by_host
        return frozenset(host for host in self.hostnames if host in known or host in now)


EVERYTHING = Impact(types=ALL, wide=ALL, is_full=True)
"""Nothing is known of a change."""


def _differing(before: Scope, after: Scope) -> frozenset[str]:
    """Return the hosts that one scope has and the other has not, or otherwise."""
    old, new = before.by_host, after.by_host
    found = {h for h, s in new.items() if (was := old.get(h)) is not s and was != s}
    return frozenset(found.union(old.keys() - new.keys()))


def split(changes: Changes) -> tuple[Changes, Changes]:
    """Return the changes of workloads, which may go ahead, and the others.

    Workloads of services that come or go in the same moment stay with them.
    """
    if any((key.group, key.kind) in _SERVICES for key in changes.keys):
        return Changes(), changes
    ahead = frozenset(key for key in changes.keys if (key.group, key.kind) in _WORKLOADS)
    return (
        Changes(changes.added & ahead, changes.changed & ahead, changes.removed & ahead),
        Changes(changes.added - ahead, changes.changed - ahead, changes.removed - ahead),
    )


def types_of(key: Key) -> frozenset[XdsType]:
    """Return the types that a change of this object itself may alter; unknown kinds alter all."""
    return _TYPES.get((key.group, key.kind), ALL)


def impact(changes: Changes, reached: Reach, touched: Touched, catalogs: Catalogs) -> Impact:
    """Return what a build made different, given what its objects and the registries say."""
    types = set(reached.types)
    if touched.services:
        types |= ALL
    for service in touched.endpoints:
        types |= _of_endpoints(service, *catalogs)
    return Impact(
        keys=changes.keys,
        types=frozenset(types),
        wide=reached.wide,
        services=touched.services,
        endpoints=touched.endpoints,
        rules=reached.rules,
    )


def _of_endpoints(key: ServiceKey, before: Catalog, after: Catalog) -> frozenset[XdsType]:
    """Endpoints are EDS, unless clusters or listeners are made of them.

    DNS clusters carry their endpoints, a cluster of ORIGINAL_DST its mutual TLS, and every cluster the
    identities it accepts. Headless services listen on the addresses of their endpoints, each with
    the routes that it asks for, and answer with them in DNS.
    """
    service = after.services.get(key) or before.services.get(key)
    if service is None:
        return frozenset()
    found = {EDS}
    if service.headless:
        found |= {LDS, RDS, VHDS, NDS, CDS}
    old, new = before.endpoints.get(key, ()), after.endpoints.get(key, ())
    if service.resolution is not Resolution.STATIC or _identities(old) != _identities(new):
        found.add(CDS)
    return frozenset(found)


def _identities(endpoints: Iterable[Endpoint]) -> frozenset[tuple[str, str, bool]]:
    return frozenset((e.workload.namespace, e.workload.service_account, e.mtls) for e in endpoints)
