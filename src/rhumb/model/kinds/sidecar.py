"""Sidecar (networking.istio.io): what the sidecars of a namespace see and how they listen."""

from typing import ClassVar

from rhumb.model.kinds.destination_rule import ConnectionPool
from rhumb.model.kinds.gateway import ServerTls
from rhumb.model.kinds.selector import WorkloadSelector
from rhumb.model.kinds.virtual_service import Destination
from rhumb.model.kinds.wire import Kind, Removed, UInt32, WireEnum


class SidecarPort(Kind, frozen=True, kw_only=True):
    """A port of a sidecar listener."""

    number: UInt32 = 0
    protocol: str = ""
    name: str = ""
    target_port: UInt32 = 0
    """Deprecated and without effect."""


class CaptureMode(WireEnum):
    """Whether traffic is redirected to the listener or it binds its port."""

    DEFAULT = "DEFAULT"
    IPTABLES = "IPTABLES"
    NONE = "NONE"


class IngressListener(Kind, frozen=True, kw_only=True):
    """Istio's IstioIngressListener."""

    REMOVED: ClassVar[Removed] = {"localhostClientTls": "it never had an effect; remove it"}

    port: SidecarPort | None = None
    bind: str = ""
    capture_mode: CaptureMode = CaptureMode.DEFAULT
    default_endpoint: str = ""
    tls: ServerTls | None = None
    connection_pool: ConnectionPool | None = None


class EgressListener(Kind, frozen=True, kw_only=True):
    """Istio's IstioEgressListener."""

    REMOVED: ClassVar[Removed] = {"localhostServerTls": "it never had an effect; remove it"}

    port: SidecarPort | None = None
    bind: str = ""
    capture_mode: CaptureMode = CaptureMode.DEFAULT
    hosts: tuple[str, ...] = ()


class OutboundTrafficMode(WireEnum):
    """What happens to traffic for unknown hosts; omitted means REGISTRY_ONLY."""

    REGISTRY_ONLY = "REGISTRY_ONLY"
    ALLOW_ANY = "ALLOW_ANY"


class OutboundTrafficPolicy(Kind, frozen=True, kw_only=True):
    """Policy for unknown hosts."""

    mode: OutboundTrafficMode = OutboundTrafficMode.REGISTRY_ONLY
    egress_proxy: Destination | None = None


class Sidecar(Kind, frozen=True, kw_only=True):
    """Listeners and scope (istio-api networking/v1alpha3/sidecar.proto)."""

    REMOVED: ClassVar[Removed] = {"localhost": "it never had an effect; remove it"}

    workload_selector: WorkloadSelector | None = None
    ingress: tuple[IngressListener, ...] = ()
    egress: tuple[EgressListener, ...] = ()
    inbound_connection_pool: ConnectionPool | None = None
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
