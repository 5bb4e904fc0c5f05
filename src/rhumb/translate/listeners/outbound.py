"""Listeners of sidecars, outbound: one for each address and port, conflicts settled as Istio does."""

import ipaddress
from collections.abc import Container, Iterator
from dataclasses import dataclass, field

import msgspec

from rhumb.ir.listener import (
    Direction,
    FilterChain,
    HttpConnectionManager,
    Listener,
    ListenerFilter,
    ListenerFilterKind,
)
from rhumb.ir.match import ConnectionMatch
from rhumb.model.endpoint import Health
from rhumb.model.proxy import Interception
from rhumb.model.service import Port, Protocol, Registry, Resolution, Service
from rhumb.registry.protocols import declared
from rhumb.snapshot.snapshot import EgressListener
from rhumb.translate import names, telemetry
from rhumb.translate.listeners import filters
from rhumb.translate.listeners.outbound_chains import (
    Place,
    catch_all,
    cidrs,
    http_chain,
    passthrough_chain,
    resolving_chain,
    tcp_chains,
)
from rhumb.translate.perspective import LOOPBACK, WILDCARD, WILDCARD_V6, Perspective

_RESERVED = frozenset({15021, 15090})
"""Static listeners of the bootstrap."""
_SERVER_FIRST = (Protocol.MONGO, Protocol.MYSQL)


class Lost(msgspec.Struct, frozen=True, eq=False):
    """A service port whose connections go elsewhere, or are not listened for."""

    place: Place
    winner: Place
    """What has the address and port; where `is_shared`, connections go there."""
    is_shared: bool


@dataclass
class _Entry:
    """A listener in the making."""

    place: Place
    protocol: Protocol
    """AUTO once HTTP and TCP share the listener, told apart by sniffing."""
    chains: list[FilterChain] = field(default_factory=list)
    owners: dict[ConnectionMatch, Place] = field(default_factory=dict)
    locked: bool = False
    """Declared by a Sidecar: services of the listener for all other ports may not join."""

    def merge(self, chains: tuple[FilterChain, ...], place: Place) -> Place | None:
        """Add chains; of two with one match the first stays. Returns who has them all already."""
        taken = [self.owners.get(chain.match) for chain in chains]
        for chain in chains:
            if chain.match not in self.owners:
                self.owners[chain.match] = place
                self.chains.append(chain)
        return taken[0] if taken and None not in taken else None


class _Table:
    """All listeners of one sidecar in the making, and who found no place."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, int], _Entry] = {}
        self.lost: list[Lost] = []

    def lose(self, place: Place, winner: Place, *, is_shared: bool = False) -> None:
        """Note that a service port is not listened for; HTTP and the sniffed have their routes."""
        if place.port.protocol.is_tcp and place.service is not winner.service:
            self.lost.append(Lost(place, winner, is_shared))


def listeners(seen: Perspective) -> tuple[Listener, ...]:
    """Return every outbound listener of a sidecar."""
    entries = _table(seen).entries
    made = [_listener(seen, entry) for entry in entries.values() if entry.chains]
    made += _http_proxy(seen)
    if seen.view.interception is not Interception.NONE:
        made.append(_virtual(seen))
    return tuple(sorted(made, key=lambda made_listener: made_listener.name))


def conflicts(seen: Perspective, hostnames: Container[str]) -> tuple[Lost, ...]:
    """Return the TCP ports of some services that others keep from being listened for."""
    return tuple(_table(seen, hostnames).lost)


def _table(seen: Perspective, only: Container[str] | None = None) -> _Table:
    table = _Table()
    for listener in seen.scope.egress:
        if not listener.port and not listener.bind.startswith(("/", "unix://", "@")):
            for entry in table.entries.values():
                entry.locked = True
        for place in _places(seen, listener, only):
            _join(seen, place, table)
    return table


def _places(
    seen: Perspective, listener: EgressListener, only: Container[str] | None
) -> Iterator[Place]:
    """Yield each service port of an egress listener with every address it is called at, the oldest first."""
    binds = not listener.capture or seen.view.interception is Interception.NONE
    wildcard = WILDCARD_V6 if seen.view.capabilities.ipv6 else WILDCARD
    bind = listener.bind or (LOOPBACK if binds else "")
    for service in sorted(listener.services, key=_age):
        if only is not None and service.hostname not in only:
            continue
        if seen.concrete(service) is not service:
            continue
        ports = service.ports
        if listener.port or bind.startswith(("/", "unix://", "@")):
            ports = (Port(listener.port, listener.name, declared(listener.protocol)),)
        for port in ports:
            if port.protocol in (Protocol.UDP, Protocol.HBONE) or _is_taken(
                seen, bind, wildcard, port
            ):
                continue
            place = Place(
                service=service,
                port=port,
                bind=bind,
                wildcard=wildcard,
                binds=binds,
                listener=listener,
            )
            yield from _addressed(seen, place)


def _age(service: Service) -> tuple[bool, str, str]:
    return (not service.created, service.created, service.hostname)


def _is_taken(seen: Perspective, bind: str, wildcard: str, port: Port) -> bool:
    """Tell whether the proxy itself listens there."""
    if bind not in ("", wildcard) or (not bind and not port.protocol.is_http):
        return False
    own = {seen.mesh.proxy_listen_port, seen.mesh.proxy_inbound_listen_port}
    return port.number in _RESERVED | own


def _addressed(seen: Perspective, place: Place) -> Iterator[Place]:
    """Yield a place for each address: HTTP shares the wildcard, the rest has an address each."""
    if place.bind:
        yield place
    elif place.port.protocol.is_http:
        yield msgspec.structs.replace(place, bind=place.wildcard)
    elif seen.addresses(place.service):
        yield from _at_addresses(place, seen.addresses(place.service))
    elif place.service.headless or place.service.resolution is Resolution.PASSTHROUGH:
        yield from _headless(seen, place)
    else:
        yield msgspec.structs.replace(place, bind=place.wildcard)


def _at_addresses(place: Place, addresses: tuple[str, ...]) -> Iterator[Place]:
    ranges = cidrs(a for a in addresses if "/" in a)
    for address in addresses:
        if "/" not in address:
            yield msgspec.structs.replace(place, bind=address)
    if ranges:
        yield msgspec.structs.replace(place, bind=place.wildcard, cidrs=ranges)


def _headless(seen: Perspective, place: Place) -> Iterator[Place]:
    """Yield one place for each endpoint: such a service is called by its instances' addresses."""
    service = place.service
    found = [e for e in seen.snapshot.endpoints(service) if e.service_port == place.port.number]
    if not found and service.registry is not Registry.KUBERNETES and not service.selector:
        yield msgspec.structs.replace(place, bind=place.wildcard)
        return
    can = seen.view.capabilities
    ready = [e for e in found if e.health is Health.HEALTHY]
    for address in dict.fromkeys(a for e in ready for a in can.of_families(e.addresses)):
        if _is_address(address):
            yield msgspec.structs.replace(place, bind=address)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _join(seen: Perspective, place: Place, table: _Table) -> None:
    """Give a service port its place: a new listener, or chains in the one that is there."""
    entries, key = table.entries, (place.bind, place.port.number)
    current = entries.get(key)
    if current is not None and current.locked:
        table.lose(place, current.place)
        return
    protocol = place.port.protocol
    if protocol.is_http:
        _join_http(seen, place, entries, current)
        return
    if current is not None and _would_stall(protocol, current.place.port.protocol):
        table.lose(place, current.place)
        return
    chains = tcp_chains(seen, place)
    if protocol is Protocol.AUTO and (current is None or current.protocol is not Protocol.AUTO):
        chains = (*chains, http_chain(seen, place, sniffed=True))
    if current is None or (protocol is Protocol.AUTO and current.protocol is Protocol.HTTP):
        entries[key] = _Entry(place, Protocol.AUTO if protocol is Protocol.AUTO else Protocol.TCP)
        entries[key].merge(chains, place)
        return
    if current.protocol is not Protocol.TCP or protocol is Protocol.AUTO:
        current.protocol = Protocol.AUTO
    winner = current.merge(chains, place)
    if winner is not None:
        table.lose(place, winner, is_shared=True)


def _join_http(
    seen: Perspective,
    place: Place,
    entries: dict[tuple[str, int], _Entry],
    current: _Entry | None,
) -> None:
    if current is not None and current.protocol is not Protocol.TCP:
        return
    if current is not None and _would_stall(place.port.protocol, current.place.port.protocol):
        return
    proxied = place.port.protocol is Protocol.HTTP_PROXY
    sniffed = not proxied and (place.on_wildcard or current is not None)
    chain = http_chain(seen, place, sniffed=sniffed)
    if current is None:
        entry = _Entry(place, Protocol.AUTO if sniffed else Protocol.HTTP)
        entry.merge((chain,), place)
        entries[place.bind, place.port.number] = entry
        return
    current.merge((chain,), place)
    current.protocol = Protocol.AUTO


def _would_stall(one: Protocol, other: Protocol) -> bool:
    """Tell whether sniffing for one protocol would break the other, whose server speaks first."""
    return one is not other and (one in _SERVER_FIRST or other in _SERVER_FIRST)


def _listener(seen: Perspective, entry: _Entry) -> Listener:
    place = entry.place
    chains = sorted(entry.chains, key=lambda chain: (chain.match.is_any, chain.match.protocols))
    default: FilterChain | None = next((c for c in chains if c.match.is_any), None)
    matched = tuple(c for c in chains if not c.match.is_any)
    if default is not None and not matched:
        matched, default = (default,), None
    elif default is None:
        default = passthrough_chain(seen)
    elif default is not None:
        default = msgspec.structs.replace(default, match=ConnectionMatch())
    inspectors = []
    if any(c.match.server_names for c in matched):
        inspectors.append(ListenerFilter(ListenerFilterKind.TLS_INSPECTOR))
    if any(c.match.protocols for c in matched):
        inspectors.append(ListenerFilter(ListenerFilterKind.HTTP_INSPECTOR))
    sniffs = any(f.kind is ListenerFilterKind.HTTP_INSPECTOR for f in inspectors)
    return Listener(
        name=place.name,
        address=place.bind,
        additional=seen.more_wildcards(place.bind),
        port=place.port.number,
        direction=Direction.OUTBOUND,
        binds=place.binds or not place.port.number,
        filters=tuple(inspectors),
        detection_timeout_ms=seen.mesh.protocol_detection_timeout_ms if sniffs else 0,
        chains=matched,
        default_chain=default,
        access_logs=telemetry.listener_logs(seen),
    )


def _http_proxy(seen: Perspective) -> list[Listener]:
    """Return the listener for applications that use HTTP_PROXY, where one is asked for."""
    port = seen.view.capabilities.http_proxy_port or seen.mesh.proxy_http_port
    if not port:
        return []
    name = names.listener(LOOPBACK, port)
    manager: HttpConnectionManager = filters.outbound_http(
        seen, listener=name, rds=names.HTTP_PROXY_ROUTE, protocol=Protocol.HTTP_PROXY
    )
    return [
        Listener(
            name=name,
            address=LOOPBACK,
            port=port,
            direction=Direction.OUTBOUND,
            binds=True,
            chains=(FilterChain(filter=manager),),
            default_chain=None,
            access_logs=telemetry.listener_logs(seen),
        )
    ]


def _virtual(seen: Perspective) -> Listener:
    """Return the listener of redirected traffic: on to that of the original destination, or out."""
    port = seen.mesh.proxy_listen_port
    address = WILDCARD_V6 if seen.view.capabilities.ipv6 else WILDCARD
    loop = FilterChain(
        name=names.OUTBOUND_BLACK_HOLE_CHAIN,
        match=ConnectionMatch(port=port),
        filter=filters.plain_tcp(seen, names.BLACK_HOLE),
    )
    rest = FilterChain(name=names.OUTBOUND_CATCH_ALL_CHAIN, filter=catch_all(seen))
    resolving = (resolving_chain(seen),) if seen.scope.dynamic_dns else ()
    sniffs = (ListenerFilter(ListenerFilterKind.HTTP_INSPECTOR),) if resolving else ()
    # Who waits for the server to speak first must get through in the end.
    patience = seen.mesh.protocol_detection_timeout_ms or None
    return Listener(
        name=names.VIRTUAL_OUTBOUND,
        address=address,
        additional=seen.more_wildcards(address),
        port=port,
        direction=Direction.OUTBOUND,
        binds=True,
        uses_original_dst=True,
        transparent=seen.view.interception is Interception.TPROXY,
        filters=sniffs,
        detection_timeout_ms=patience if sniffs else 0,
        chains=(loop, *resolving, rest),
        access_logs=telemetry.listener_logs(seen),
    )
