"""Services: what can be called, whichever registry knows it."""

import enum

import msgspec

from rhumb.model.resource import Key, Location


class Protocol(enum.StrEnum):
    """The protocol of a port, declared or not (Istio: pkg/config/protocol)."""

    HTTP = "HTTP"
    HTTP2 = "HTTP2"
    HTTPS = "HTTPS"
    GRPC = "GRPC"
    GRPC_WEB = "GRPC-WEB"
    TCP = "TCP"
    TLS = "TLS"
    UDP = "UDP"
    MONGO = "Mongo"
    REDIS = "Redis"
    MYSQL = "MySQL"
    HTTP_PROXY = "HTTP_PROXY"
    HBONE = "HBONE"
    AUTO = "UnsupportedProtocol"
    """Not declared: sniffed by the proxy."""

    @property
    def is_http(self) -> bool:
        """Tell whether the proxy handles the port as HTTP."""
        return self in _HTTP

    @property
    def is_http2(self) -> bool:
        """Tell whether the upstream must be spoken to in HTTP/2."""
        return self in _HTTP2

    @property
    def is_tls(self) -> bool:
        """Tell whether the port carries opaque TLS (routed by SNI only)."""
        return self in (Protocol.HTTPS, Protocol.TLS)

    @property
    def is_tcp(self) -> bool:
        """Tell whether the proxy handles the port as plain TCP or TLS."""
        return not self.is_http and self not in (Protocol.UDP, Protocol.AUTO, Protocol.HBONE)


_HTTP = frozenset(
    {Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB, Protocol.HTTP_PROXY}
)
_HTTP2 = frozenset({Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB})


class Resolution(enum.StrEnum):
    """How the endpoints of a service are found."""

    STATIC = "STATIC"
    """Known endpoints: an EDS cluster."""
    DNS = "DNS"
    DNS_ROUND_ROBIN = "DNS_ROUND_ROBIN"
    DYNAMIC_DNS = "DYNAMIC_DNS"
    PASSTHROUGH = "PASSTHROUGH"
    """ServiceEntry NONE and headless services: an ORIGINAL_DST cluster."""


class Registry(enum.StrEnum):
    """Where a service comes from; Kubernetes wins conflicts."""

    KUBERNETES = "Kubernetes"
    EXTERNAL = "External"


class Port(msgspec.Struct, frozen=True):
    """One port of a service."""

    number: int
    name: str
    protocol: Protocol
    target_port: int = 0
    """Workload port where all endpoints share one; 0 when it is looked up per endpoint."""


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """Something that can be called, by host name. Identity: (hostname, namespace)."""

    hostname: str
    namespace: str
    name: str
    """Short name: the Kubernetes Service's, or the hostname for a ServiceEntry."""
    ports: tuple[Port, ...]
    addresses: tuple[str, ...] = ()
    """Virtual addresses (IP or CIDR); empty: none, listeners fall back to 0.0.0.0."""
    auto_address: str = ""
    """Automatically allocated IPv4 address (240.240.0.0/16), "" when none was needed."""
    auto_address_v6: str = ""
    """Its IPv6 counterpart (2001:2::/48)."""
    families: tuple[str, ...] = ()
    """IP families of a Kubernetes Service, `IPv4` or `IPv6`, the primary one first; empty: its workloads'."""
    resolution: Resolution = Resolution.STATIC
    registry: Registry = Registry.KUBERNETES
    mesh_external: bool = False
    headless: bool = False
    export_to: tuple[str, ...] = ()
    """Empty: the mesh default. Otherwise ".", "*", "~" or namespaces."""
    subject_alt_names: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    selector: tuple[tuple[str, str], ...] = ()
    external_name: str = ""
    """Kubernetes ExternalName: this service is an alias of that host."""
    client_ip_affinity: bool = False
    node_local: bool = False
    """internalTrafficPolicy: Local."""
    traffic_distribution: str = ""
    created: str = ""
    key: Key = Key("", "", "", "")
    location: Location = Location()

    @property
    def auto_addresses(self) -> tuple[str, ...]:
        """Return the automatic addresses, IPv4 first."""
        return tuple(a for a in (self.auto_address, self.auto_address_v6) if a)

    def port(self, number: int) -> Port | None:
        """Return the port with this number."""
        return next((p for p in self.ports if p.number == number), None)
