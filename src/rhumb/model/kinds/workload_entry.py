"""WorkloadEntry (networking.istio.io): one workload outside Kubernetes."""

from collections.abc import Mapping

from rhumb.model.kinds.wire import NONE, Kind, UInt32


class WorkloadEntry(Kind, frozen=True, kw_only=True):
    """Address and identity of a workload (istio-api networking/v1alpha3/workload_entry.proto)."""

    address: str = ""
    """IPv4, IPv6, a DNS name, or unix:///path."""
    ports: Mapping[str, UInt32] = NONE
    """Workload port by the service's port name."""
    labels: Mapping[str, str] = NONE
    network: str = ""
    locality: str = ""
    weight: UInt32 = 0
    """0: 1."""
    service_account: str = ""
