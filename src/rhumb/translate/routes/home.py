"""Virtual hosts as a namespace sees those of its own services: by their short names, too.

Nothing else about them differs from what everybody sees, so they are made from that.
"""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from rhumb.ir.route import VirtualHost
from rhumb.model.service import Service
from rhumb.translate.perspective import Perspective
from rhumb.translate.routes import domains
from rhumb.translate.routes.host_table import Claims, HostTable
from rhumb.translate.routes.ownership import http_ports


class HomeHost(msgspec.Struct, frozen=True, eq=False):
    """A virtual host with short names, and what it was made of."""

    host: VirtualHost
    public: VirtualHost
    service: Service
    short: frozenset[str]
    """The domains that it has beside the public ones, in lower case."""


class HomeHosts(msgspec.Struct, frozen=True, eq=False):
    """The virtual hosts that a namespace sees otherwise than in one public table."""

    hosts: Mapping[str, HomeHost] = MappingProxyType({})
    """By the name of the virtual host."""
    claims: Claims | None = None
    """Who had which domains then."""


def home_hosts(
    seen: Perspective, table: HostTable, port: int, known: HomeHosts
) -> HomeHosts | None:
    """Return the virtual hosts that a namespace sees otherwise than in a public table of a port.

    `known` are those of before. None where a short name may belong to somebody else: then nothing
    less than the whole table tells.
    """
    claims = table.claims
    if claims is None:
        return None
    if claims is known.claims:
        return _followed(seen, table, known, claims)
    found: dict[str, HomeHost] = {}
    for service in seen.scope.at_home(seen.view):
        for served in http_ports(service, port):
            name = f"{service.hostname}:{served.number}"
            public = table.by_name.get(name)
            if public is None:
                continue
            made = known.hosts.get(name)
            if made is None or made.public is not public or made.service is not service:
                made = _home_host(seen, public, service, claims)
            if not claims.domains.isdisjoint(made.short):
                return None
            found[name] = made
    return HomeHosts(found, claims)


def _followed(seen: Perspective, table: HostTable, known: HomeHosts, claims: Claims) -> HomeHosts:
    """Return the virtual hosts where services and domains are as they were: routes may differ."""
    fresh = {
        name: _home_host(seen, public, made.service, claims)
        for name, made in known.hosts.items()
        if (public := table.by_name[name]) is not made.public
    }
    return HomeHosts({**known.hosts, **fresh}, claims) if fresh else known


def _home_host(
    seen: Perspective, public: VirtualHost, service: Service, claims: Claims
) -> HomeHost:
    aliases = seen.aliases(service) if service.hostname in claims.aliases.values() else ()
    wanted, _ = domains.of_service(service, aliases, seen.addresses(service), seen.view, 0)
    known = set(public.domains)
    short = frozenset(domain.lower() for domain in wanted if domain not in known)
    host = VirtualHost(name=public.name, domains=tuple(wanted), routes=public.routes)
    return HomeHost(host, public, service, short)
