"""WorkloadEntries as workloads: identity, labels, health, and lookup by label."""

from collections.abc import Iterable, Mapping

import msgspec

from rhumb.model.endpoint import Health, Labels, Locality, Workload
from rhumb.model.kinds.workload_entry import WorkloadEntry
from rhumb.model.resource import Resource

WORKLOAD_NAME = "service.istio.io/workload-name"
CLUSTER = "topology.istio.io/cluster"
LOCALITY_LABEL = "istio-locality"
TLS_MODE = "security.istio.io/tlsMode"
NETWORK_LABEL = "topology.istio.io/network"


class Entry(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One WorkloadEntry, read once."""

    resource: Resource
    spec: WorkloadEntry
    workload: Workload
    mtls: bool
    health: Health


def entry(resource: Resource) -> Entry:
    """Read a WorkloadEntry.

    Its workload name is the label `service.istio.io/workload-name`, else the object's own name.
    """
    spec = resource.spec
    assert isinstance(spec, WorkloadEntry)
    labels = {**resource.meta.labels, **spec.labels}
    return Entry(
        resource=resource,
        spec=spec,
        workload=_workload(spec, labels, resource.meta.namespace, resource.meta.name),
        mtls=has_sidecar(spec, labels),
        health=_health(resource.status),
    )


def inline(spec: WorkloadEntry, namespace: str) -> Workload:
    """Return the workload of an endpoint that is written inside a ServiceEntry."""
    return _workload(spec, spec.labels, namespace, "")


def _workload(
    spec: WorkloadEntry, labels: Mapping[str, str], namespace: str, name: str
) -> Workload:
    return Workload(
        name=labels.get(WORKLOAD_NAME) or name,
        namespace=namespace,
        labels=pairs(labels),
        service_account=spec.service_account,
        network=spec.network or labels.get(NETWORK_LABEL, ""),
        cluster=labels.get(CLUSTER, "") or "Kubernetes",
        locality=Locality.parse(spec.locality or labels.get(LOCALITY_LABEL, "").replace(".", "/")),
    )


def has_sidecar(spec: WorkloadEntry, labels: Mapping[str, str]) -> bool:
    """Tell whether the endpoint speaks mutual TLS: its label says so, else it has an account."""
    said = labels.get(TLS_MODE)
    return said == "istio" if said is not None else bool(spec.service_account)


def _health(status: Mapping[str, object]) -> Health:
    conditions = status.get("conditions")
    if isinstance(conditions, (list, tuple)):
        for condition in conditions:
            if isinstance(condition, Mapping) and condition.get("type") == "Healthy":
                return Health.UNHEALTHY if condition.get("status") == "False" else Health.HEALTHY
    return Health.HEALTHY


def pairs(labels: Mapping[str, str]) -> Labels:
    """Return labels as sorted pairs."""
    return tuple(sorted(labels.items()))


def selects(selector: Labels, labels: Mapping[str, str]) -> bool:
    """Tell whether labels satisfy every pair of a selector."""
    return all(labels.get(name) == value for name, value in selector)


class LabelIndex:
    """The entries of one namespace, found by selector without looking at all of them."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries: dict[str, Entry] = {e.resource.meta.name: e for e in entries}
        self._by_pair: dict[tuple[str, str], list[Entry]] = {}
        for one in self._entries.values():
            for pair in one.workload.labels:
                self._by_pair.setdefault(pair, []).append(one)

    def select(self, selector: Labels) -> list[Entry]:
        """Return the entries that have all pairs, sorted by name; an empty selector selects none."""
        if not selector:
            return []
        candidates = min((self._by_pair.get(pair, []) for pair in selector), key=len, default=[])
        wanted = set(selector)
        found = [e for e in candidates if wanted.issubset(e.workload.labels)]
        return sorted(found, key=lambda e: e.resource.meta.name)

    def all(self) -> Iterable[Entry]:
        """Return every entry."""
        return self._entries.values()
