"""Tables of virtual hosts, with what they were made of: so the next one is made from what differs."""

from collections.abc import Iterable, Mapping

import msgspec

from rhumb.ir.route import Route, VirtualHost
from rhumb.model.resource import Key
from rhumb.model.service import Service
from rhumb.snapshot.snapshot import EgressListener, Routing

Maker = Key | tuple[str, int]
"""What has routes: a VirtualService, or a service's port that none mentions."""
Placed = tuple[VirtualHost, Maker]


class Made(msgspec.Struct, frozen=True, eq=False):
    """Routes, and what they were made of."""

    routes: tuple[Route, ...]
    source: Routing | Service
    asked: frozenset[str]
    """Hosts of the services that were looked at."""
    number: int = 0
    """Port of the service."""
    delegates: bool = False
    """Rules of other VirtualServices are among them."""


class Claims(msgspec.Struct, frozen=True, eq=False):
    """Who has which domains, while nobody wants those of another."""

    services: Mapping[str, Service]
    """Those that the listener serves, by host name."""
    routed: frozenset[str]
    """Hosts of VirtualServices."""
    domains: frozenset[str]
    aliases: Mapping[str, str]
    """What the ExternalName services of the view stand for, by host name, seen or not."""


class HostTable:
    """The virtual hosts of one egress listener on one port (0: all its ports), sorted by name."""

    def __init__(
        self,
        listener: EgressListener,
        services: tuple[Service, ...],
        made: Mapping[Maker, Made],
        placed: Iterable[Placed],
        claims: Claims | None = None,
        *,
        is_of_another: bool = False,
    ) -> None:
        self.listener = listener
        self.services = services
        """All that the view sees."""
        self.made = made
        self.placed = tuple(placed)
        """Each virtual host with what its routes are of."""
        self.hosts = tuple(host for host, _ in self.placed)
        self.claims = claims
        """None where some domain was wanted twice."""
        self.is_of_another = is_of_another
        """It was made for another namespace, which has other short names."""
        self._by_domain: dict[str, VirtualHost] | None = None
        self._by_name: dict[str, VirtualHost] | None = None

    def for_another(self) -> "HostTable":
        """Return the table as one to begin with for another namespace."""
        found = self.listener, self.services, self.made, self.placed
        return HostTable(*found, is_of_another=True)

    @property
    def by_name(self) -> Mapping[str, VirtualHost]:
        """Return the virtual hosts by name."""
        if self._by_name is None:
            self._by_name = {host.name: host for host in self.hosts}
        return self._by_name

    @property
    def by_domain(self) -> Mapping[str, VirtualHost]:
        """Return the virtual hosts by each of their domains."""
        if self._by_domain is None:
            self._by_domain = {domain: host for host in self.hosts for domain in host.domains}
        return self._by_domain


NO_HOSTS = HostTable(EgressListener(), (), {}, ())
