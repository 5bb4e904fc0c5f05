"""The grammar of the names that Envoy resources carry: Istio's, letter for letter, written and read here only.

Every form is a value whose text is `str(value)`; `parse_*` reads the text back, or returns None for
text of another form. The forms are Istio's.
"""

import msgspec

BLACK_HOLE = "BlackHoleCluster"
PASSTHROUGH = "PassthroughCluster"
DYNAMIC_DNS = "AllowAnyDynamicDNSCluster"
INBOUND_PASSTHROUGH = "InboundPassthroughCluster"

VIRTUAL_OUTBOUND = "virtualOutbound"
VIRTUAL_INBOUND = "virtualInbound"
OUTBOUND_BLACK_HOLE_CHAIN = "virtualOutbound-blackhole"
OUTBOUND_CATCH_ALL_CHAIN = "virtualOutbound-catchall-tcp"
OUTBOUND_CATCH_ALL_HTTP_CHAIN = "virtualOutbound-catchall-tcp-http"
INBOUND_BLACK_HOLE_CHAIN = "virtualInbound-blackhole"
INBOUND_CATCH_ALL_CHAIN = "virtualInbound"
INBOUND_CATCH_ALL_HTTP_CHAIN = "virtualInbound-catchall-http"
PASSTHROUGH_CHAIN = "PassthroughFilterChain"
ALLOW_ANY = "allow_any"
ALLOW_ANY_DYNAMIC_DNS = "allow_any_dynamic_dns"
BLOCK_ALL = "block_all"

HTTP_PROXY_ROUTE = "http_proxy"

WORKLOAD_SECRET = "default"  # noqa: S105 - a resource name
"""The workload's own key and certificate chain."""
ROOT_SECRET = "ROOTCA"  # noqa: S105 - a resource name
"""The roots that workload certificates are verified against."""
SYSTEM_ROOTS = "system"
"""Path of a FileRoot that means the roots of the operating system."""
CA_SUFFIX = "-cacert"


class OutboundCluster(msgspec.Struct, frozen=True, order=True):
    """A service port as clients see it, or one subset of it: `outbound|PORT|SUBSET|HOST`."""

    port: int
    host: str
    subset: str = ""

    def __str__(self) -> str:
        return f"outbound|{self.port}|{self.subset}|{self.host}"

    @property
    def sni(self) -> "SniCluster":
        """Return the DNS-safe form, which mTLS between proxies carries as SNI."""
        return SniCluster(self.port, self.host, self.subset)


class SniCluster(msgspec.Struct, frozen=True, order=True):
    """The form for AUTO_PASSTHROUGH servers and SNI: `outbound_.PORT_.SUBSET_.HOST`."""

    port: int
    host: str
    subset: str = ""

    def __str__(self) -> str:
        return f"outbound_.{self.port}_.{self.subset}_.{self.host}"

    @property
    def outbound(self) -> OutboundCluster:
        """Return the same service port in the form that routes use."""
        return OutboundCluster(self.port, self.host, self.subset)


class InboundCluster(msgspec.Struct, frozen=True, order=True):
    """A port of the workload itself; also the name of its inline route: `inbound|PORT||`."""

    port: int

    def __str__(self) -> str:
        return f"inbound|{self.port}||"


ClusterName = OutboundCluster | SniCluster | InboundCluster


def parse_cluster(text: str) -> ClusterName | None:
    """Read the name of a cluster made for a service; None for every other name."""
    if text.startswith("outbound_."):
        parts = text.split("_.", 3)
        if len(parts) == 4 and _is_port(parts[1]) and parts[3]:
            return SniCluster(int(parts[1]), parts[3], parts[2])
        return None
    parts = text.split("|")
    if len(parts) != 4 or not _is_port(parts[1]):
        return None
    direction, port, subset, host = parts
    if direction == "outbound" and host:
        return OutboundCluster(int(port), host, subset)
    if direction == "inbound" and not subset and not host:
        return InboundCluster(int(port))
    return None


class PortRoute(msgspec.Struct, frozen=True, order=True):
    """All HTTP services of one port number: `PORT`."""

    port: int

    def __str__(self) -> str:
        return str(self.port)


class HostRoute(msgspec.Struct, frozen=True, order=True):
    """One service port whose protocol is sniffed: `HOST:PORT` (also the form of virtual hosts)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class GatewayRoute(msgspec.Struct, frozen=True, order=True):
    """The plain-text HTTP servers of one gateway port: `http.PORT`."""

    port: int

    def __str__(self) -> str:
        return f"http.{self.port}"


class GatewayTlsRoute(msgspec.Struct, frozen=True, order=True):
    """One TLS server of a gateway: `https.PORT.PORTNAME.GATEWAY.NAMESPACE`.

    Neither a port name nor a namespace contains a dot (both are DNS labels); a Gateway's name may.
    """

    port: int
    port_name: str
    gateway: str
    namespace: str

    def __str__(self) -> str:
        return f"https.{self.port}.{self.port_name}.{self.gateway}.{self.namespace}"


RouteName = PortRoute | HostRoute | GatewayRoute | GatewayTlsRoute | InboundCluster


def parse_route(text: str) -> RouteName | None:
    """Read the name of a route configuration; None for `http_proxy` and unknown forms."""
    if _is_port(text):
        return PortRoute(int(text))
    if text.startswith("inbound|"):
        inbound = parse_cluster(text)
        return inbound if isinstance(inbound, InboundCluster) else None
    host, colon, port = text.rpartition(":")
    if colon:
        return HostRoute(host, int(port)) if host and _is_port(port) else None
    return _parse_gateway_route(text)


def _parse_gateway_route(text: str) -> GatewayRoute | GatewayTlsRoute | None:
    if text.startswith("http."):
        port = text.removeprefix("http.")
        return GatewayRoute(int(port)) if _is_port(port) else None
    parts = text.split(".", 3)
    if len(parts) != 4 or parts[0] != "https" or not _is_port(parts[1]):
        return None
    gateway, _, namespace = parts[3].rpartition(".")
    if not gateway or not namespace:
        return None
    return GatewayTlsRoute(int(parts[1]), parts[2], gateway, namespace)


class KubernetesSecret(msgspec.Struct, frozen=True, order=True):
    """A Secret served over xDS: `kubernetes://NAME` or `kubernetes://NAMESPACE/NAME`.

    A name that ends in `-cacert` asks for the CA certificate of the credential alone.
    """

    name: str
    namespace: str = ""

    def __str__(self) -> str:
        return "kubernetes://" + (f"{self.namespace}/" if self.namespace else "") + self.name

    @property
    def is_ca(self) -> bool:
        """Tell whether only the CA certificate is asked for."""
        return self.name.endswith(CA_SUFFIX)

    @property
    def ca(self) -> "KubernetesSecret":
        """Return the name under which the CA certificate of this credential is served."""
        return self if self.is_ca else KubernetesSecret(self.name + CA_SUFFIX, self.namespace)


class ConfigMapRoot(msgspec.Struct, frozen=True, order=True):
    """A CA certificate from a ConfigMap: `configmap://NAMESPACE/NAME`."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"configmap://{self.namespace}/{self.name}"


class FileCertificate(msgspec.Struct, frozen=True, order=True):
    """A certificate chain and its key on the proxy's disk: `file-cert:CERTIFICATE~KEY`."""

    certificate: str
    key: str

    def __str__(self) -> str:
        return f"file-cert:{self.certificate}~{self.key}"


class FileRoot(msgspec.Struct, frozen=True, order=True):
    """CA certificates on the proxy's disk: `file-root:PATH`, or `file-root:system`.

    `file-root:PATH~REVOKED` brings a list of revoked certificates; that form is ours.
    """

    path: str
    revoked: str = ""

    def __str__(self) -> str:
        return f"file-root:{self.path}~{self.revoked}" if self.revoked else f"file-root:{self.path}"


SecretName = KubernetesSecret | ConfigMapRoot | FileCertificate | FileRoot


def parse_secret(text: str) -> SecretName | None:
    """Read the name of a secret; None for `default`, `ROOTCA`, `builtin://` and unknown forms."""
    scheme, colon, rest = text.partition(":")
    if not colon or not rest:
        return None
    if scheme == "file-root":
        path, _, revoked = rest.partition("~")
        return FileRoot(path, revoked) if path else None
    if scheme == "file-cert":
        certificate, tilde, key = rest.partition("~")
        return FileCertificate(certificate, key) if tilde and certificate and key else None
    return _parse_object(scheme, rest.removeprefix("//")) if rest.startswith("//") else None


def _parse_object(scheme: str, path: str) -> SecretName | None:
    namespace, _, name = path.rpartition("/")
    if not name or "/" in namespace:
        return None
    if scheme == "kubernetes":
        return KubernetesSecret(name, namespace)
    if scheme == "kubernetes-gateway" and namespace:
        return KubernetesSecret(name, namespace)
    if scheme == "configmap" and namespace:
        return ConfigMapRoot(namespace, name)
    return None


def listener(address: str, port: int) -> str:
    """Name a listener: `ADDR_PORT`, IPv6 in brackets, a Unix socket by its path (port 0)."""
    if not port:
        return address
    return f"[{address}]_{port}" if ":" in address else f"{address}_{port}"


def config_path(kind: str, namespace: str, name: str) -> str:
    """Name an object in metadata, as Istio's tools read it: `kind` is `virtual-service` and so on."""
    return f"/apis/networking.istio.io/v1/namespaces/{namespace}/{kind}/{name}"


def inbound_virtual_host(port: int) -> str:
    """Name the only virtual host of an inbound route: `inbound|http|PORT`."""
    return f"inbound|http|{port}"


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and (text == "0" or text[0] != "0")
