"""Kinds that users keep beside ours: which to leave alone, and what to say of those that are gone."""

from collections.abc import Mapping
from types import MappingProxyType

from rhumb.model.kinds.table import CORE, SECURITY

NOT_YET: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        SECURITY: ("AuthorizationPolicy", "RequestAuthentication"),
        "telemetry.istio.io": ("Telemetry",),
        "extensions.istio.io": ("WasmPlugin", "TrafficExtension"),
        "gateway.networking.k8s.io": (
            "BackendTLSPolicy",
            "Gateway",
            "GatewayClass",
            "GRPCRoute",
            "HTTPRoute",
            "ListenerSet",
            "ReferenceGrant",
            "TCPRoute",
            "TLSRoute",
            "UDPRoute",
        ),
        "networking.k8s.io": ("Ingress", "IngressClass"),
    }
)
"""Kinds that shape a mesh and have no effect here yet, by group."""

ELSEWHERE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        CORE: (
            "Binding",
            "ComponentStatus",
            "Event",
            "LimitRange",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "PodTemplate",
            "ReplicationController",
            "ResourceQuota",
        ),
        "networking.k8s.io": ("NetworkPolicy", "IPAddress", "ServiceCIDR"),
    }
)
"""Kinds in groups of ours that belong to Kubernetes alone."""

GONE: Mapping[str, str] = MappingProxyType(
    {
        "authentication.istio.io": "use PeerAuthentication and RequestAuthentication of security.istio.io",
        "config.istio.io": "use Telemetry, AuthorizationPolicy or EnvoyFilter",
        "install.istio.io": "put spec.meshConfig into ConfigMap `istio`, key `mesh`, of the root namespace",
        "rbac.istio.io": "use AuthorizationPolicy of security.istio.io",
    }
)
"""Groups of old Istio releases, with what replaced them."""
