"""What a part was made of, so that the next snapshot's is made from what differs."""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from rhumb.ir.route import HostOfRoute, RouteConfiguration
from rhumb.translate.news import EVERYTHING, News
from rhumb.translate.routes.virtual_hosts import HostTable

Tables = Mapping[tuple[int, str], HostTable]
"""By port, and by the name of the route configuration where several share a port."""
_NONE: Mapping[str, tuple[HostOfRoute, ...]] = MappingProxyType({})


class Memory(msgspec.Struct, eq=False):
    """Routes as they were translated last; whoever translates writes down what comes next."""

    news: News = EVERYTHING
    """What differs since."""
    asked: frozenset[str] | None = None
    """Route configurations that the listeners ask for; None: not known any more."""
    tables: Tables = MappingProxyType({})
    configurations: Mapping[str, RouteConfiguration] = MappingProxyType({})
    hosts: Mapping[str, tuple[HostOfRoute, ...]] = _NONE
    """Virtual hosts that are resources of their own, by resource name."""

    def since(self, news: News, *, listens: bool) -> "Memory":
        """Return what to begin the next translation with; `listens`: listeners may be other ones."""
        asked = None if listens else self.asked
        return Memory(news, asked, self.tables, self.configurations, self.hosts)
