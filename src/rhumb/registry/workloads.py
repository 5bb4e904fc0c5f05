"""Workloads, from WorkloadEntries here and from Pods: identity, labels, health, and lookup by label."""

import ipaddress
from collections.abc import Iterable, Mapping

import msgspec

from rhumb.model.endpoint import Health, Labels, Locality, Workload
from rhumb.model.kinds.workload_entry import WorkloadEntry
from rhumb.model.resource import Resource

WORKLOAD_NAME = "service.istio.io/workload-name"
REGISTERED_GROUP = "istio.io/autoRegistrationGroup"
"""Annotation of a WorkloadEntry that registered itself: the WorkloadGroup it came from."""
HEALTH_CHECKED = "proxy.istio.io/health-checks-enabled"
"""Annotation: the workload takes no traffic before its agent has said that it is healthy."""
CLUSTER = "topology.istio.io/cluster"
DEFAULT_CLUSTER = "Kubernetes"
"""Istio's default CLUSTER_ID."""
LOCALITY_LABEL = "istio-locality"
TLS_MODE = "security.istio.io/tlsMode"
NETWORK_LABEL = "topology.istio.io/network"


class Entry(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One WorkloadEntry or Pod, read once."""

    resource: Resource
    spec: WorkloadEntry
    """A Pod's is made of its address, account and named ports."""
    workload: Workload
    mtls: bool
    health: Health
    addresses: tuple[str, ...]
    """The primary one first; several where a Pod has IPv4 and IPv6."""
    node: str = ""
    dns_name: str = ""
    """Name below a headless Service."""
    subdomain: str = ""
    """The only Service that has the name; empty for a WorkloadEntry: every one."""
    is_pod: bool = False

    @property
    def name(self) -> str:
        """Return the name of the object, that is of the instance."""
        return self.resource.meta.name

    @property
    def id(self) -> str:
        """Return kind and name, which are unique in a namespace."""
        return f"{self.resource.key.kind}/{self.name}"

    @property
    def address(self) -> str:
        """Return the workload's address."""
        return self.spec.address

    def instance_name(self, service: str) -> str:
        """Return the name of the instance below a headless Service, "" when it has none there."""
        return self.dns_name if not self.is_pod or self.subdomain == service else ""


def entry(resource: Resource) -> Entry:
    """Read a WorkloadEntry; labels of its metadata win over those of its spec, as in Istio.

    Workload name: the WorkloadGroup it registered from, else the label
    `service.istio.io/workload-name`, else the object's own name.
    """
    spec, meta = resource.spec, resource.meta
    assert isinstance(spec, WorkloadEntry)
    labels = {**spec.labels, **meta.labels}
    name = meta.annotations.get(REGISTERED_GROUP) or labels.get(WORKLOAD_NAME) or meta.name
    return Entry(
        resource=resource,
        spec=spec,
        workload=workload(spec, labels, meta.namespace, name),
        mtls=has_sidecar(spec, labels),
        health=_health(resource.status, meta.annotations),
        addresses=(spec.address,),
        dns_name=meta.name,
    )


def inline(spec: WorkloadEntry, namespace: str, name: str) -> Workload:
    """Return the workload of an endpoint that is written inside a ServiceEntry of that name."""
    return workload(spec, spec.labels, namespace, spec.labels.get(WORKLOAD_NAME) or name)


def workload(spec: WorkloadEntry, labels: Mapping[str, str], namespace: str, name: str) -> Workload:
    """Return who stands at the address of a WorkloadEntry."""
    return Workload(
        name=name,
        namespace=namespace,
        labels=pairs(labels),
        service_account=spec.service_account,
        network=spec.network or labels.get(NETWORK_LABEL, ""),
        cluster=labels.get(CLUSTER) or DEFAULT_CLUSTER,
        locality=Locality.parse(spec.locality or labels.get(LOCALITY_LABEL, "").replace(".", "/")),
    )


def has_sidecar(spec: WorkloadEntry, labels: Mapping[str, str]) -> bool:
    """Tell whether the endpoint speaks mutual TLS: its label says so, else it has an account."""
    said = labels.get(TLS_MODE)
    return said == "istio" if said is not None else bool(spec.service_account)


def _health(status: Mapping[str, object], annotations: Mapping[str, str]) -> Health:
    """Read the condition `Healthy`; silence means healthy, except where health is checked."""
    said = ""
    conditions = status.get("conditions")
    if isinstance(conditions, (list, tuple)):
        for condition in conditions:
            if isinstance(condition, Mapping) and condition.get("type") == "Healthy":
                said = str(condition.get("status"))
                break
    checked = annotations.get(HEALTH_CHECKED, "").lower() in ("true", "1", "t")
    healthy = said == "True" if checked else said != "False"
    return Health.HEALTHY if healthy else Health.UNHEALTHY


def is_address(text: str) -> bool:
    """Tell whether a text is an IP address that means the same everywhere (no `%eth0`)."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def pairs(labels: Mapping[str, str]) -> Labels:
    """Return labels as sorted pairs."""
    return tuple(sorted(labels.items()))


def selects(selector: Labels, labels: Mapping[str, str]) -> bool:
    """Tell whether labels satisfy every pair of a selector."""
    return all(labels.get(name) == value for name, value in selector)


class LabelIndex:
    """The entries of one namespace, found by selector without looking at all of them."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries: dict[str, Entry] = {}
        self._by_pair: dict[tuple[str, str], dict[str, Entry]] = {}
        for one in entries:
            self._entries[one.id] = one
            for pair in one.workload.labels:
                self._by_pair.setdefault(pair, {})[one.id] = one

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, kind: str, name: str) -> Entry | None:
        """Return the entry of a WorkloadEntry or Pod."""
        return self._entries.get(f"{kind}/{name}")

    def updated(self, gone: Iterable[Entry], fresh: Iterable[Entry]) -> "LabelIndex":
        """Return an index without `gone` and with `fresh`; the rest is shared."""
        following = LabelIndex()
        following._entries = dict(self._entries)
        following._by_pair = dict(self._by_pair)
        owned: set[tuple[str, str]] = set()

        def bucket(pair: tuple[str, str]) -> dict[str, Entry]:
            if pair not in owned:
                owned.add(pair)
                following._by_pair[pair] = dict(following._by_pair.get(pair, {}))
            return following._by_pair[pair]

        for one in gone:
            if following._entries.pop(one.id, None) is not None:
                for pair in one.workload.labels:
                    bucket(pair).pop(one.id, None)
        for one in fresh:
            following._entries[one.id] = one
            for pair in one.workload.labels:
                bucket(pair)[one.id] = one
        for pair in owned:
            if not following._by_pair[pair]:
                del following._by_pair[pair]
        return following

    def select(self, selector: Labels) -> list[Entry]:
        """Return the entries that have all pairs, sorted by kind and name; an empty selector selects none."""
        if not selector:
            return []
        buckets = [self._by_pair.get(pair, {}) for pair in selector]
        wanted = set(selector)
        found = [e for e in min(buckets, key=len).values() if wanted.issubset(e.workload.labels)]
        return sorted(found, key=lambda e: e.id)
