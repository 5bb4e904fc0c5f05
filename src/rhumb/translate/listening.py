"""What a sidecar listens for, outbound, and which route configurations that asks for.

HTTP services of one port share a listener: while such services come and go, it stays as it is.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from rhumb.ir.listener import FilterChain, HttpConnectionManager, Listener
from rhumb.model.proxy import Interception
from rhumb.model.service import Port, Protocol, Service
from rhumb.snapshot.snapshot import Scope
from rhumb.translate.listeners import outbound
from rhumb.translate.news import News
from rhumb.translate.perspective import Perspective

Crowds = Mapping[int, Mapping[Protocol, int]]
"""How many services have a port, by number and protocol."""


class Listening(msgspec.Struct, frozen=True, eq=False):
    """The outbound listeners of a view."""

    listeners: tuple[Listener, ...]
    asked: frozenset[str]
    """Names of the route configurations that they ask for."""
    scope: Scope
    crowds: Crowds | None
    """None where services do not simply share listeners by port."""


def listening(seen: Perspective, before: Listening | None, news: News) -> Listening:
    """Return the outbound listeners, the very same where only HTTP services came or went."""
    if before is not None and not news.is_wide and not news.rules:
        crowds = _followed(before, seen.scope, news.hosts)
        if crowds is not None:
            return Listening(before.listeners, before.asked, seen.scope, crowds)
    found = outbound.listeners(seen)
    return Listening(found, frozenset(asked(found)), seen.scope, _crowds(seen))


def asked(found: Iterable[Listener]) -> Iterator[str]:
    """Yield the names of route configurations that listeners ask for."""
    for listener in found:
        for chain in chains(listener):
            if isinstance(chain.filter, HttpConnectionManager) and chain.filter.rds:
                yield chain.filter.rds


def chains(listener: Listener) -> Iterator[FilterChain]:
    """Yield all filter chains of a listener."""
    yield from listener.chains
    if listener.default_chain is not None:
        yield listener.default_chain


def _crowds(seen: Perspective) -> Crowds | None:
    egress = seen.scope.egress
    if len(egress) != 1 or egress[0].port or egress[0].bind or not egress[0].capture:
        return None
    if seen.view.interception is Interception.NONE:
        return None
    found: dict[int, Mapping[Protocol, int]] = {}
    for service in egress[0].services:
        if service.external_name:
            return None
        _count(found, service, 1)
    return found


def _count(crowds: dict[int, Mapping[Protocol, int]], service: Service, by: int) -> None:
    for port in service.ports:
        crowd = crowds.get(port.number, {})
        crowds[port.number] = {**crowd, port.protocol: crowd.get(port.protocol, 0) + by}


def _followed(before: Listening, scope: Scope, hosts: frozenset[str]) -> Crowds | None:
    """Return the crowds after some services changed; None if a listener may not be as it was.

    It is as long as one HTTP service stays that was there, and nobody with another protocol meets it.
    """
    # Names are resolved by a filter of the listener.
    if before.crowds is None or before.scope.resolves_names is not scope.resolves_names:
        return None
    after = dict(before.crowds)
    for host in hosts:
        for service, by in ((before.scope.service(host), -1), (scope.service(host), 1)):
            if service is None:
                continue
            if service.external_name or not all(_is_plain(after, port) for port in service.ports):
                return None
            _count(after, service, by)
    numbers = {number for number, crowd in after.items() if crowd is not before.crowds.get(number)}
    return after if all(sum(after[number].values()) > 0 for number in numbers) else None


def _is_plain(crowds: Crowds, port: Port) -> bool:
    """Tell whether a port is one of several equal ones, so that it changes nothing by itself."""
    crowd = crowds.get(port.number, {})
    return (
        port.protocol.is_http
        and port.protocol is not Protocol.HTTP_PROXY
        and set(crowd) == {port.protocol}
    )
