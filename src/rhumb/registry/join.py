"""All registries as one: services by host, endpoints by service; Kubernetes wins, then the oldest.

A Catalog is never changed: `update` makes the next one from the keys that differ, and shares the
rest. Building from nothing is the update of the empty catalog with every key.
"""

from collections.abc import Iterable, Iterator

import msgspec

from rhumb.model.endpoint import Locality
from rhumb.model.finding import Finding
from rhumb.model.kinds import kubernetes as k8s
from rhumb.model.kinds.pod import Pod
from rhumb.model.kinds.table import CORE, DISCOVERY, NETWORKING
from rhumb.model.resource import Changes, Key, Resource, ResourceSet
from rhumb.model.service import Registry, Service
from rhumb.registry import (
    addresses,
    conflicts,
    entries,
    gather,
    kubernetes,
    pods,
    slices,
    workloads,
)
from rhumb.registry.addresses import Pair
from rhumb.registry.catalog import EMPTY, Catalog, ServiceKey, Touched
from rhumb.registry.conflicts import Claim
from rhumb.registry.gather import Surroundings
from rhumb.registry.workloads import Entry, LabelIndex


def build(resources: ResourceSet, domain: str) -> Catalog:
    """Read every object that tells of services and workloads."""
    return update(EMPTY, resources, Changes(added=frozenset(resources)), domain)[0]


def update(
    previous: Catalog, resources: ResourceSet, changes: Changes, domain: str
) -> tuple[Catalog, Touched]:
    """Return the next catalog and what differs.

    Costs copies of maps, and work for the services that the changed objects define or are selected by.
    """
    step = _Step(previous)
    changed: dict[str, list[Key]] = {}
    for key in sorted(changes.keys):
        if key.group in _READ.get(key.kind, ()):
            changed.setdefault(key.kind, []).append(key)
    for kind in ("Service", "ServiceEntry"):
        for key in changed.get(kind, ()):
            step.define(key, resources.get(key), domain)
    sliced = (*changed.get("EndpointSlice", ()), *changed.get("Endpoints", ()))
    if sliced:
        step.address(resources, sliced, domain)
    moved = step.place(resources, changed["Node"]) if "Node" in changed else frozenset()
    on_them = [key for key in resources if _is_on(resources[key], moved)] if moved else []
    step.enter(resources, {*changed.get("WorkloadEntry", ()), *changed.get("Pod", ()), *on_them})
    step.allocate()
    step.balance()
    return step.result()


_READ = {
    "Service": (CORE,),
    "ServiceEntry": (NETWORKING,),
    "WorkloadEntry": (NETWORKING,),
    "Pod": (CORE,),
    "Node": (CORE,),
    "Endpoints": (CORE,),
    "EndpointSlice": (DISCOVERY,),
}


def _is_on(resource: Resource, nodes: frozenset[str]) -> bool:
    return isinstance(resource.spec, Pod) and resource.spec.node_name in nodes


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
        self._nodes = previous.nodes
        self._slices = previous.slices
        self._sliced = previous.sliced
        self._served_at = dict(previous.served_at)
        self._selecting = dict(previous.selecting)
        self._given = previous.given
        self._conflicts = dict(previous.conflicts)
        self._left_out = previous.left_out
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

    def address(self, resources: ResourceSet, keys: Iterable[Key], domain: str) -> None:
        """Replace EndpointSlices and Endpoints, and note the services that they were or are for."""
        by_service, owners = dict(self._slices), dict(self._sliced)
        for key in keys:
            before = owners.pop(key, None)
            if before is not None:
                self._selected.add(before)
                left = tuple(r for r in by_service[before] if r.key != key)
                if left:
                    by_service[before] = left
                else:
                    del by_service[before]
            resource = resources.get(key)
            name = slices.service_of(resource) if resource is not None else ""
            if resource is not None and name:
                owner = (kubernetes.hostname(name, key.namespace, domain), key.namespace)
                found = (*by_service.get(owner, ()), resource)
                by_service[owner] = tuple(sorted(found, key=lambda r: r.key))
                owners[key] = owner
                self._selected.add(owner)
        self._slices, self._sliced = by_service, owners

    def place(self, resources: ResourceSet, keys: Iterable[Key]) -> frozenset[str]:
        """Replace Nodes; returns those that are elsewhere now."""
        moved, nodes = set(), dict(self._nodes)
        for key in keys:
            before = nodes.pop(key.name, Locality())
            after = pods.place(resources[key]) if key in resources else Locality()
            if after != Locality():
                nodes[key.name] = after
            if after != before:
                moved.add(key.name)
        self._nodes = nodes
        if moved:
            self._selected.update(self._slices)
        return frozenset(moved)

    def enter(self, resources: ResourceSet, keys: Iterable[Key]) -> None:
        """Replace WorkloadEntries and Pods, and note the services that have the old or the new ones."""
        by_namespace: dict[str, list[Key]] = {}
        for key in keys:
            by_namespace.setdefault(key.namespace, []).append(key)
        for namespace, changed in by_namespace.items():
            index = self._entries.get(namespace) or LabelIndex()
            gone = [e for k in changed if (e := index.get(k.kind, k.name)) is not None]
            read = [self._read(resources[k]) for k in changed if k in resources]
            fresh = [one for one in read if one is not None]
            for one in gone:
                self._leave(one)
            for one in fresh:
                self._arrive(one)
            following = index.updated(gone, fresh)
            if len(following):
                self._entries[namespace] = following
            else:
                self._entries.pop(namespace, None)

    def _read(self, resource: Resource) -> Entry | None:
        if isinstance(resource.spec, Pod):
            return pods.entry(resource, self._nodes)
        return workloads.entry(resource)

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
            after = gather.endpoints(claims, self._around(key)) if claims else ()
            self._tell(key, gather.left_out(claims, self._around(key)) if claims else ())
            if after == before:
                continue
            if after:
                self._endpoints[key] = after
            else:
                del self._endpoints[key]
            self._serve(
                key,
                {a for e in before for a in e.addresses},
                {a for e in after for a in e.addresses},
            )

    def _tell(self, key: ServiceKey, findings: tuple[Finding, ...]) -> None:
        if findings:
            self._left_out = {**self._left_out, key: findings}
        elif key in self._left_out:
            self._left_out = {k: f for k, f in self._left_out.items() if k != key}

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
            nodes=self._nodes,
            slices=self._slices,
            sliced=self._sliced,
            served_at=self._served_at,
            selecting=self._selecting,
            given=self._given,
            node_local=(old.node_local - services)
            | {k for k in services if k in self._services and _by_node(self._services[k])},
            conflicts=self._conflicts,
            left_out=self._left_out,
        )
        return catalog, Touched(services=services, endpoints=endpoints)

    def _around(self, key: ServiceKey) -> Surroundings:
        return Surroundings(
            selectable=self._entries.get(key[1]),
            entries_at=self._entries_at,
            slices=self._slices.get(key, ()),
            nodes=self._nodes,
        )

    def _settle(self, key: ServiceKey) -> None:
        claims = self._claims.get(key)
        if not claims:
            self._claims.pop(key, None)
            self._services.pop(key, None)
            return
        service = conflicts.merged(claims)
        given = self._given.get(_slot(key)) if self._wants(claims) else None
        if given is not None:
            service = msgspec.structs.replace(
                service, auto_address=given[0], auto_address_v6=given[1]
            )
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
        return (
            claims is not None and bool(claims) and entries.wants_address(conflicts.merged(claims))
        )

    def _allocated(self) -> dict[str, Pair]:
        wanted = {
            _slot(key): (not claims[0].service.created, claims[0].service.created)
            for key, claims in self._claims.items()
            if self._wants(claims)
        }
        others = [c[0].service.auto_address for c in self._claims.values() if c]
        return addresses.allocate(wanted, [text for text in others if text])

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
        if one.is_pod:
            # An EndpointSlice may have its address without any selector.
            for address in one.addresses:
                self._selected.update(self._served_at.get(address, ()))

    def _leave(self, one: Entry) -> None:
        self._note(one)
        for address in one.addresses:
            left = tuple(e for e in self._entries_at[address] if e is not one)
            if left:
                self._entries_at[address] = left
            else:
                del self._entries_at[address]

    def _arrive(self, one: Entry) -> None:
        self._note(one)
        for address in one.addresses:
            found = (*self._entries_at.get(address, ()), one)
            self._entries_at[address] = tuple(sorted(found, key=_entry_age))

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


def _entry_age(one: Entry) -> tuple[object, ...]:
    return (*one.resource.age_key, one.resource.key.kind)


def _by_node(service: Service) -> bool:
    return service.node_local or service.traffic_distribution == "PreferSameNode"


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


def _precedence(service: Service) -> tuple[bool, bool, str, str]:
    kubernetes_first = service.registry is not Registry.KUBERNETES
    return (kubernetes_first, not service.created, service.created, service.namespace)
