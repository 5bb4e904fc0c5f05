"""The virtual hosts of an egress listener: hosts of VirtualServices, and services that none mentions.

A table is made from the one before where there is one: routes are translated again only where something
that they were made of differs, and the domains only where hosts or services differ.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from rhumb.base import hosts
from rhumb.ir.route import Route, VirtualHost
from rhumb.model.service import Service
from rhumb.snapshot.snapshot import EgressListener, Routing
from rhumb.translate.news import EVERYTHING, News
from rhumb.translate.perspective import Perspective
from rhumb.translate.routes import domains
from rhumb.translate.routes.actions import Setting, default_route
from rhumb.translate.routes.host_table import NO_HOSTS, Claims, HostTable, Made, Maker, Placed
from rhumb.translate.routes.matching import MESH
from rhumb.translate.routes.ownership import (
    Services,
    are_plain,
    by_port,
    http_ports,
    owners,
    split,
    touches,
)
from rhumb.translate.routes.rules import routes as rule_routes

HTTP_PORT = 80
"""Hosts that no registry knows get virtual hosts on this port alone."""


class _Group(msgspec.Struct, frozen=True, eq=False):
    """Virtual hosts that share their routes."""

    port: int
    hosts: tuple[str, ...]
    services: tuple[Service, ...]
    maker: Maker


def host_table(
    seen: Perspective,
    listener: EgressListener,
    port: int,
    before: HostTable = NO_HOSTS,
    news: News = EVERYTHING,
) -> HostTable:
    """Return the table of a listener, taking over from an earlier one what is as it was."""
    return _Builder(seen, listener, port, before, news).table()


class _Builder:
    """Makes one table and is dropped with it."""

    def __init__(
        self,
        seen: Perspective,
        listener: EgressListener,
        port: int,
        before: HostTable,
        news: News,
    ) -> None:
        self._seen = seen
        self._listener = listener
        self._port = port
        self._before = before
        self._news = news
        self._asked: set[str] = set()
        self._made: dict[Maker, Made] = {}
        self._known: Mapping[str, VirtualHost] = {}
        self._claimed: list[str] = []
        self._is_disputed = False
        self._setting = Setting(seen, port, self._service)

    def table(self) -> HostTable:
        """Return the table."""
        found = self._followed()
        if found is None:
            self._made.clear()
            self._known = {host.name: host for host in self._before.hosts}
            placed = sorted(self._placed(), key=_by_name)
            found = placed, self._claims()
        scope = self._seen.scope
        del self._setting  # it looks services up here: a cycle that only a collection would end
        return HostTable(self._listener, scope.services, self._made, *found)

    def _claims(self) -> Claims | None:
        if self._is_disputed:
            return None
        services = {s.hostname: s for s in self._listener.services}
        routed = frozenset(h.lower() for r in self._listener.routing for h in r.spec.hosts)
        return Claims(services, routed, frozenset(self._claimed), self._aliases())

    def _aliases(self) -> Mapping[str, str]:
        return {s.hostname: s.external_name for s in self._seen.scope.services if s.external_name}

    # --- routes --------------------------------------------------------------------------

    def _service(self, host: str) -> Service | None:
        scope = self._seen.scope
        found = service = scope.service(host)
        self._asked.add(host)
        while service is not None and service.external_name not in ("", *self._asked):
            self._asked.add(service.external_name)
            service = scope.service(service.external_name)
        return found

    def _of_rules(self, routing: Routing) -> tuple[Route, ...]:
        maker = routing.resource.key
        found = self._kept(maker, routing)
        if found is None:
            self._asked.clear()
            made = rule_routes(self._setting, routing, gateway=MESH)
            delegates = any(rule.delegate is not None for rule in routing.spec.http)
            found = Made(made, routing, frozenset(self._asked), delegates=delegates)
        self._made[maker] = found
        return found.routes

    def _of_service(self, service: Service, number: int) -> Maker:
        maker = (service.hostname, number)
        found = self._kept(maker, service)
        if found is None:
            route = default_route(self._setting, service, number)
            found = Made((route,), service, frozenset({service.hostname}), number)
        self._made[maker] = found
        return maker

    def _kept(self, maker: Maker, source: Routing | Service) -> Made | None:
        """Return earlier routes if all that they were made of is as it was."""
        found = self._before.made.get(maker)
        if found is None or found.source is not source:
            return None
        if found.delegates and self._news.rules:
            return None
        return found if self._news.hosts.isdisjoint(found.asked) else None

    # --- virtual hosts -------------------------------------------------------------------

    def _followed(self) -> tuple[Iterable[Placed], Claims | None] | None:
        """Return the virtual hosts of the table before with what differs put in its place.

        None where domains may belong to others than before: hosts of VirtualServices differ, or a
        service whose domains are not its own alone, or they are those of another namespace.
        """
        before, routing = self._before, self._listener.routing
        if before.is_of_another:
            return None
        earlier = before.listener.routing
        if len(routing) != len(earlier) or not all(map(_same_hosts, routing, earlier)):
            return None
        placed: Sequence[Placed] = before.placed
        claims = before.claims
        if not (
            _identical(self._listener.services, before.listener.services)
            and _identical(self._seen.scope.services, before.services)
        ):
            amended = self._amended()
            if amended is None:
                return None
            placed, claims = amended
        if not self._remade(routing, earlier):
            return None
        fresh = {m for m, made in self._made.items() if made is not before.made.get(m)}
        if not fresh:
            return placed, claims
        return [
            (self._replaced(*place), place[1])
            if place[1] in fresh and place[0].routes is not self._made[place[1]].routes
            else place
            for place in placed
        ], claims

    def _remade(self, routing: Sequence[Routing], earlier: Sequence[Routing]) -> bool:
        """Take over earlier routes, those that may differ anew; False if some came to be, or to be none."""
        news, known = self._news, self._before.made
        served = {s.hostname: s for s in self._listener.services if s.hostname in news.hosts}
        stale = {r.resource.key: r for r, e in zip(routing, earlier, strict=True) if r is not e}
        now = dict(known)
        for maker, made in known.items():
            affected = not news.hosts.isdisjoint(made.asked)
            if isinstance(made.source, Routing):
                if affected or (made.delegates and news.rules):
                    stale.setdefault(made.source.resource.key, made.source)
            elif affected and maker not in self._made:
                del now[maker]
                service = served.get(made.source.hostname)
                if service is made.source:
                    self._of_service(service, made.number)
                elif service is not None:
                    return False
        for key, source in stale.items():
            if key in known and bool(self._of_rules(source)) != bool(known[key].routes):
                return False
        self._made = now | self._made
        return True

    def _amended(self) -> tuple[list[Placed], Claims] | None:
        """Return the virtual hosts after some services changed that no VirtualService is about."""
        claims, port, news = self._before.claims, self._port, self._news.hosts
        if claims is None or not port or any(h.lower() in claims.routed for h in news):
            return None
        aliases = self._aliases()
        if aliases != claims.aliases or not news.isdisjoint(aliases.values()):
            return None
        now = {s.hostname: s for s in self._listener.services if s.hostname in news}
        gone = {host: s for host in news if (s := claims.services.get(host)) is not None}
        services = {h: s for h, s in claims.services.items() if h not in news} | now
        listed = tuple(services.get(s.hostname) for s in self._listener.services)
        if len(listed) != len(services) or not _identical(listed, self._listener.services):
            return None
        if not are_plain(claims.routed, (*now.values(), *gone.values())):
            return None
        domains_left = claims.domains.difference(
            domain.lower()
            for service in gone.values()
            if any(http_ports(service, port))
            for domain in self._domains(service)[0]
        )
        placed = [place for place in self._before.placed if _hostname(place[1]) not in news]
        fresh: list[str] = []
        for service in now.values():
            if not any(http_ports(service, port)):
                continue
            wanted = self._domains(service)[0]
            fresh += [domain.lower() for domain in wanted]
            for served in http_ports(service, port):
                maker = self._of_service(service, served.number)
                host = VirtualHost(
                    name=f"{service.hostname}:{served.number}",
                    domains=tuple(wanted),
                    routes=self._made[maker].routes,
                )
                placed.append((host, maker))
        unique = frozenset(fresh)
        if len(unique) != len(fresh) or not unique.isdisjoint(domains_left):
            return None
        placed.sort(key=_by_name)
        return placed, Claims(services, claims.routed, domains_left | unique, aliases)

    def _domains(self, service: Service) -> tuple[list[str], list[str]]:
        seen = self._seen
        return domains.of_service(
            service, seen.aliases(service), seen.addresses(service), seen.view, 0
        )

    def _replaced(self, host: VirtualHost, maker: Maker) -> VirtualHost:
        routes = self._made[maker].routes
        return VirtualHost(name=host.name, domains=host.domains, routes=routes)

    def _placed(self) -> Iterator[Placed]:
        seen, port = self._seen, self._port
        services = {s.hostname: s for s in self._listener.services if not port or s.port(port)}
        groups = list(self._groups(services))
        claimed = domains.Claimed(
            text
            for g in groups
            for s in g.services
            for text in (s.hostname, f"{s.hostname}:{g.port}")
        )
        taken: set[str] = set()
        for group in groups:
            for host in group.hosts:
                wanted = list(domains.with_port(host.lower(), 0))
                free = self._claim(claimed, wanted, ())
                yield from self._host(group, host.lower(), free, taken)
            for service in group.services:
                all_domains, spellings = domains.of_service(
                    service,
                    seen.aliases(service),
                    seen.addresses(service),
                    seen.view,
                    0 if port else group.port,
                )
                free = self._claim(claimed, all_domains, spellings)
                yield from self._host(group, service.hostname, free, taken)

    def _claim(
        self, claimed: domains.Claimed, wanted: Sequence[str], spellings: Sequence[str]
    ) -> tuple[str, ...]:
        free = claimed.claim(wanted, spellings)
        self._is_disputed = self._is_disputed or len(free) != len(wanted)
        self._claimed += [domain.lower() for domain in free]
        return free

    def _host(
        self,
        group: _Group,
        host: str,
        free: tuple[str, ...],
        taken: set[str],
    ) -> Iterator[Placed]:
        found = _shown(free, group, self._port)
        name = f"{host}:{group.port}"
        if name in taken or not found:
            return
        taken.add(name)
        routes = self._made[group.maker].routes
        before = self._known.get(name)
        if before is not None and before.routes is routes and before.domains == found:
            yield before, group.maker
        else:
            yield VirtualHost(name=name, domains=found, routes=routes), group.maker

    def _groups(self, services: Services) -> Iterator[_Group]:
        owner = owners(self._listener.routing, services.values())
        left = dict(services)
        wild = [name for name in services if hosts.is_wildcard(name)]
        port = self._port
        for routing in self._listener.routing:
            found_hosts, found = split(routing, services, owner)
            if port != HTTP_PORT and not touches(routing, services, wild):
                continue
            if not self._of_rules(routing):
                continue
            served_at = by_port(found, port)
            if not served_at and port == HTTP_PORT:
                served_at = {HTTP_PORT: ()}
            for number, group in served_at.items():
                yield _Group(number, found_hosts, group, routing.resource.key)
                for service in group:
                    left.pop(service.hostname, None)
        for service in left.values():
            if self._seen.is_alias(service) and self._seen.concrete(service) is not service:
                continue
            for served in http_ports(service, port):
                maker = self._of_service(service, served.number)
                yield _Group(served.number, (), (service,), maker)


def _by_name(place: Placed) -> str:
    return place[0].name


def _hostname(maker: Maker) -> str:
    return maker[0] if isinstance(maker, tuple) else ""


def _same_hosts(one: Routing, other: Routing) -> bool:
    return one is other or (
        one.resource.key == other.resource.key and one.spec.hosts == other.spec.hosts
    )


def _identical(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    if one is other:
        return True
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))


def _shown(found: tuple[str, ...], group: _Group, port: int) -> tuple[str, ...]:
    """On a listener for all ports only port 80 may be called without writing the port."""
    if port or group.port == HTTP_PORT:
        return found
    return tuple(d for d in found if d.endswith(f":{group.port}"))
