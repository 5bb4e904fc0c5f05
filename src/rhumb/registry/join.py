"""All registries as one: services by host, endpoints by service; Kubernetes wins, then the oldest.

A Catalog is never changed: `update` makes the next one from the keys that differ, and shares the
rest. Building from nothing is the update of the empty catalog with every key.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from rhumb.model.endpoint import Endpoint, Labels, Workload
from rhumb.model.finding import Finding
from rhumb.model.kinds import kubernetes as k8s
from rhumb.model.kinds.table import CORE, NETWORKING
from rhumb.model.resource import Changes, Key, Resource, ResourceSet
from rhumb.model.service import Port, Registry, Service
from rhumb.registry import addresses, conflicts, entries, kubernetes
from rhumb.registry.conflicts import Claim
from rhumb.registry.workloads import Entry, LabelIndex, entry

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
    """WorkloadEntries by namespace."""
    entries_at: Mapping[str, tuple[Entry, ...]] = {}
    """WorkloadEntries by address, the oldest first."""
    served_at: Mapping[str, tuple[ServiceKey, ...]] = {}
    """Services by the address of an endpoint."""
    selecting: Mapping[Place, tuple[Selecting, ...]] = {}
    """Services that select workloads, by namespace and one pair of the selector."""
    given: Mapping[str, str] = {}
    """Automatic addresses by `NAMESPACE/HOST`."""
    conflicts: Mapping[str, tuple[Finding, ...]] = {}
    """By host name."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return what objects say of each other, sorted by host name."""
        return tuple(f for host in sorted(self.conflicts) for f in self.conflicts[host])

    def workload_at(self, address: str) -> Workload | None:
        """Return the workload with an address: the oldest WorkloadEntry, else an inline endpoint."""
        known = self.entries_at.get(address)
        if known:
            return known[0].workload
        for key in self.served_at.get(address, ()):
            for endpoint in self.endpoints[key]:
                if endpoint.address == address:
                    return endpoint.workload
        return None


class Touched(msgspec.Struct, frozen=True, kw_only=True):
    """What one update made different; services that came out equal are not named."""

    services: frozenset[ServiceKey] = frozenset()
    """Their fields differ, or they came or went."""
    endpoints: frozenset[ServiceKey] = frozenset()


EMPTY = Catalog()


def build(resources: ResourceSet, domain: str) -> Catalog:
    """Read every Service, ServiceEntry and WorkloadEntry."""
    return update(EMPTY, resources, Changes(added=frozenset(resources)), domain)[0]


def update(
    previous: Catalog, resources: ResourceSet, changes: Changes, domain: str
) -> tuple[Catalog, Touched]:
    """Return the next catalog and what differs.

    Costs copies of maps, and work for the services that the changed objects define or are selected by.
    """
    step = _Step(previous)
    for key in sorted(changes.keys):
        if (key.group, key.kind) in ((CORE, "Service"), (NETWORKING, "ServiceEntry")):
            step.define(key, resources.get(key), domain)
    step.enter(resources, [k for k in changes.keys if _is_entry(k)])
    step.allocate()
    step.balance()
    return step.result()


def _is_entry(key: Key) -> bool:
    return key.kind == "WorkloadEntry" and key.group == NETWORKING


class _Step:
    """One update under way: copies of the maps that it writes to."""

    def __init__(self, previous: Catalog) -> None:
        self._previous = previous
        self._made = dict(previous.made)
        self._claims = dict(previous.claims)
        self._services = dict(previous.services)
        self._by_host = dict(previous.by_host)
        self._endpoints = dict(previous.endpoints)
        self._entries = dict(previous.entries)
        self._entries_at = dict(previous.entries_at)
        self._served_at = dict(previous.served_at)
        self._selecting = dict(previous.selecting)
        self._given = previous.given
        self._conflicts = dict(previous.conflicts)
        self._defined: set[ServiceKey] = set()
        """Their claims changed."""
        self._selected: set[ServiceKey] = set()
        """A workload that they select changed."""
        self._moved: set[ServiceKey] = set()

    def define(self, key: Key, resource: Resource | None, domain: str) -> None:
        """Replace what one object defines."""
        before = self._made.pop(key, ())
        after = tuple(_claims_of(resource, domain)) if resource is not None else ()
        if after:
            self._made[key] = after
        for claim in before:
            self._claims[claim.key] = tuple(
                c for c in self._claims[claim.key] if c.resource.key != key
            )
            self._unselect(claim)
        for claim in after:
            found = (*self._claims.get(claim.key, ()), claim)
            self._claims[claim.key] = tuple(sorted(found, key=lambda c: c.precedence))
            self._select(claim)
        self._defined.update(claim.key for claim in (*before, *after))

    def enter(self, resources: ResourceSet, keys: Iterable[Key]) -> None:
        """Replace WorkloadEntries, and note the services that select the old or the new ones."""
        by_namespace: dict[str, list[Key]] = {}
        for key in keys:
            by_namespace.setdefault(key.namespace, []).append(key)
        for namespace, changed in by_namespace.items():
            index = self._entries.get(namespace) or LabelIndex()
            gone = [e for k in changed if (e := index.get(k.name)) is not None]
            fresh = [entry(resources[k]) for k in changed if k in resources]
            for one in gone:
                self._leave(one)
            for one in fresh:
                self._arrive(one)
            following = index.updated([e.name for e in gone], fresh)
            if len(following):
                self._entries[namespace] = following
            else:
                self._entries.pop(namespace, None)

    def allocate(self) -> None:
        """Settle services and their automatic addresses, wherever claims changed."""
        wanting = {key for key in self._defined if self._wants(self._previous.claims.get(key))}
        if wanting or any(self._wants(self._claims.get(key)) for key in self._defined):
            before, self._given = self._given, self._allocated()
            self._moved = {
                key
                for key, claims in self._claims.items()
                if self._wants(claims) and before.get(_slot(key)) != self._given.get(_slot(key))
            }
        for key in self._defined | self._moved:
            self._settle(key)
        by_host: dict[str, set[ServiceKey]] = {}
        for key in self._defined | self._moved:
            by_host.setdefault(key[0], set()).add(key)
        for host, keys in by_host.items():
            self._rank(host, keys)

    def balance(self) -> None:
        """Find the endpoints of the services that were defined or whose workloads changed."""
        for key in self._defined | self._selected:
            claims = self._claims.get(key, ())
            before = self._endpoints.get(key, ())
            after = _endpoints(claims, self._entries.get(key[1])) if claims else ()
            if after == before:
                continue
            if after:
                self._endpoints[key] = after
            else:
                del self._endpoints[key]
            self._serve(key, {e.address for e in before}, {e.address for e in after})

    def result(self) -> tuple[Catalog, Touched]:
        """Return the catalog; maps that did not change are the previous ones."""
        old = self._previous
        services = frozenset(
            key
            for key in self._defined | self._moved
            if old.services.get(key) is not self._services.get(key)
        )
        endpoints = frozenset(
            key
            for key in self._defined | self._selected
            if old.endpoints.get(key) is not self._endpoints.get(key)
        )
        catalog = Catalog(
            services=self._services if services else old.services,
            by_host=self._by_host if services else old.by_host,
            endpoints=self._endpoints if endpoints else old.endpoints,
            claims=self._claims,
            made=self._made,
            entries=self._entries,
            entries_at=self._entries_at,
            served_at=self._served_at,
            selecting=self._selecting,
            given=self._given,
            conflicts=self._conflicts,
        )
        return catalog, Touched(services=services, endpoints=endpoints)

    def _settle(self, key: ServiceKey) -> None:
        claims = self._claims.get(key)
        if not claims:
            self._claims.pop(key, None)
            self._services.pop(key, None)
            return
        service = claims[0].service
        address = self._given.get(_slot(key), "") if self._wants(claims) else ""
        if address:
            service = msgspec.structs.replace(service, auto_address=address)
        if service != self._services.get(key):
            self._services[key] = service

    def _rank(self, host: str, touched: set[ServiceKey]) -> None:
        keys = {(host, s.namespace) for s in self._by_host.get(host, ())} | touched
        group = [self._services[key] for key in keys if key in self._services]
        if not group:
            self._by_host.pop(host, None)
            self._conflicts.pop(host, None)
            return
        ranked = tuple(sorted(group, key=_precedence))
        self._by_host[host] = ranked
        found = conflicts.findings(ranked, [self._claims[host, s.namespace] for s in ranked])
        if found:
            self._conflicts[host] = found
        else:
            self._conflicts.pop(host, None)

    def _wants(self, claims: tuple[Claim, ...] | None) -> bool:
        return claims is not None and bool(claims) and entries.wants_address(claims[0].service)

    def _allocated(self) -> dict[str, str]:
        wanted = {
            _slot(key): (not claims[0].service.created, claims[0].service.created)
            for key, claims in self._claims.items()
            if self._wants(claims)
        }
        return addresses.allocate(wanted)

    def _select(self, claim: Claim) -> None:
        if claim.service.selector:
            # A pair that all services of a namespace share tells nothing: take the rarest.
            places = [(claim.service.namespace, pair) for pair in claim.service.selector]
            place = min(places, key=lambda p: len(self._selecting.get(p, ())))
            found = self._selecting.get(place, ())
            self._selecting[place] = (*found, (claim.key, claim.service.selector))

    def _unselect(self, claim: Claim) -> None:
        wanted = (claim.key, claim.service.selector)
        for pair in claim.service.selector:
            place = (claim.service.namespace, pair)
            left = list(self._selecting.get(place, ()))
            if wanted in left:
                left.remove(wanted)
                if left:
                    self._selecting[place] = tuple(left)
                else:
                    del self._selecting[place]
                return

    def _note(self, one: Entry) -> None:
        labels = frozenset(one.workload.labels)
        for pair in labels:
            for key, selector in self._selecting.get((one.workload.namespace, pair), ()):
                if labels.issuperset(selector):
                    self._selected.add(key)

    def _leave(self, one: Entry) -> None:
        self._note(one)
        left = tuple(e for e in self._entries_at[one.address] if e is not one)
        if left:
            self._entries_at[one.address] = left
        else:
            del self._entries_at[one.address]

    def _arrive(self, one: Entry) -> None:
        self._note(one)
        found = (*self._entries_at.get(one.address, ()), one)
        self._entries_at[one.address] = tuple(sorted(found, key=lambda e: e.resource.age_key))

    def _serve(self, key: ServiceKey, before: set[str], after: set[str]) -> None:
        for address in before - after:
            left = tuple(k for k in self._served_at[address] if k != key)
            if left:
                self._served_at[address] = left
            else:
                del self._served_at[address]
        for address in after - before:
            found = (*self._served_at.get(address, ()), key)
            self._served_at[address] = tuple(sorted(found))


def _slot(key: ServiceKey) -> str:
    return f"{key[1]}/{key[0]}"


def _claims_of(resource: Resource, domain: str) -> Iterator[Claim]:
    if isinstance(resource.spec, k8s.Service):
        service = kubernetes.service(resource, domain)
        if service is not None:
            yield Claim(service=service, resource=resource)
        return
    for service in entries.services(resource):
        yield Claim(service=service, resource=resource)


def _endpoints(claims: tuple[Claim, ...], index: LabelIndex | None) -> tuple[Endpoint, ...]:
    """Return the endpoints of a service from the objects that define it, sorted.

    Kubernetes' Pods and EndpointSlices are one more source of endpoints here once they are read.
    """
    owner = claims[0]
    found: list[Endpoint] = []
    for claim in conflicts.contributing(claims):
        ports = _common(owner, claim)
        if claim.service.external_name:
            continue
        if claim.service.registry is Registry.KUBERNETES:
            selected = index.select(claim.service.selector) if index else []
            targets = kubernetes.target_ports(claim.resource)
            found += entries.selected_endpoints(ports, selected, targets)
            continue
        part = msgspec.structs.replace(claim.service, ports=ports)
        found += entries.inline_endpoints(claim.resource, part)
        if index is not None and claim.service.selector:
            found += entries.selected_endpoints(ports, index.select(part.selector), {})
    unique = {(e.address, e.port, e.service_port, e.hostname): e for e in reversed(found)}
    return tuple(unique[key] for key in sorted(unique))


def _common(owner: Claim, claim: Claim) -> tuple[Port, ...]:
    """Return the ports of a claim that the service has: same number, or it could not be called."""
    if owner is claim:
        return claim.service.ports
    numbers = {p.number for p in owner.service.ports}
    return tuple(p for p in claim.service.ports if p.number in numbers)


def _precedence(service: Service) -> tuple[bool, bool, str, str]:
    kubernetes_first = service.registry is not Registry.KUBERNETES
    return (kubernetes_first, not service.created, service.created, service.namespace)
