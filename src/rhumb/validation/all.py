"""Every rule for every kind."""

from rhumb.model.finding import Finding
from rhumb.model.kinds.destination_rule import DestinationRule
from rhumb.model.kinds.endpoint_slice import Endpoints, EndpointSlice
from rhumb.model.kinds.envoy_filter import EnvoyFilter
from rhumb.model.kinds.gateway import Gateway
from rhumb.model.kinds.kubernetes import Service
from rhumb.model.kinds.mesh_config import MeshConfig
from rhumb.model.kinds.peer_authentication import PeerAuthentication
from rhumb.model.kinds.proxy_config_resource import ProxyConfigResource
from rhumb.model.kinds.service_entry import ServiceEntry
from rhumb.model.kinds.sidecar import Sidecar
from rhumb.model.kinds.virtual_service import VirtualService
from rhumb.model.kinds.workload_entry import WorkloadEntry
from rhumb.model.kinds.workload_group import WorkloadGroup
from rhumb.model.resource import Resource
from rhumb.validation.compatibility import check_compatibility
from rhumb.validation.destination_rule import check_destination_rule
from rhumb.validation.envoy_filter import check_envoy_filter
from rhumb.validation.gateway import check_gateway
from rhumb.validation.kubernetes import check_endpoint_slice, check_endpoints, check_service
from rhumb.validation.mesh_config import check_mesh_config
from rhumb.validation.metadata import check_metadata
from rhumb.validation.peer_authentication import check_peer_authentication
from rhumb.validation.proxy_config import check_proxy_config
from rhumb.validation.rules import Report
from rhumb.validation.service_entry import check_service_entry
from rhumb.validation.sidecar import check_sidecar
from rhumb.validation.virtual_service import check_virtual_service
from rhumb.validation.workload import check_workload_entry, check_workload_group


def check(resource: Resource) -> tuple[Finding, ...]:  # noqa: C901 - a table in the form of a match
    """Return what Istio's webhook and schemas would say of a resource; an error means it is refused."""
    report = Report(resource)
    check_metadata(resource, report)
    check_compatibility(resource, report)
    match resource.spec:
        case VirtualService() as spec:
            check_virtual_service(resource, spec, report)
        case DestinationRule() as spec:
            check_destination_rule(resource, spec, report)
        case Gateway() as spec:
            check_gateway(resource, spec, report)
        case ServiceEntry() as spec:
            check_service_entry(resource, spec, report)
        case WorkloadEntry() as spec:
            check_workload_entry(resource, spec, report)
        case WorkloadGroup() as spec:
            check_workload_group(resource, spec, report)
        case Sidecar() as spec:
            check_sidecar(resource, spec, report)
        case EnvoyFilter() as spec:
            check_envoy_filter(resource, spec, report)
        case ProxyConfigResource() as spec:
            check_proxy_config(resource, spec, report)
        case PeerAuthentication() as spec:
            check_peer_authentication(resource, spec, report)
        case Service() as spec:
            check_service(resource, spec, report)
        case EndpointSlice() as spec:
            check_endpoint_slice(resource, spec, report)
        case Endpoints() as spec:
            check_endpoints(resource, spec, report)
        case MeshConfig() as spec:
            check_mesh_config(resource, spec, report)
        case _:
            pass
    return tuple(report.findings)
