"""The servers of all Gateways that select one router, merged by port: who serves what, who lost.

Istio's rules: Gateways count in order of age; plain servers of one protocol share a
port, TLS servers share it by host name; what does not fit is refused and the rest goes on.
"""

from collections.abc import Iterable

import msgspec

from rhumb.base import hosts
from rhumb.ir.origin import Origin, origin
from rhumb.model.kinds.gateway import Server, ServerTls, ServerTlsMode
from rhumb.model.service import Protocol
from rhumb.registry.protocols import declared
from rhumb.snapshot.snapshot import GatewayServers
from rhumb.snapshot.view import View
from rhumb.translate import names
from rhumb.translate.perspective import Perspective

_SERVICE_ANNOTATION = "internal.istio.io/gateway-service"
_PASSTHROUGH = (ServerTlsMode.PASSTHROUGH, ServerTlsMode.AUTO_PASSTHROUGH)


class Served(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """One server of a Gateway, with all that was decided about it."""

    gateway: GatewayServers
    server: Server
    field: str
    port: int
    """Port that the router binds: the target port of its Service where that exposes `number`."""
    number: int
    """Port as the Gateway writes it."""
    protocol: Protocol
    bind: str
    hosts: tuple[str, ...]
    """`HOST`, or `NAMESPACE/HOST` for VirtualServices of that namespace alone."""
    route: str
    """Name of the route configuration; empty for TCP and passthrough servers."""

    @property
    def origin(self) -> Origin:
        """Cite the server."""
        return origin(self.gateway.resource, self.field)

    @property
    def tls(self) -> ServerTls | None:
        """Return the TLS settings as they count: on plain HTTP ports only the redirect does."""
        return self.server.tls

    @property
    def is_tls(self) -> bool:
        """Tell whether connections carry TLS."""
        return self.server.tls is not None and not self.protocol.is_http

    @property
    def passes_through(self) -> bool:
        """Tell whether TLS is routed by SNI without being terminated."""
        return self.is_tls and self.server.tls is not None and self.server.tls.mode in _PASSTHROUGH

    @property
    def is_http(self) -> bool:
        """Tell whether requests are routed, over plain text or terminated TLS."""
        return self.protocol.is_http or (
            self.protocol is Protocol.HTTPS and self.is_tls and not self.passes_through
        )

    @property
    def server_names(self) -> tuple[str, ...]:
        """Return the hosts as SNI, each once."""
        return tuple(dict.fromkeys(h.rpartition("/")[2] for h in self.hosts))

    def hosts_for(self, namespace: str) -> tuple[str, ...]:
        """Return the hosts that VirtualServices of a namespace may serve."""
        found = [h.rpartition("/") for h in self.hosts]
        return tuple(host for owner, _, host in found if owner in ("", namespace))


class Refused(msgspec.Struct, frozen=True):
    """A server that is not in force, and why."""

    origin: Origin
    reason: str
    winner: Served | None = None
    """The server that is in its way."""


class _Owners(msgspec.Struct, eq=False):
    """Who has a port of an address: plain servers of one protocol, or TLS servers by host."""

    first: Served
    by_host: dict[str, Served]
    """In lower case."""


class Merged(msgspec.Struct, frozen=True, eq=False):
    """What a router serves."""

    servers: tuple[Served, ...]
    refused: tuple[Refused, ...]

    def ports(self) -> dict[tuple[str, int], list[Served]]:
        """Return the servers by bind address and port."""
        found: dict[tuple[str, int], list[Served]] = {}
        for served in self.servers:
            found.setdefault((served.bind, served.port), []).append(served)
        return found

    def by_route(self) -> dict[str, list[Served]]:
        """Return the HTTP servers by the name of their route configuration."""
        found: dict[str, list[Served]] = {}
        for served in self.servers:
            if served.route:
                found.setdefault(served.route, []).append(served)
        return found


def merge(seen: Perspective) -> Merged:
    """Merge the servers of all Gateways of a router."""
    return merged(seen.view, seen.snapshot.gateways(seen.view))


def merged(view: View, gateways: Iterable[GatewayServers]) -> Merged:
    """Merge the servers of Gateways, given the oldest first."""
    accepted: list[Served] = []
    refused: list[Refused] = []
    owners: dict[tuple[str, int], _Owners] = {}
    for gateway in gateways:
        for at, server in enumerate(gateway.spec.servers):
            if server.port is None:
                continue
            for port in _bound_ports(view, gateway, server.port.number):
                served = _served(gateway, server, f"spec.servers[{at}]", port)
                place = served.bind, served.port
                reason, winner = _conflict(view, served, owners.get(place))
                if reason:
                    refused.append(Refused(served.origin, reason, winner))
                    continue
                accepted.append(served)
                by_host = owners.setdefault(place, _Owners(served, {})).by_host
                by_host.update((host.lower(), served) for host in served.server_names)
    return Merged(tuple(accepted), tuple(refused))


def _served(gateway: GatewayServers, server: Server, field: str, port: int) -> Served:
    written = server.port.number if server.port else 0
    protocol = declared(server.port.protocol if server.port else "")
    meta = gateway.resource.meta
    served = Served(
        gateway=gateway,
        server=server,
        field=field,
        port=port,
        number=written,
        protocol=protocol,
        bind=server.bind,
        hosts=tuple(_qualified(host, meta.namespace) for host in server.hosts),
        route="",
    )
    if not served.is_http:
        return served
    suffix = f".{server.bind}" if server.bind else ""
    name = str(names.GatewayRoute(port))
    if not protocol.is_http:
        port_name = server.port.name if server.port else ""
        name = str(names.GatewayTlsRoute(port, port_name, meta.name, meta.namespace))
    return msgspec.structs.replace(served, route=name + suffix)


def _bound_ports(view: View, gateway: GatewayServers, number: int) -> tuple[int, ...]:
    """Translate a port of the router's Service to ports of its workload.

    A Gateway that names its Services (an annotation that Gateway API's conversion writes) binds
    what these target and nothing else; any other binds the number itself where no Service says.
    """
    said = gateway.resource.meta.annotations.get(_SERVICE_ANNOTATION, "")
    if said:
        owners = {host.strip() for host in said.split(",")}
        return tuple(
            sorted(
                {
                    i.target_port
                    for i in view.instances
                    if i.hostname in owners and i.port.number == number
                }
            )
        )
    found = [i.target_port for i in view.instances if i.port.number == number]
    return (found[0] if found else number,)


def _qualified(host: str, namespace: str) -> str:
    """Expand `./HOST` to the Gateway's namespace; `*/HOST` is any, as is `HOST` alone."""
    owner, slash, name = host.rpartition("/")
    if not slash or owner == "*":
        return name
    return f"{namespace if owner == '.' else owner}/{name}"


def _conflict(view: View, served: Served, there: _Owners | None) -> tuple[str, Served | None]:
    """Say why a server cannot join those already accepted, and because of which; empty when it can."""
    if view.capabilities.unprivileged and served.port < 1024:
        return f"port {served.port} is below 1024 and the gateway may not bind it", None
    if there is None:
        return "", None
    first = there.first
    if not first.is_tls and not (served.protocol.is_http and first.protocol.is_http):
        return f"port {served.port} already serves {first.protocol} for {first.gateway.name}", first
    if first.is_tls and not served.is_tls:
        return f"port {served.port} already serves TLS for {first.gateway.name}", first
    for host in served.server_names if served.is_tls else ():
        owner = there.by_host.get(host.lower())
        if owner is not None:
            reason = f"host {host} on port {served.port} is already served by "
            return reason + owner.gateway.name, owner
    return "", None


def intersection(server_hosts: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Return the hosts that both sides cover: of two that overlap, the more specific (Istio: Names.Intersection)."""
    found: dict[str, None] = {}
    for host in server_hosts:
        for other in wanted:
            if hosts.covers(host, other):
                found[other] = None
            elif hosts.covers(other, host):
                found[host] = None
    return tuple(found)
