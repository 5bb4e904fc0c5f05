"""All registries as one: services by host, endpoints by service; Kubernetes wins, then the oldest."""

from collections.abc import Iterable, Mapping

import msgspec

from rhumb.base import hosts
from rhumb.model.endpoint import Endpoint, Workload
from rhumb.model.finding import Finding, Level
from rhumb.model.kinds import kubernetes as k8s
from rhumb.model.kinds import service_entry
from rhumb.model.kinds.table import CORE, NETWORKING
from rhumb.model.resource import Key, Resource, ResourceSet
from rhumb.model.service import Registry, Service
from rhumb.registry import addresses, entries, kubernetes
from rhumb.registry.workloads import Entry, LabelIndex, entry

ServiceKey = tuple[str, str]
"""(hostname, namespace)."""


class Catalog(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Who can be called: the result of the registries, shared between snapshots."""

    services: Mapping[ServiceKey, Service]
    by_host: Mapping[str, tuple[Service, ...]]
    endpoints: Mapping[ServiceKey, tuple[Endpoint, ...]]
    sources: Mapping[ServiceKey, tuple[Resource, ...]]
    """The objects that define each service; the first one gave its fields."""
    entries: Mapping[str, LabelIndex]
    """WorkloadEntries by namespace."""
    by_address: Mapping[str, Workload]
    findings: tuple[Finding, ...] = ()


def build(resources: ResourceSet, domain: str) -> Catalog:
    """Read every Service, ServiceEntry and WorkloadEntry."""
    owners, findings = _owners(resources, domain)
    services = _with_addresses({key: found[0][0] for key, found in owners.items()})
    sources = {key: tuple(resource for _, resource in found) for key, found in owners.items()}
    by_namespace = _entries(resources.of(NETWORKING, "WorkloadEntry"))
    indexes = {ns: LabelIndex(found) for ns, found in by_namespace.items()}
    endpoints = {
        key: endpoints_of(service, sources[key], indexes.get(key[1]))
        for key, service in services.items()
    }
    return Catalog(
        services=services,
        by_host=_by_host(services.values()),
        endpoints=endpoints,
        sources=sources,
        entries=indexes,
        by_address=_by_address(indexes.values()),
        findings=tuple(findings),
    )


def update_entries(
    previous: Catalog, resources: ResourceSet, changed: Iterable[Key]
) -> tuple[Catalog, frozenset[ServiceKey]]:
    """Apply changes of WorkloadEntries alone; return the next catalog and the services touched.

    Costs a copy of the maps and work for the touched namespaces, not for the whole mesh.
    """
    keys = set(changed)
    touched_labels: dict[str, list[Mapping[str, str]]] = {}
    indexes = dict(previous.entries)
    for namespace in {key.namespace for key in keys}:
        before = previous.entries.get(namespace)
        kept = [e for e in before.all() if e.resource.key not in keys] if before else []
        gone = [e for e in before.all() if e.resource.key in keys] if before else []
        fresh = [entry(resources[k]) for k in keys if k.namespace == namespace and k in resources]
        indexes[namespace] = LabelIndex([*kept, *fresh])
        touched_labels[namespace] = [dict(e.workload.labels) for e in (*gone, *fresh)]
    endpoints = dict(previous.endpoints)
    touched: set[ServiceKey] = set()
    for key, service in previous.services.items():
        labels = touched_labels.get(key[1])
        if labels and service.selector and _selects_any(service.selector, labels):
            found = endpoints_of(service, previous.sources[key], indexes[key[1]])
            if found != endpoints[key]:
                endpoints[key] = found
                touched.add(key)
    catalog = msgspec.structs.replace(
        previous,
        endpoints=endpoints,
        entries=indexes,
        by_address=_by_address(indexes.values()),
    )
    return catalog, frozenset(touched)


def endpoints_of(
    service: Service, sources: tuple[Resource, ...], index: LabelIndex | None
) -> tuple[Endpoint, ...]:
    """Return the endpoints of a service from all objects that define it, sorted."""
    found: list[Endpoint] = []
    for source in sources:
        if isinstance(source.spec, k8s.Service):
            selected = index.select(service.selector) if index else []
            found += entries.selected_endpoints(service, selected, kubernetes.target_ports(source))
        else:
            spec = source.spec
            assert isinstance(spec, service_entry.ServiceEntry)
            found += entries.inline_endpoints(source, service)
            if spec.workload_selector is not None and index is not None:
                labels = tuple(sorted(spec.workload_selector.labels.items()))
                found += entries.selected_endpoints(service, index.select(labels), {})
    unique = {(e.address, e.port, e.service_port, e.hostname): e for e in found}
    return tuple(unique[key] for key in sorted(unique))


def _owners(
    resources: ResourceSet, domain: str
) -> tuple[dict[ServiceKey, list[tuple[Service, Resource]]], list[Finding]]:
    owners: dict[ServiceKey, list[tuple[Service, Resource]]] = {}
    findings: list[Finding] = []
    for resource in resources.of(CORE, "Service"):
        found = kubernetes.service(resource, domain)
        if found is not None:
            owners[found.hostname, found.namespace] = [(found, resource)]
    for resource in resources.of(NETWORKING, "ServiceEntry"):
        for service in entries.services(resource):
            key = (service.hostname, service.namespace)
            first = owners.setdefault(key, [])
            if not first:
                first.append((service, resource))
                continue
            merges = first[0][0].registry is Registry.KUBERNETES and _has_entries(resource)
            if merges:
                first.append((service, resource))
            findings.append(_duplicate(service, resource, first[0][1], merges))
    return owners, findings


def _has_entries(resource: Resource) -> bool:
    spec = resource.spec
    return isinstance(spec, service_entry.ServiceEntry) and bool(
        spec.endpoints or spec.workload_selector
    )


def _duplicate(service: Service, loser: Resource, winner: Resource, merges: bool) -> Finding:
    what = "only its endpoints are used" if merges else "it has no effect"
    return Finding(
        level=Level.WARNING,
        message=f'host "{service.hostname}" is already defined by {winner.key}; {what}',
        location=loser.location,
        key=loser.key,
        field="spec.hosts",
        fix="remove the host from one of the two objects",
    )


def _with_addresses(services: dict[ServiceKey, Service]) -> dict[ServiceKey, Service]:
    wanting = [s.hostname for s in services.values() if entries.wants_address(s)]
    given = addresses.allocate(wanting)
    return {
        key: msgspec.structs.replace(s, auto_address=given[s.hostname.lower()])
        if entries.wants_address(s)
        else s
        for key, s in sorted(services.items())
    }


def _by_host(services: Iterable[Service]) -> dict[str, tuple[Service, ...]]:
    found: dict[str, list[Service]] = {}
    for service in services:
        found.setdefault(service.hostname, []).append(service)
    return {
        host: tuple(sorted(group, key=_precedence))
        for host, group in sorted(found.items(), key=lambda item: hosts.specificity(item[0]))
    }


def _precedence(service: Service) -> tuple[bool, bool, str, str]:
    kubernetes_first = service.registry is not Registry.KUBERNETES
    return (kubernetes_first, not service.created, service.created, service.namespace)


def _entries(resources: Iterable[Resource]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for resource in resources:
        found.setdefault(resource.meta.namespace, []).append(entry(resource))
    return found


def _by_address(indexes: Iterable[LabelIndex]) -> dict[str, Workload]:
    return {e.spec.address: e.workload for index in indexes for e in index.all() if e.spec.address}


def _selects_any(selector: tuple[tuple[str, str], ...], labels: list[Mapping[str, str]]) -> bool:
    return any(all(one.get(k) == v for k, v in selector) for one in labels)
