"""Routes: the virtual hosts of a route configuration, and what happens to their requests."""

import msgspec

from rhumb.ir.match import RequestMatch
from rhumb.ir.origin import Origin
from rhumb.ir.policy import Cors, Fault, HashPolicy, HeaderChanges, Mirror, Retry


class Target(msgspec.Struct, frozen=True, cache_hash=True):
    """One cluster of a route and its share of the requests."""

    cluster: str
    weight: int = 1
    headers: HeaderChanges = HeaderChanges()
    host_rewrite: str = ""


class RegexRewrite(msgspec.Struct, frozen=True, cache_hash=True):
    """Replace what an RE2 expression finds in the path."""

    pattern: str
    substitution: str


class Forward(msgspec.Struct, frozen=True, cache_hash=True):
    """Send requests to one cluster, or to several by weight."""

    targets: tuple[Target, ...]
    """One target: its headers and host rewrite stand at the route."""
    timeout_ms: int = 0
    """0: none."""
    retry: Retry | None = None
    prefix_rewrite: str = ""
    regex_rewrite: RegexRewrite | None = None
    host_rewrite: str = ""
    mirrors: tuple[Mirror, ...] = ()
    hash_policies: tuple[HashPolicy, ...] = ()
    appends_host: bool = False
    """Send x-forwarded-host where the host is rewritten."""
    limits_stream: bool = False
    """Write max_stream_duration 0 instead of the gRPC timeout limit (inbound routes)."""


class Redirect(msgspec.Struct, frozen=True, cache_hash=True):
    """Answer with a redirect."""

    code: int = 301
    host: str = ""
    path: str = ""
    prefix: str = ""
    """Replaces the matched prefix; wins over `path`."""
    scheme: str = ""
    port: int = 0


class DirectResponse(msgspec.Struct, frozen=True, cache_hash=True):
    """Answer without any upstream."""

    status: int
    body: bytes | None = None


Action = Forward | Redirect | DirectResponse


class Route(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """One rule of a virtual host: the first that matches decides."""

    name: str
    match: RequestMatch = RequestMatch()
    action: Action
    headers: HeaderChanges = HeaderChanges()
    fault: Fault | None = None
    cors: Cors | None = None
    operation: str = ""
    """Name of the operation in traces."""
    stat_prefix: str = ""
    config: str = ""
    """Path of the VirtualService that made it: metadata `istio.config`."""
    origin: tuple[Origin, ...] = ()


class VirtualHost(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """The routes of a set of host names."""

    name: str
    domains: tuple[str, ...]
    routes: tuple[Route, ...] = ()
    requires_tls: bool = False
    """Plain requests are redirected to https."""
    counts_attempts: bool = True
    """Tell the upstream which attempt this is (x-envoy-attempt-count)."""
    headers: HeaderChanges = HeaderChanges()


class HostOfRoute(msgspec.Struct, frozen=True, cache_hash=True):
    """A virtual host that is a resource of its own (VHDS)."""

    route: str
    """Name of the route configuration that it belongs to."""
    host: VirtualHost

    @property
    def name(self) -> str:
        """Return the resource name (Envoy: "route configuration name / alias")."""
        return f"{self.route}/{self.host.name}"

    @property
    def origin(self) -> tuple[Origin, ...]:
        """Return what caused it."""
        return tuple(dict.fromkeys(o for route in self.host.routes for o in route.origin))


class RouteConfiguration(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """A table of virtual hosts, served over RDS or inline in a listener."""

    name: str
    virtual_hosts: tuple[VirtualHost, ...]
    hosts_apart: bool = False
    """The virtual hosts come as resources of their own (VHDS); none are inside."""
    ignores_port: bool = True
    """A port in the Host header plays no part in the choice of the virtual host."""
    limits_direct_responses: bool = True
    """Raise Envoy's limit of direct response bodies to the 1 MB that validation allows."""
    headers: HeaderChanges = HeaderChanges()
    origin: tuple[Origin, ...] = ()
