"""Endpoints as Envoy's ClusterLoadAssignment."""

from envoy.config.core.v3 import address_pb2 as address
from envoy.config.core.v3 import health_check_pb2 as health
from envoy.config.endpoint.v3 import endpoint_components_pb2 as components
from envoy.config.endpoint.v3 import endpoint_pb2 as pb

from rhumb.ir.endpoint import LbEndpoint, LoadAssignment, LocalityGroup
from rhumb.model.endpoint import Health
from rhumb.model.peer import METADATA_KEY, METADATA_NAMESPACE

_HEALTH = {
    Health.HEALTHY: health.HealthStatus.HEALTHY,
    Health.UNHEALTHY: health.HealthStatus.UNHEALTHY,
    Health.DRAINING: health.HealthStatus.DRAINING,
}


def load_assignment(value: LoadAssignment) -> pb.ClusterLoadAssignment:
    """Spell the endpoints of one cluster."""
    out = pb.ClusterLoadAssignment(cluster_name=value.name)
    for group in value.groups:
        _group(out.endpoints.add(), group)
    return out


def _group(out: components.LocalityLbEndpoints, value: LocalityGroup) -> None:
    place = value.locality
    if place.region or place.zone or place.subzone:
        out.locality.region = place.region
        out.locality.zone = place.zone
        out.locality.sub_zone = place.subzone
    out.priority = value.priority
    weight = value.weight or sum(e.weight for e in value.endpoints)
    if weight:
        out.load_balancing_weight.value = weight
    for endpoint in value.endpoints:
        _endpoint(out.lb_endpoints.add(), endpoint)


def _endpoint(out: components.LbEndpoint, value: LbEndpoint) -> None:
    spell_address(out.endpoint.address, value.address, value.port)
    for other in value.additional:
        spell_address(out.endpoint.additional_addresses.add().address, other, value.port)
    out.load_balancing_weight.value = value.weight
    if value.health is not Health.HEALTHY:
        out.health_status = _HEALTH[value.health]
    metadata = out.metadata.filter_metadata
    if value.mtls:
        metadata["envoy.transport_socket_match"]["tlsMode"] = "istio"
    if value.workload:
        metadata[METADATA_NAMESPACE]["workload"] = value.workload
    if value.peer:
        metadata[METADATA_NAMESPACE][METADATA_KEY] = value.peer


def spell_address(out: address.Address, host: str, port: int) -> None:
    """Spell an IP or DNS name with its port, or a Unix socket (port 0)."""
    if not port and host.startswith(("/", "@")):
        out.pipe.path = host
    else:
        out.socket_address.address = host
        out.socket_address.port_value = port
