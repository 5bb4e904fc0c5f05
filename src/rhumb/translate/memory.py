"""What a part was made of, so that the next snapshot's is made from what differs."""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from rhumb.ir.route import HostOfRoute, RouteConfiguration
from rhumb.snapshot.view import View
from rhumb.translate.listening import Listening, listening
from rhumb.translate.news import EVERYTHING, News
from rhumb.translate.perspective import Perspective
from rhumb.translate.recall import OfServices
from rhumb.translate.routes.home import HomeHosts
from rhumb.translate.routes.host_table import HostTable


class Routed(msgspec.Struct, frozen=True, eq=False):
    """The outbound routes of a view."""

    tables: Mapping[tuple[int, str], HostTable] = MappingProxyType({})
    """By port, and by the name of the route configuration where several share a port."""
    configurations: Mapping[str, RouteConfiguration] = MappingProxyType({})
    """By name."""


class Shared(msgspec.Struct, eq=False):
    """What parts have in common in one snapshot, as far as it was asked for."""

    listening: dict[View, Listening] = {}
    routes: dict[View, Routed] = {}
    alike: dict[View, View] = {}
    """Of views that differ by their namespace alone, the one whose routes were made first."""
    of_services: OfServices = msgspec.field(default_factory=OfServices)

    def similar(self, view: View, seen: Perspective) -> tuple[Routed, News] | None:
        """Return the routes of another namespace, and what makes those of this one different."""
        snapshot = seen.snapshot
        if snapshot.tells(view.namespace):
            return None
        other = self.alike.setdefault(snapshot.nobodys(view), view)
        if other == view or other not in self.routes:
            return None
        mine, theirs = seen.scope.by_host, snapshot.scope(other).by_host
        hosts = frozenset(
            host
            for host, service in mine.items()
            if theirs.get(host) is not service
            or snapshot.policy(view, service) is not snapshot.policy(other, service)
        )
        found = self.routes[other]
        tables = {at: table.for_another() for at, table in found.tables.items()}
        return Routed(tables, found.configurations), News(
            hosts=hosts | (theirs.keys() - mine.keys())
        )


class Translated(msgspec.Struct, eq=False):
    """What one translation of a part made, or took over from another part."""

    listening: dict[View, Listening] = {}
    routes: dict[View, Routed] = {}
    homes: dict[str, HomeHosts] = {}
    """Hosts that have other names in their own namespace, by route configuration."""
    hosts: dict[str, tuple[HostOfRoute, ...]] = {}
    """Virtual hosts that are resources of their own, by resource name."""


class Memory(msgspec.Struct, eq=False):
    """Listeners and routes as they were translated last; who translates writes down what comes next."""

    news: News = EVERYTHING
    """What differs since."""
    listens: bool = True
    """Listeners may be other ones."""
    anywhere: bool = True
    """And not those of the news alone."""
    shared: Shared = msgspec.field(default_factory=Shared)
    before: Translated = msgspec.field(default_factory=Translated)
    now: Translated = msgspec.field(default_factory=Translated)

    def since(self, news: News, *, listens: bool, anywhere: bool, shared: Shared) -> "Memory":
        """Return what to begin the next translation with.

        Nothing older than this one: what it had no need of is made anew when it is needed.
        """
        return Memory(news=news, listens=listens, anywhere=anywhere, shared=shared, before=self.now)

    def listen(self, seen: Perspective) -> Listening:
        """Return what a view listens for, and write it down."""
        view = seen.view
        found = self.now.listening.get(view) or self.shared.listening.get(view)
        if found is None:
            found = self.before.listening.get(view)
            if found is None or self.listens:
                found = listening(seen, None if self.anywhere else found, self.news)
            self.shared.listening[view] = found
        self.now.listening[view] = found
        return found

    def host(self, host: HostOfRoute) -> tuple[str, tuple[HostOfRoute, ...]]:
        """Return a virtual host under its name as last time if it is the same, and write it down."""
        name = host.name
        found = self.before.hosts.get(name)
        if found is None or found[0].host is not host.host:
            found = (host,)
        self.now.hosts[name] = found
        return name, found
