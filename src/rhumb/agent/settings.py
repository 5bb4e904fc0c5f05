"""What one sidecar needs to know, as frozen values; `from_environment` is the only reader of it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import msgspec

from rhumb.base.errors import RhumbError
from rhumb.model.endpoint import Labels, Locality, Workload
from rhumb.model.proxy import Interception, Role

VERSION = "1.28.0"
"""ISTIO_VERSION that our proxies claim: the level of Istio's API that the control plane speaks."""
SOCKET_MARK = 1337
"""SO_MARK of every socket that must not be captured: Envoy's upstream ones, our DNS and probes."""


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """Istio's port numbers; other numbers serve when sidecars share a host."""

    admin: int = 15000
    outbound: int = 15001
    inbound: int = 15006
    agent: int = 15020
    ready: int = 15021
    prometheus: int = 15090
    dns: int = 15053
    dns_upstream: int = 15054
    """Names as the outside world knows them: what Envoy itself asks when port 53 is captured."""


class HttpHeader(msgspec.Struct, frozen=True):
    """One header of an HTTP probe."""

    name: str
    value: str


class HttpGet(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Healthy when the answer's status is 200 to 399."""

    port: int
    path: str = "/"
    host: str = "127.0.0.1"
    scheme: str = "HTTP"
    http_headers: tuple[HttpHeader, ...] = ()


class TcpSocket(msgspec.Struct, frozen=True, kw_only=True):
    """Healthy when the connection is accepted."""

    port: int
    host: str = "127.0.0.1"


class Exec(msgspec.Struct, frozen=True):
    """Healthy when the command ends with 0."""

    command: tuple[str, ...]


class Grpc(msgspec.Struct, frozen=True, kw_only=True):
    """Healthy when grpc.health.v1.Health/Check says SERVING."""

    port: int
    service: str = ""


class Probe(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Istio's ReadinessProbe (networking.istio.io WorkloadGroup `probe`): exactly one method."""

    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    exec: Exec | None = None
    grpc: Grpc | None = None
    initial_delay_seconds: float = 0
    timeout_seconds: float = 1
    period_seconds: float = 10
    success_threshold: int = 1
    failure_threshold: int = 3

    def __post_init__(self) -> None:
        chosen = [
            m for m in (self.http_get, self.tcp_socket, self.exec, self.grpc) if m is not None
        ]
        if len(chosen) != 1:
            raise ValueError(
                f"a probe has exactly one of httpGet, tcpSocket, exec and grpc, not {len(chosen)}"
            )
        if self.http_get and self.http_get.scheme not in ("HTTP", "HTTPS"):
            raise ValueError(f'scheme is HTTP or HTTPS, not "{self.http_get.scheme}"')
        if min(self.timeout_seconds, self.period_seconds) <= 0 or self.initial_delay_seconds < 0:
            raise ValueError(
                "timeoutSeconds and periodSeconds are above 0, initialDelaySeconds is not below"
            )
        if min(self.success_threshold, self.failure_threshold) < 1:
            raise ValueError("successThreshold and failureThreshold are at least 1")


class Capture(msgspec.Struct, frozen=True, kw_only=True):
    """What of the workload's traffic goes through Envoy (Istio's traffic.sidecar.istio.io/*)."""

    mode: Interception = Interception.REDIRECT
    exclude_inbound_ports: tuple[int, ...] = ()
    include_outbound_ranges: tuple[str, ...] = ()
    """CIDRs; empty is all."""
    exclude_outbound_ranges: tuple[str, ...] = ()
    exclude_outbound_ports: tuple[int, ...] = ()
    dns: bool = True
    dns_servers: tuple[str, ...] = ()
    """IPv4 addresses of servers whose port 53 is ours; empty: everybody's but 127.0.0.1.

    A machine with a resolver of its own (systemd-resolved) names that one: what it asks others must reach
    them, or it asks itself.
    """


class Discovery(msgspec.Struct, frozen=True, kw_only=True):
    """Where the control plane is, and the names its certificate must carry."""

    address: str
    """HOST:PORT of its mutual-TLS port; HOST is an address or a DNS name."""
    sni: str = "istiod.istio-system.svc"
    subject_alt_names: tuple[str, ...] = ("istiod.istio-system.svc",)
    """DNS names; the certificate must have one of them."""

    @property
    def host(self) -> str:
        """Return the address without the port and without brackets."""
        return self.address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """Return the port number.

        Raises RhumbError when the address has none.
        """
        host, _, port = self.address.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise RhumbError(
                f'control plane address "{self.address}" is not HOST:PORT',
                hint="write it like 10.0.0.2:15012 or mesh.example.com:15012",
            )
        return int(port)


class Stats(msgspec.Struct, frozen=True):
    """Statistics that Envoy keeps besides those that are always kept."""

    prefixes: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    expressions: tuple[str, ...] = ()
    """RE2."""


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """What a mesh says of how a proxy starts; None: nothing."""

    concurrency: int | None = None
    drain_seconds: float | None = None
    environment: Mapping[str, str] = msgspec.field(default_factory=dict)
    """ISTIO_META_NAME is node metadata NAME."""
    runtime: Mapping[str, str] = msgspec.field(default_factory=dict)
    stats: Stats = Stats()
    overlay: Mapping[str, object] = msgspec.field(default_factory=dict)
    """A part of a bootstrap, as JSON."""


class SidecarSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One proxy and the workload beside it."""

    name: str
    """Instance name, unique in its namespace: `reviews-v1-0`."""
    namespace: str
    addresses: tuple[str, ...]
    """The workload's own, the first of them in the node id."""
    discovery: Discovery
    directory: Path
    """Working directory of Envoy, made when missing: bootstrap, ./sds."""
    workload: str = ""
    """Name in metrics (deployment); the instance name when empty."""
    labels: Labels = ()
    service_account: str = "default"
    role: Role = Role.SIDECAR
    trust_domain: str = "cluster.local"
    domain: str = "cluster.local"
    """DNS domain of the mesh."""
    mesh_id: str = "cluster.local"
    cluster_id: str = "Kubernetes"
    network: str = ""
    locality: Locality = Locality()
    auto_register_group: str = ""
    """WorkloadGroup that this machine joins when it connects."""
    metadata: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Further node metadata (Istio: ISTIO_META_*)."""
    listen: str = "0.0.0.0"  # noqa: S104 - scrapers and load balancers come from other hosts
    """Address of 15020, 15021 and 15090."""
    loopback: str = "127.0.0.1"
    """Address of 15000 and 15053; another 127/8 one when sidecars share a host."""
    ports: Ports = Ports()
    capture: Capture = Capture()
    own_resolver: bool = False
    """Envoy looks names up with the agent's second name server (`ports.dns_upstream`), not the machine's."""
    probe: Probe | None = None
    application_metrics: str = ""
    """URL of the application's own Prometheus metrics; empty is none."""
    dns_servers: tuple[str, ...] = ()
    """Upstream name servers, ADDRESS or ADDRESS:PORT."""
    envoy: str = ""
    """Path of the binary; empty looks for the installed one."""
    concurrency: int = 1
    """Worker threads of Envoy, 0 for one on each CPU; a ProxyConfig wins over it."""
    environment: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Variables of Envoy's environment."""
    runtime: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Values of Envoy's runtime: JSON numbers and booleans, or strings."""
    stats: Stats = Stats()
    log_level: str = "warning"
    component_log_level: str = "misc:error"
    drain_seconds: float = 5
    """How long in-flight requests may take to end after the order to stop."""

    @property
    def identity(self) -> Workload:
        """Return who this is, for metrics and policy."""
        return Workload(
            name=self.workload or self.name,
            namespace=self.namespace,
            labels=self.labels,
            service_account=self.service_account,
            network=self.network,
            cluster=self.cluster_id,
            locality=self.locality,
        )

    @property
    def spiffe_id(self) -> str:
        """Return the identity that its certificate carries."""
        return f"spiffe://{self.trust_domain}/ns/{self.namespace}/sa/{self.service_account}"

    def started(self, told: Start) -> Self:
        """Return the settings with what the mesh says of how this proxy starts."""
        prefix = "ISTIO_META_"
        variables = told.environment.items()
        more = {n.removeprefix(prefix): v for n, v in variables if n.startswith(prefix)}
        return msgspec.structs.replace(
            self,
            concurrency=self.concurrency if told.concurrency is None else told.concurrency,
            drain_seconds=self.drain_seconds if told.drain_seconds is None else told.drain_seconds,
            metadata={**self.metadata, **more},
            environment={n: v for n, v in variables if not n.startswith(prefix)},
            runtime=told.runtime,
            stats=told.stats,
        )

    def node_id(self, kind: Role | None = None) -> str:
        """Return the node id of Envoy's stream, or of the agent's own with Role.AGENT."""
        domain = f"{self.namespace}.svc.{self.domain}"
        return f"{kind or self.role}~{self.addresses[0]}~{self.name}.{self.namespace}~{domain}"


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What the environment says; options of the command line win over it."""

    envoy: str = ""
    """ENVOY_PATH."""
    metadata: Mapping[str, str] = msgspec.field(default_factory=dict)
    """ISTIO_META_NAME=value as NAME: value."""
    path: str = ""
    """PATH, to find Envoy on."""


def from_environment() -> Environment:
    """Read the variables of this process that concern the agent."""
    variables = os.environ  # noqa: TID251 - the one place
    prefix = "ISTIO_META_"
    return Environment(
        envoy=variables.get("ENVOY_PATH", ""),
        metadata={k.removeprefix(prefix): v for k, v in variables.items() if k.startswith(prefix)},
        path=variables.get("PATH", os.defpath),
    )
