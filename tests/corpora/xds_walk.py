"""A walk over xDS: which listener, chain, virtual host, route and cluster a call meets (Envoy's rules)."""

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from envoy.config.core.v3.address_pb2 import CidrRange
from envoy.config.listener.v3.listener_components_pb2 import (
    FilterChain,
    FilterChainMatch,
    ListenerFilterChainMatchPredicate,
)
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import Route, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext

T = TypeVar("T")
_INSPECTOR = "envoy.filters.listener.{}_inspector"
_SNIFFED = {"http": "http/1.1", "http2": "h2c"}


@dataclass
class Call:
    """One connection, and the request in it."""

    address: str
    port: int
    protocol: str = ""
    tls: str = "plaintext"
    alpn: str = ""
    sni: str = ""
    host: str = ""
    path: str = "/"
    inbound: bool = False
    secret: str = "default"


@dataclass
class Met:
    """What the call met on its way, as far as it came."""

    error: str | None = None
    listener: str = ""
    filter_chain: str = ""
    route_config: str = ""
    virtual_host: str = ""
    route: str = ""
    cluster: str = ""
    notes: list[str] = field(default_factory=list)


def walk(call: Call, listeners: Sequence[Listener], routes: dict[str, RouteConfiguration]) -> Met:
    """Follow a call to its cluster, or to the error that stops it."""
    met = Met()
    found = _listener(call, listeners)
    if found is None:
        met.error = "no listener matched"
        return met
    met.listener = found.name
    inspects_tls = _is_on(found, "tls", call.port)
    alpn = call.alpn if inspects_tls else ""
    if call.tls == "plaintext" and _is_on(found, "http", call.port):
        alpn = _SNIFFED.get(call.protocol, alpn)
    chain = _chain(call, found, alpn, inspects_tls=inspects_tls)
    if isinstance(chain, str):
        met.error = chain
        return met
    met.filter_chain = chain.name
    met.error = _handshake(call, chain)
    if met.error is None:
        _terminal(call, chain, routes, met)
    return met


def _listener(call: Call, listeners: Sequence[Listener]) -> Listener | None:
    if call.inbound:
        return next((x for x in listeners if x.name == "virtualInbound"), None)
    for address in (call.address, "0.0.0.0"):
        for each in listeners:
            at = each.address.socket_address
            if (at.address, at.port_value) == (address, call.port):
                return each
    return next((x for x in listeners if x.name == "virtualOutbound"), None)


def _is_on(listener: Listener, kind: str, port: int) -> bool:
    for each in listener.listener_filters:
        if each.name == _INSPECTOR.format(kind):
            return not (each.HasField("filter_disabled") and _holds(each.filter_disabled, port))
    return False


def _holds(rule: ListenerFilterChainMatchPredicate, port: int) -> bool:
    which = rule.WhichOneof("rule")
    if which == "or_match":
        return any(_holds(r, port) for r in rule.or_match.rules)
    if which == "not_match":
        return not _holds(rule.not_match, port)
    return rule.destination_port_range.start <= port < rule.destination_port_range.end


def _chain(call: Call, listener: Listener, alpn: str, *, inspects_tls: bool) -> FilterChain | str:
    chains = list(listener.filter_chains)
    chains = _best(chains, lambda m: m.destination_port.value, lambda v: int(v == call.port))
    chains = _best(chains, lambda m: list(m.prefix_ranges), lambda v: _range(v, call.address))
    chains = _best(chains, lambda m: list(m.server_names), lambda v: _name(v, call.sni))
    transport = "raw_buffer" if call.tls == "plaintext" or not inspects_tls else "tls"
    chains = _best(chains, lambda m: m.transport_protocol, lambda v: int(v == transport))
    chains = _best(chains, lambda m: list(m.application_protocols), lambda v: int(alpn in v))
    if len(chains) > 1:
        return "multiple filter chains matched"
    if chains:
        return chains[0]
    if listener.HasField("default_filter_chain"):
        return listener.default_filter_chain
    return "no filter chains matched"


def _best(
    chains: list[FilterChain],
    get: Callable[[FilterChainMatch], T],
    rank: Callable[[T], int],
) -> list[FilterChain]:
    """Keep the chains that match best; if none does, those without such a condition."""
    ranks = [
        (rank(get(c.filter_chain_match)) if get(c.filter_chain_match) else 0, c) for c in chains
    ]
    top = max((r for r, _ in ranks), default=0)
    if top:
        return [c for r, c in ranks if r == top]
    return [c for c in chains if not get(c.filter_chain_match)]


def _range(ranges: Iterable[CidrRange], address: str) -> int:
    wanted = ipaddress.ip_address(address)
    found = [ipaddress.ip_network(f"{r.address_prefix}/{r.prefix_len.value}") for r in ranges]
    return max(
        (n.prefixlen + 1 for n in found if n.version == wanted.version and wanted in n), default=0
    )


def _name(names: list[str], sni: str) -> int:
    if sni in names:
        return 10_000
    return max(
        (len(n) for n in names if n.startswith("*") and sni.endswith(n[1:]) and sni), default=0
    )


def _handshake(call: Call, chain: FilterChain) -> str | None:
    if not chain.HasField("transport_socket"):
        return None
    if call.tls == "plaintext":
        return "invalid TLS"
    context = DownstreamTlsContext()
    assert chain.transport_socket.typed_config.Unpack(context)
    if context.require_client_certificate.value != (call.tls == "mtls"):
        return "invalid mTLS"
    return None


def _terminal(
    call: Call, chain: FilterChain, routes: dict[str, RouteConfiguration], met: Met
) -> None:
    manager, proxy = HttpConnectionManager(), TcpProxy()
    config = chain.filters[-1].typed_config
    if config.Unpack(proxy):
        met.cluster = proxy.cluster
        return
    assert config.Unpack(manager)
    undecrypted = call.tls != "plaintext" and not chain.HasField("transport_socket")
    if undecrypted or call.protocol not in _SNIFFED:
        met.error = "protocol error"
        return
    table: RouteConfiguration | None = manager.route_config
    if manager.HasField("rds"):
        met.route_config = manager.rds.route_config_name
        table = routes.get(met.route_config)
    if table is None:
        met.error = "no virtual host matched"
        return
    _routed(call, table, met)


def _routed(call: Call, table: RouteConfiguration, met: Met) -> None:
    host = re.sub(r":\d+$", "", call.host) if table.ignore_port_in_host_matching else call.host
    virtual_host = find_virtual_host(table, host)
    if virtual_host is None:
        met.error = "no virtual host matched"
        return
    met.virtual_host = virtual_host.name
    if virtual_host.require_tls == VirtualHost.ALL and call.tls == "plaintext":
        met.error = "tls required, sending 301"
        return
    for route in virtual_host.routes:
        if _path_matches(route, call.path):
            met.route, met.cluster = route.name, route.route.cluster
            return
    met.error = "no route matched"


def find_virtual_host(table: RouteConfiguration, host: str) -> VirtualHost | None:
    """Choose by Envoy's rule: exact, longest suffix, longest prefix, `*`."""
    best: tuple[int, int] = (0, 0)
    found: VirtualHost | None = None
    for virtual_host in table.virtual_hosts:
        for domain in virtual_host.domains:
            rank = _domain_rank(domain.lower(), host.lower())
            if rank > best:
                best, found = rank, virtual_host
    return found


def _domain_rank(domain: str, host: str) -> tuple[int, int]:
    if domain == "*":
        return (1, 0)
    if domain == host:
        return (4, 0)
    if domain.startswith("*") and host.endswith(domain[1:]) and len(host) >= len(domain):
        return (3, len(domain))
    if domain.endswith("*") and host.startswith(domain[:-1]) and len(host) >= len(domain):
        return (2, len(domain))
    return (0, 0)


def _path_matches(route: Route, path: str) -> bool:
    match = route.match
    which = match.WhichOneof("path_specifier")
    if which == "prefix":
        return path.startswith(match.prefix)
    if which == "path":
        return path == match.path
    if which == "path_separated_prefix":
        return path == match.path_separated_prefix or path.startswith(
            f"{match.path_separated_prefix}/"
        )
    return re.fullmatch(match.safe_regex.regex, path) is not None
