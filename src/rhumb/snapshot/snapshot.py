"""Snapshot: the world at one moment, read-only, with an index for every question translate asks."""

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

import msgspec

from rhumb.model.endpoint import Endpoint, Labels, Workload
from rhumb.model.kinds.destination_rule import DestinationRule
from rhumb.model.kinds.gateway import Gateway
from rhumb.model.kinds.mesh_config import MeshConfig
from rhumb.model.kinds.sidecar import Sidecar
from rhumb.model.kinds.virtual_service import VirtualService
from rhumb.model.proxy import Proxy
from rhumb.model.resource import Resource
from rhumb.model.service import Service
from rhumb.snapshot.proxy_configs import ProxySettings
from rhumb.snapshot.view import View


class MtlsMode(enum.StrEnum):
    """What the server side accepts (PeerAuthentication, resolved; never UNSET)."""

    DISABLE = "DISABLE"
    PERMISSIVE = "PERMISSIVE"
    STRICT = "STRICT"


class Mesh(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """MeshConfig, resolved: the fields that shape configuration, with Istio's defaults."""

    domain: str = "cluster.local"
    trust_domain: str = "cluster.local"
    trust_domain_aliases: tuple[str, ...] = ()
    root_namespace: str = "istio-system"
    outbound_allow_any: bool = True
    outbound_dynamic_dns: bool = False
    """Unknown hosts of HTTP requests are resolved by the sidecar (ALLOW_ANY_DYNAMIC_DNS)."""
    inbound_localhost: bool = False
    auto_mtls: bool = True
    connect_timeout_ms: int = 10_000
    protocol_detection_timeout_ms: int = 0
    proxy_listen_port: int = 15001
    proxy_inbound_listen_port: int = 15006
    proxy_http_port: int = 0
    h2_upgrade: bool = False
    preserves_header_case: bool = False
    """Headers of HTTP/1 keep their case."""
    access_log_file: str = ""
    access_log_format: str = ""
    access_log_json: bool = False
    default_export_to: tuple[str, ...] = ("*",)
    """Of services; the next two of VirtualServices and DestinationRules."""
    virtual_service_export_to: tuple[str, ...] = ("*",)
    destination_rule_export_to: tuple[str, ...] = ("*",)
    config: MeshConfig = MeshConfig()
    """Everything as written, for the policies that are used whole (defaultTrafficPolicy, retries)."""


class Routing(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One VirtualService whose hosts, destinations and gateways are full names."""

    resource: Resource
    spec: VirtualService


class Policy(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The DestinationRule in force for one host and one view: several of one host merged."""

    resources: tuple[Resource, ...]
    """Oldest first; the first one that has a top traffic policy gave it."""
    spec: DestinationRule


class GatewayServers(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One Istio Gateway that selects a router."""

    resource: Resource
    spec: Gateway

    @property
    def name(self) -> str:
        """Return `NAMESPACE/NAME`, as VirtualServices refer to it."""
        return f"{self.resource.meta.namespace}/{self.resource.meta.name}"


class EgressListener(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One egress listener of a Sidecar, or the implicit one that catches everything (port 0)."""

    port: int = 0
    protocol: str = ""
    name: str = ""
    bind: str = ""
    capture: bool = True
    """False: the listener binds its port itself (captureMode NONE, or interception NONE)."""
    services: tuple[Service, ...] = ()
    """Sorted by hostname, each hostname once."""
    routing: tuple[Routing, ...] = ()
    """VirtualServices for gateway `mesh` that touch those services, in Istio's order of precedence."""


class Scope(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What one view may see and how it is captured (Istio: SidecarScope). A router sees all that is exported to it."""

    services: tuple[Service, ...]
    """Every service of all egress listeners, and what their VirtualServices send to besides, once
    per hostname, sorted by hostname. Clusters are made of these, listeners and virtual hosts of
    `egress[].services`."""
    egress: tuple[EgressListener, ...]
    sidecar: Resource | None = None
    """The Sidecar in force, None for the implicit one."""
    spec: Sidecar | None = None
    outbound_allow_any: bool = True
    dynamic_dns: bool = False
    """Unknown hosts of HTTP requests are resolved by name."""
    resolves_names: bool = False
    """Some cluster resolves the host of a request: of a service, or that for unknown hosts."""
    egress_proxy: tuple[str, int, str] = ("", 0, "")
    """outboundTrafficPolicy.egressProxy: host, port, subset."""

    by_host: Mapping[str, Service] = MappingProxyType({})
    in_domain: Mapping[str, tuple[Service, ...]] = MappingProxyType({})
    """Of the scope of those who see what is public: services by what follows the first dot of their
    host names."""

    def service(self, hostname: str) -> Service | None:
        """Return the visible service with this host name."""
        return self.by_host.get(hostname)

    def at_home(self, view: View) -> tuple[Service, ...]:
        """Return what a namespace calls by short names, of the scope of those who see what is public."""
        return self.in_domain.get(f"{view.namespace}.svc.{view.domain}", ())


class Mtls(msgspec.Struct, frozen=True):
    """The effective server-side mode of one workload port, and the PeerAuthentication that decided (None: default)."""

    mode: MtlsMode
    resource: Resource | None = None
    field: str = ""


class SecretData(msgspec.Struct, frozen=True, kw_only=True):
    """A TLS credential from a Secret or ConfigMap, decoded."""

    certificate: bytes = b""
    private_key: bytes = b""
    ca: bytes = b""
    crl: bytes = b""
    resource: Resource


class Snapshot(Protocol):
    """The questions that translate may ask. Pure, total, and memoised where that pays."""

    @property
    def version(self) -> int:
        """Return a number that grows with each build."""
        ...

    @property
    def mesh(self) -> Mesh:
        """Return the mesh-wide settings."""
        ...

    def view(self, proxy: Proxy) -> View:
        """Return what matters of a proxy, with the service ports it serves."""
        ...

    def common(self, view: View) -> View:
        """Return what of a view decides on all that is not about the proxy itself."""
        ...

    def public(self, view: View) -> View:
        """Return the common view, without namespace where that shows in the short names of services alone."""
        ...

    def nobodys(self, view: View) -> View:
        """Return the common view without its namespace: views for which it is equal differ by what they see."""
        ...

    def tells(self, source: str) -> bool:
        """Tell whether routes ask for clients of this very namespace."""
        ...

    def scope(self, view: View) -> Scope:
        """Return what the view may see."""
        ...

    def services(self, hostname: str) -> tuple[Service, ...]:
        """Return every service with this host name, in all namespaces."""
        ...

    def endpoints(self, service: Service) -> tuple[Endpoint, ...]:
        """Return the endpoints of all ports, sorted by address, port and service port; unhealthy ones too."""
        ...

    def policy(self, view: View, service: Service) -> Policy | None:
        """Return the DestinationRule in force (client namespace, service namespace, root; most specific host)."""
        ...

    def mtls(self, namespace: str, labels: Labels, port: int) -> Mtls:
        """Return what a workload accepts on one of its ports (workload > namespace > mesh; PERMISSIVE by default)."""
        ...

    def port_mtls(self, namespace: str, labels: Labels) -> tuple[tuple[int, Mtls], ...]:
        """Return the ports with a portLevelMtls entry for this workload, sorted by port."""
        ...

    def gateways(self, view: View) -> tuple[GatewayServers, ...]:
        """Return the Gateways that select this router, oldest first."""
        ...

    def gateway_routing(self, view: View, gateway: str) -> tuple[Routing, ...]:
        """Return the VirtualServices bound to `NAMESPACE/NAME` and visible to the view.

        Its namespace's private ones, then those exported to it, then the public; the oldest first in each.
        """
        ...

    def delegate(self, namespace: str, name: str, root_namespace: str) -> Routing | None:
        """Return a delegate VirtualService (no hosts) visible to the root's namespace."""
        ...

    def envoy_filter(self, namespace: str, name: str) -> Resource | None:
        """Return an EnvoyFilter, of which `View.patches` cites patches."""
        ...

    def proxy_settings(self, view: View) -> ProxySettings:
        """Return with what the proxy of a workload starts."""
        ...

    def workload_at(self, address: str) -> Workload | None:
        """Return the workload that has this address."""
        ...

    def secret(self, namespace: str, name: str) -> SecretData | None:
        """Return a TLS credential (`rhumb.translate.secrets` says who gets it).

        `NAME-cacert` is the CA alone, from a Secret of that name or from NAME.
        """
        ...

    def config_map(self, namespace: str, name: str) -> SecretData | None:
        """Return the CA in a ConfigMap."""
        ...
