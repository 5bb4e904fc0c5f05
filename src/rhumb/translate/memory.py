"""What a part was made of, so that the next snapshot's is made from what differs."""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from rhumb.ir.route import HostOfRoute, RouteConfiguration
from rhumb.snapshot.view import View
from rhumb.translate.listening import Listening, listening
from rhumb.translate.news import EVERYTHING, News
from rhumb.translate.perspective import Perspective
from rhumb.translate.routes.virtual_hosts import HostTable

Tables = Mapping[tuple[int, str], HostTable]
"""By port, and by the name of the route configuration where several share a port."""
Configurations = Mapping[str, RouteConfiguration]


class Shared(msgspec.Struct, eq=False):
    """What parts of one view have in common in one snapshot, as far as it was asked for."""

    listening: dict[View, Listening] = {}
    routes: dict[View, tuple[Tables, Configurations]] = {}


_NONE: Mapping[str, tuple[HostOfRoute, ...]] = MappingProxyType({})


class Memory(msgspec.Struct, eq=False):
    """Listeners and routes as they were translated last; who translates writes down what comes next."""

    news: News = EVERYTHING
    """What differs since."""
    shared: Shared = msgspec.field(default_factory=Shared)
    listening: Listening | None = None
    is_listening: bool = False
    """Whether `listening` is as things are now."""
    tables: Tables = MappingProxyType({})
    configurations: Configurations = MappingProxyType({})
    hosts: Mapping[str, tuple[HostOfRoute, ...]] = _NONE
    """Virtual hosts that are resources of their own, by resource name."""

    def since(self, news: News, *, listens: bool, anywhere: bool, shared: Shared) -> "Memory":
        """Return what to begin the next translation with.

        `listens`: listeners may be other ones; `anywhere`: not those of the news alone.
        """
        return Memory(
            news=news,
            shared=shared,
            listening=None if anywhere else self.listening,
            is_listening=self.is_listening and not listens,
            tables=self.tables,
            configurations=self.configurations,
            hosts=self.hosts,
        )

    def listen(self, seen: Perspective) -> Listening:
        """Return what a view listens for, and write it down."""
        if self.is_listening and self.listening is not None:
            return self.listening
        known = self.shared.listening
        found = known.get(seen.view)
        if found is None:
            found = known[seen.view] = listening(seen, self.listening, self.news)
        self.listening, self.is_listening = found, True
        return found
