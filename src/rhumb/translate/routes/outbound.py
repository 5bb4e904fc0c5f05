"""Route configurations of sidecars, outbound: one for each port, or for each sniffed service port."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from rhumb.ir.route import RouteConfiguration, VirtualHost
from rhumb.model.service import Protocol
from rhumb.snapshot.snapshot import EgressListener
from rhumb.translate import names
from rhumb.translate.news import EVERYTHING, News
from rhumb.translate.perspective import Perspective
from rhumb.translate.routes.catch_all import catch_all_host
from rhumb.translate.routes.host_table import NO_HOSTS, HostTable
from rhumb.translate.routes.virtual_hosts import host_table

_NOTHING: Mapping[Any, Any] = MappingProxyType({})


class OutboundRoutes:
    """All outbound route configurations of one view; a port is computed once.

    `before` and `known` are those of the view in an earlier snapshot, `news` what differs since.
    """

    def __init__(
        self,
        seen: Perspective,
        before: Mapping[tuple[int, str], HostTable] = _NOTHING,
        known: Mapping[str, RouteConfiguration] = _NOTHING,
        news: News = EVERYTHING,
    ) -> None:
        self._seen = seen
        self._news = news
        self._before = before if not news.is_wide else _NOTHING
        self._known = known
        self.tables: dict[tuple[int, str], HostTable] = {}
        self._made: dict[str, RouteConfiguration | None] = {}

    def configuration(self, name: str) -> RouteConfiguration | None:
        """Return the configuration with this name, None when no listener can ask for it."""
        if name not in self._made:
            made, known = self._configuration(name), self._known.get(name)
            self._made[name] = known if _same(made, known) else made
        return self._made[name]

    def _configuration(self, name: str) -> RouteConfiguration | None:
        parsed = names.parse_route(name)
        if isinstance(parsed, names.HostRoute):
            return RouteConfiguration(name=name, virtual_hosts=self._sniffed(parsed))
        if name == names.HTTP_PROXY_ROUTE or name.startswith(("/", "unix://", "@")):
            port = 0
        elif isinstance(parsed, names.PortRoute):
            port = parsed.port
        else:
            return None
        table = self._table(port, name)
        found = table.hosts if table is not None else ()
        virtual_hosts = (*found, catch_all_host(self._seen.scope))
        # Where all ports meet, the one that the client wrote tells them apart. (Istio ignores it there
        # too, and so finds none of its own domains: an HTTP_PROXY listener of its leads nowhere.)
        listener = _egress(self._seen, port, name)
        meets = not port or (listener is not None and _is_http_proxy(listener))
        return RouteConfiguration(name=name, virtual_hosts=virtual_hosts, ignores_port=not meets)

    def _sniffed(self, name: names.HostRoute) -> tuple[VirtualHost, ...]:
        """Return the one virtual host of a listener that serves one service port only."""
        table = self._table(name.port, str(name))
        found = table.by_domain.get(name.host) if table is not None else None
        return (msgspec.structs.replace(found, domains=("*",)),) if found is not None else ()

    def _table(self, port: int, name: str) -> HostTable | None:
        listener = _egress(self._seen, port, name)
        if listener is None:
            return None
        if _is_http_proxy(listener):
            port = 0
        key = (port, name if port == 0 else "")
        if key not in self.tables:
            before = self._before.get(key, NO_HOSTS)
            self.tables[key] = host_table(self._seen, listener, port, before, self._news)
        return self.tables[key]


def _same(one: RouteConfiguration | None, other: RouteConfiguration | None) -> bool:
    """Tell whether two are equal, without looking into virtual hosts that are the same objects."""
    if one is None or other is None or one.ignores_port != other.ignores_port:
        return False
    mine, theirs = one.virtual_hosts, other.virtual_hosts
    return len(mine) == len(theirs) and all(
        a is b or a == b for a, b in zip(mine, theirs, strict=True)
    )


def _egress(seen: Perspective, port: int, name: str) -> EgressListener | None:
    """Return the egress listener that a route name belongs to; the one for all ports is the last."""
    for listener in seen.scope.egress:
        if not listener.port and not _is_socket(listener):
            return listener
        if listener.port == port and (port or listener.bind == name):
            return listener
    return None


def _is_http_proxy(listener: EgressListener) -> bool:
    return bool(listener.port) and listener.protocol.upper() == Protocol.HTTP_PROXY


def _is_socket(listener: EgressListener) -> bool:
    return listener.bind.startswith(("/", "unix://", "@"))
