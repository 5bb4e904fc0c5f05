"""What a change may touch, so that the rest is not even looked at (istio-api.md 12)."""

from collections.abc import Iterable

import msgspec

from rhumb.model.endpoint import Endpoint
from rhumb.model.kinds.table import CORE, DISCOVERY, MESH, NETWORKING, SECURITY
from rhumb.model.resource import Changes, Key
from rhumb.model.service import Resolution
from rhumb.registry.catalog import Catalog, ServiceKey, Touched
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
ALL = frozenset({CDS, EDS, LDS, RDS, SDS, NDS})

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


class Impact(msgspec.Struct, frozen=True, kw_only=True):
    """What one build made different.

    It speaks of what proxies see of others. A proxy whose own View changed (its workload was
    registered, its ports changed) needs all of its configuration in any case.
    """

    keys: frozenset[Key] = frozenset()
    types: frozenset[XdsType] = frozenset()
    """Types that may come out different for some view."""
    services: frozenset[ServiceKey] = frozenset()
    """(hostname, namespace) of services that came, went or differ."""
    endpoints: frozenset[ServiceKey] = frozenset()
    """(hostname, namespace) of services whose endpoints differ."""
    is_full: bool = False
    """The settings of the mesh changed: nothing may be taken for equal."""

    @property
    def hostnames(self) -> frozenset[str]:
        """Return the host names of all services that differ in any way."""
        return frozenset(host for host, _ in self.services | self.endpoints)

    @property
    def is_endpoints_only(self) -> bool:
        """Tell whether nothing but endpoints differs: EDS for some clusters at most."""
        return not self.is_full and self.types <= {EDS}

    def matters(self, before: Scope, after: Scope) -> bool:
        """Tell whether a view with these scopes can see the change.

        Scopes are shared while they stay equal, so a new one says that something in it changed.
        """
        if self.is_full or before is not after:
            return bool(self.types)
        if self.types - {EDS, NDS} or not self.endpoints:
            return bool(self.types)
        return any(
            (found := after.service(host)) is not None and found.namespace == namespace
            for host, namespace in self.endpoints
        )


def types_of(key: Key) -> frozenset[XdsType]:
    """Return the types that a change of this object itself may alter; unknown kinds alter all."""
    return _TYPES.get((key.group, key.kind), ALL)


def impact(changes: Changes, touched: Touched, before: Catalog, after: Catalog) -> Impact:
    """Return what a build made different, given what the registries say."""
    found: set[XdsType] = set()
    for key in changes.keys:
        found |= types_of(key)
    if touched.services:
        found |= ALL - {SDS}
    for service in touched.endpoints:
        found |= _of_endpoints(service, before, after)
    return Impact(
        keys=changes.keys,
        types=frozenset(found),
        services=touched.services,
        endpoints=touched.endpoints,
    )


def _of_endpoints(key: ServiceKey, before: Catalog, after: Catalog) -> frozenset[XdsType]:
    """Endpoints are EDS, unless clusters or listeners are made of them.

    DNS clusters carry their endpoints, a cluster of ORIGINAL_DST its mutual TLS, and every cluster the
    identities it accepts. Headless services listen on the addresses of their endpoints, and
    answer with them in DNS.
    """
    service = after.services.get(key) or before.services.get(key)
    if service is None:
        return frozenset()
    found = {EDS}
    if service.headless:
        found |= {LDS, NDS, CDS}
    old, new = before.endpoints.get(key, ()), after.endpoints.get(key, ())
    if service.resolution is not Resolution.STATIC or _identities(old) != _identities(new):
        found.add(CDS)
    return frozenset(found)


def _identities(endpoints: Iterable[Endpoint]) -> frozenset[tuple[str, str, bool]]:
    return frozenset((e.workload.namespace, e.workload.service_account, e.mtls) for e in endpoints)
