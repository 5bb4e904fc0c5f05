"""A mesh as Istio YAML, of any size and some variety, and the changes that are made to it."""

from collections.abc import Iterator
from pathlib import Path

import msgspec


class Mesh(msgspec.Struct, frozen=True, kw_only=True):
    """What to write."""

    services: int = 100
    endpoints: int = 2
    """Workloads of each service."""
    namespaces: int = 10
    routed: int = 2
    """Every so-many-th service has a DestinationRule with two subsets and a VirtualService; 0: none."""
    scoped: bool = False
    """One Sidecar for each namespace: egress to its own namespace only."""
    varied: bool = False
    """Services of several ports, TCP and headless ones, policies, gateways, Envoy filters, not HTTP alone."""
    tcp: bool = False
    """Every service is TCP, at an address of its own."""
    published: bool = False
    """A gateway has every routed service, too, and every fourth proxy is that gateway's."""
    policed: bool = False
    """PeerAuthentications for namespaces and workloads, and Envoy filters that concern every proxy."""

    def namespace(self, service: int) -> str:
        """Return the namespace of a service."""
        return f"ns-{service % self.namespaces}"

    def host(self, service: int) -> str:
        """Return the host name of a service."""
        return f"svc-{service}.{self.namespace(service)}.svc.cluster.local"

    def address(self, service: int, endpoint: int) -> str:
        """Return the address of a workload."""
        number = service * self.endpoints + endpoint + 1
        return f"10.{128 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"

    def write(self, directory: Path) -> None:
        """Write every object."""
        for service in range(self.services):
            replace(directory / f"svc-{service}.yaml", self.service(service))
            if self.routed and service % self.routed == 0:
                replace(directory / f"routes-{service}.yaml", self.routes(service))
        for number in range(self.namespaces):
            if self.scoped:
                replace(directory / f"sidecar-{number}.yaml", self.sidecar(number))
        if self.varied:
            replace(directory / "varied.yaml", "---\n".join(self._variety()))
        if self.published:
            replace(directory / "gateway.yaml", _GATEWAY)
        if self.policed:
            replace(directory / "policies.yaml", "---\n".join(self._policies()))

    def service(self, service: int, *more: str) -> str:
        """Return a service with its workloads and `more` addresses of workloads."""
        namespace = self.namespace(service)
        number = service + 1
        kind = service % 5 if self.varied else 2 if self.tcp else 0
        address = f"10.{96 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
        texts = [
            _SERVICE
            % {
                "n": service,
                "ns": namespace,
                "host": self.host(service),
                "addresses": f"[{address}]" if kind != 4 else "[]",
                "resolution": "STATIC" if kind != 4 else "NONE",
                "ports": _PORTS[kind],
            }
        ]
        found = [self.address(service, at) for at in range(self.endpoints)]
        for at, each in enumerate([*found, *more] if kind != 4 else []):
            texts.append(
                _WORKLOAD % {"n": service, "e": at, "ns": namespace, "ip": each, "v": at % 2 + 1}
            )
        return "---\n".join(texts)

    def routes(self, service: int, user: str = "beta") -> str:
        """Return the DestinationRule and the VirtualService of a service.

        `user` gets version 2; where there are no users, that is the name of its subset.
        """
        values = {"n": service, "ns": self.namespace(service), "host": self.host(service)}
        values["second"] = user if self.tcp else "v2"
        gateways = "[mesh, ns-0/public]" if self.published else "[mesh]"
        rules = _TCP_RULES if self.tcp else _HTTP_RULES
        return (_ROUTES + rules) % (values | {"user": user, "gateways": gateways})

    def sidecar(self, namespace: int) -> str:
        """Return the Sidecar that has a namespace see itself alone."""
        return _SIDECAR % f"ns-{namespace}"

    def is_gateway(self, proxy: int) -> bool:
        """Tell whether a proxy is the gateway's, by its number."""
        return self.published and proxy % 4 == 3

    def _policies(self) -> Iterator[str]:
        yield from (_STRICT % f"ns-{n}" for n in range(0, self.namespaces, 2))
        for n in range(0, self.services, 5):
            yield _PERMISSIVE % {"n": n, "ns": self.namespace(n)}
        yield _FILTERS

    def _variety(self) -> Iterator[str]:
        yield _GATEWAY
        yield from (
            _PUBLISHED % {"n": n, "host": self.host(n)} for n in range(0, self.services, 10)
        )
        yield from (_STRICT % f"ns-{n}" for n in range(0, self.namespaces, 2))
        yield _FILTER


def replace(path: Path, text: str) -> None:
    """Write a file as editors do: beside it, then renamed over it."""
    beside = path.with_name(f".{path.name}.tmp")
    beside.write_text(text)
    beside.replace(path)


_SERVICE = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: svc-%(n)d, namespace: %(ns)s}
spec:
  hosts: [%(host)s]
  addresses: %(addresses)s
  location: MESH_INTERNAL
  resolution: %(resolution)s
  ports: [%(ports)s]
  workloadSelector: {labels: {app: svc-%(n)d}}
"""
_HTTP = "{number: 8080, name: http, protocol: HTTP, targetPort: 8080}"
_PORTS = (
    _HTTP,
    f"{_HTTP}, {{number: 9090, name: grpc, protocol: GRPC}}",
    "{number: 5432, name: tcp, protocol: TCP}",
    f"{_HTTP}, {{number: 3306, name: any}}",
    "{number: 6379, name: tcp, protocol: TCP}",
)
_WORKLOAD = """\
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: svc-%(n)d-%(e)d, namespace: %(ns)s}
spec:
  address: %(ip)s
  labels: {app: svc-%(n)d, version: v%(v)d}
  serviceAccount: sa-%(n)d
"""
_ROUTES = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: svc-%(n)d, namespace: %(ns)s}
spec:
  host: %(host)s
  trafficPolicy:
    loadBalancer: {simple: ROUND_ROBIN}
    connectionPool: {tcp: {maxConnections: 100}, http: {http2MaxRequests: 1000}}
    outlierDetection: {consecutive5xxErrors: 5, interval: 10s, baseEjectionTime: 30s}
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: %(second)s, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: svc-%(n)d, namespace: %(ns)s}
spec:
  hosts: [%(host)s]
  gateways: %(gateways)s
"""
_HTTP_RULES = """\
  http:
  - match:
    - headers: {end-user: {exact: %(user)s}}
    route:
    - destination: {host: %(host)s, subset: v2}
  - route:
    - {destination: {host: %(host)s, subset: v1}, weight: 90}
    - {destination: {host: %(host)s, subset: v2}, weight: 10}
    timeout: 5s
    retries: {attempts: 3, perTryTimeout: 2s}
"""
_TCP_RULES = """\
  tcp:
  - route:
    - {destination: {host: %(host)s, subset: v1}, weight: 90}
    - {destination: {host: %(host)s, subset: %(second)s}, weight: 10}
"""
_SIDECAR = """\
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: %s}
spec: {egress: [{hosts: ["./*"]}]}
"""
_GATEWAY = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: public, namespace: ns-0}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
"""
_PUBLISHED = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: public-%(n)d, namespace: ns-0}
spec:
  hosts: [svc-%(n)d.example.com]
  gateways: [ns-0/public]
  http: [{route: [{destination: {host: %(host)s, port: {number: 8080}}}]}]
"""
_STRICT = """\
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: %s}
spec: {mtls: {mode: STRICT}}
"""
_FILTER = """\
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: idle, namespace: ns-1}
spec:
  configPatches:
  - applyTo: CLUSTER
    match: {context: SIDECAR_OUTBOUND}
    patch: {operation: MERGE, value: {per_connection_buffer_limit_bytes: 65536}}
"""
_PERMISSIVE = """\
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: svc-%(n)d, namespace: %(ns)s}
spec:
  selector: {matchLabels: {app: svc-%(n)d}}
  mtls: {mode: STRICT}
  portLevelMtls: {8080: {mode: PERMISSIVE}}
"""
_FILTERS = """\
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: everybody, namespace: istio-system}
spec:
  configPatches:
  - applyTo: CLUSTER
    match: {context: SIDECAR_OUTBOUND}
    patch: {operation: MERGE, value: {per_connection_buffer_limit_bytes: 65536}}
  - applyTo: NETWORK_FILTER
    match:
      context: SIDECAR_INBOUND
      listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}
    patch:
      operation: MERGE
      value:
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          common_http_protocol_options: {idle_timeout: 300s}
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: some, namespace: ns-0}
spec:
  workloadSelector: {labels: {version: v1}}
  configPatches:
  - applyTo: LISTENER
    match: {context: SIDECAR_OUTBOUND}
    patch: {operation: MERGE, value: {per_connection_buffer_limit_bytes: 65536}}
"""
