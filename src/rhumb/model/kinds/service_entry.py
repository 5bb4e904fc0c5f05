"""ServiceEntry (networking.istio.io): a service that no registry knows."""

from typing import ClassVar

from rhumb.model.kinds.selector import WorkloadSelector
from rhumb.model.kinds.wire import Kind, Removed, UInt32, WireEnum
from rhumb.model.kinds.workload_entry import WorkloadEntry


class ServicePort(Kind, frozen=True, kw_only=True):
    """One port of the service."""

    number: UInt32 = 0
    protocol: str = ""
    name: str = ""
    target_port: UInt32 = 0
    """0: `number`."""


class ServiceLocation(WireEnum):
    """Whether the service is part of the mesh; omitted means external."""

    MESH_EXTERNAL = "MESH_EXTERNAL"
    MESH_INTERNAL = "MESH_INTERNAL"


class ServiceResolution(WireEnum):
    """How addresses are found; omitted means NONE."""

    NONE = "NONE"
    STATIC = "STATIC"
    DNS = "DNS"
    DNS_ROUND_ROBIN = "DNS_ROUND_ROBIN"
    DYNAMIC_DNS = "DYNAMIC_DNS"


class ServiceEntry(Kind, frozen=True, kw_only=True):
    """Hosts, ports and endpoints (istio-api networking/v1alpha3/service_entry.proto)."""

    REMOVED: ClassVar[Removed] = {"discovery": "use `resolution`"}

    hosts: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    ports: tuple[ServicePort, ...] = ()
    location: ServiceLocation = ServiceLocation.MESH_EXTERNAL
    resolution: ServiceResolution = ServiceResolution.NONE
    endpoints: tuple[WorkloadEntry, ...] = ()
    workload_selector: WorkloadSelector | None = None
    export_to: tuple[str, ...] = ()
    subject_alt_names: tuple[str, ...] = ()
