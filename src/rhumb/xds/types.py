"""Type URLs, their short names, and the order in which they are pushed."""

import enum


class XdsType(enum.StrEnum):
    """A resource type; the value is its type URL. The members stand in push order."""

    CDS = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
    EDS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
    LDS = "type.googleapis.com/envoy.config.listener.v3.Listener"
    RDS = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
    VHDS = "type.googleapis.com/envoy.config.route.v3.VirtualHost"
    """Virtual hosts of route configurations, for clients that take them one by one."""
    SDS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
    ECDS = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
    NDS = "type.googleapis.com/istio.networking.nds.v1.NameTable"
    """Names for an agent's DNS proxy: one resource."""
    PCDS = "type.googleapis.com/istio.mesh.v1alpha1.ProxyConfig"
    """Trust bundle for an agent: one resource with the field ca_certificates_pem."""

    STARTUP = "type.googleapis.com/rhumb.v1.Startup"
    """For an agent, before it starts its proxy: one resource."""

    __hash__ = str.__hash__
    """That of Enum is written in Python, and types are keys everywhere."""

    @property
    def short(self) -> str:
        """Return the name that people use: "CDS"."""
        return self.name

    @property
    def is_wildcard(self) -> bool:
        """Tell whether a first request without names asks for everything (xDS protocol, "legacy" rule)."""
        return self in _WILDCARD


PUSH_ORDER: tuple[XdsType, ...] = tuple(XdsType)
"""Make before break: what is referred to comes before what refers to it."""

HEALTH_TYPE = "type.googleapis.com/istio.v1.HealthInformation"
"""Requests with this type report a workload's health on the agent's stream and get no answer.

Healthy: no error_detail. Unhealthy: error_detail.message says why (Istio's convention).
"""

WILDCARD = "*"

_WILDCARD = frozenset(
    {XdsType.CDS, XdsType.LDS, XdsType.VHDS, XdsType.NDS, XdsType.PCDS, XdsType.STARTUP}
)
