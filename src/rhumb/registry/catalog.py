"""What the registries know, as one value: services by host, endpoints by service, workloads by address."""

from collections.abc import Mapping

import msgspec

from rhumb.model.endpoint import Endpoint, Labels, Locality, Workload
from rhumb.model.finding import Finding
from rhumb.model.resource import Key, Resource
from rhumb.model.service import Service
from rhumb.registry.addresses import Pair
from rhumb.registry.conflicts import Claim
from rhumb.registry.workloads import Entry, LabelIndex

ServiceKey = tuple[str, str]
"""(hostname, namespace)."""


Place = tuple[str, tuple[str, str]]
"""Namespace and one pair of a selector."""
Selecting = tuple[ServiceKey, Labels]
"""A service and one selector of it."""


class Catalog(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Who can be called: the result of the registries, shared between snapshots."""

    services: Mapping[ServiceKey, Service] = {}
    by_host: Mapping[str, tuple[Service, ...]] = {}
    """Kubernetes' first, then the oldest."""
    endpoints: Mapping[ServiceKey, tuple[Endpoint, ...]] = {}
    """Of services that have any."""
    claims: Mapping[ServiceKey, tuple[Claim, ...]] = {}
    """The objects that define each service; the first one gives its fields, the others endpoints."""
    made: Mapping[Key, tuple[Claim, ...]] = {}
    """What each Service and ServiceEntry defines."""
    entries: Mapping[str, LabelIndex] = {}
    """WorkloadEntries and Pods by namespace."""
    entries_at: Mapping[str, tuple[Entry, ...]] = {}
    """WorkloadEntries and Pods by address, the oldest first."""
    nodes: Mapping[str, Locality] = {}
    """Where each Node is, as far as its labels say."""
    slices: Mapping[ServiceKey, tuple[Resource, ...]] = {}
    """EndpointSlices and Endpoints by the Kubernetes Service that they are for."""
    sliced: Mapping[Key, ServiceKey] = {}
    """Which Service each of those objects is for."""
    served_at: Mapping[str, tuple[ServiceKey, ...]] = {}
    """Services by the address of an endpoint."""
    selecting: Mapping[Place, tuple[Selecting, ...]] = {}
    """Services that select workloads, by namespace and one pair of the selector."""
    given: Mapping[str, Pair] = {}
    """Automatic addresses (IPv4 and IPv6) by `NAMESPACE/HOST`."""
    node_local: frozenset[ServiceKey] = frozenset()
    """Services for which it matters on which Node a client is."""
    conflicts: Mapping[str, tuple[Finding, ...]] = {}
    """By host name."""
    left_out: Mapping[ServiceKey, tuple[Finding, ...]] = {}
    """Workloads that a service selects and cannot use."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return what objects say of each other, sorted by host name."""
        fights = (f for host in sorted(self.conflicts) for f in self.conflicts[host])
        return (*fights, *(f for key in sorted(self.left_out) for f in self.left_out[key]))

    def workload_at(self, address: str) -> Workload | None:
        """Return the workload with an address: the oldest entry or Pod, else an inline endpoint."""
        known = self.entries_at.get(address)
        if known:
            return known[0].workload
        for key in self.served_at.get(address, ()):
            for endpoint in self.endpoints[key]:
                if address in endpoint.addresses:
                    return endpoint.workload
        return None


class Touched(msgspec.Struct, frozen=True, kw_only=True):
    """What one update made different; services that came out equal are not named."""

    services: frozenset[ServiceKey] = frozenset()
    """Their fields differ, or they came or went."""
    endpoints: frozenset[ServiceKey] = frozenset()


EMPTY = Catalog()
