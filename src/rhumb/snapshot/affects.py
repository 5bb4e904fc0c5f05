"""What a change may touch: types of configuration, so that the rest is not even looked at."""

from rhumb.model.kinds.table import CORE, MESH, NETWORKING, SECURITY
from rhumb.model.resource import Changes, Key

ALL = frozenset({"cds", "eds", "lds", "rds", "sds", "nds"})

_TYPES: dict[tuple[str, str], frozenset[str]] = {
    (CORE, "Service"): ALL - {"sds"},
    (CORE, "Secret"): frozenset({"sds", "lds", "cds"}),
    (CORE, "ConfigMap"): frozenset({"sds"}),
    (CORE, "Namespace"): frozenset(),
    (CORE, "ServiceAccount"): frozenset(),
    (NETWORKING, "ServiceEntry"): ALL - {"sds"},
    # An endpoint's service account is a name that its clients' TLS contexts accept, a workload's
    # ports are the inbound listeners of its own proxy.
    (NETWORKING, "WorkloadEntry"): ALL - {"sds"},
    (NETWORKING, "WorkloadGroup"): frozenset(),
    (NETWORKING, "VirtualService"): ALL - {"sds", "nds"},
    (NETWORKING, "DestinationRule"): frozenset({"cds", "eds", "lds", "rds"}),
    (NETWORKING, "Gateway"): frozenset({"cds", "eds", "lds", "rds", "sds"}),
    (NETWORKING, "Sidecar"): ALL - {"sds"},
    (SECURITY, "PeerAuthentication"): frozenset({"cds", "eds", "lds"}),
    (MESH, "MeshConfig"): ALL,
}


def types_of(key: Key) -> frozenset[str]:
    """Return the types that a change of this object may alter; unknown kinds alter all."""
    return _TYPES.get((key.group, key.kind), ALL)


def types(changes: Changes) -> frozenset[str]:
    """Return the types that a set of changes may alter (istio-api: what changes what)."""
    return frozenset().union(*(types_of(key) for key in changes.keys))


def only_entries(changes: Changes) -> bool:
    """Tell whether nothing but WorkloadEntries changed: the short path of endpoints."""
    return bool(changes) and all(
        k.kind == "WorkloadEntry" and k.group == NETWORKING for k in changes.keys
    )
