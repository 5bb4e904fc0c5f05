"""The hosts of a Sidecar's egress listener: which services and VirtualServices they bring in."""

from collections.abc import Callable, Iterable

from rhumb.base import hosts
from rhumb.model.kinds.virtual_service import (
    Destination,
    HttpRoute,
    TcpRoute,
    TlsRoute,
    VirtualService,
)
from rhumb.snapshot.snapshot import Routing

ANY = "*"
Delegate = Callable[[str, str, str], Routing | None]
"""(namespace, name, namespace of the root) to a delegate."""


class Imports:
    """`NAMESPACE/HOST` patterns, read for one namespace.

    NAMESPACE is a name, `.` (the workload's own) or `*`. `~NAMESPACE/HOST` keeps services out, and `~/HOST`
    those of every namespace.
    """

    def __init__(self, patterns: Iterable[str], namespace: str) -> None:
        self._wanted: list[tuple[str, str]] = []
        self._excluded: list[tuple[str, str]] = []
        for text in patterns:
            where, _, host = text.partition("/")
            if where.startswith("~"):
                self._excluded.append((_resolve(where[1:] or ANY, namespace), host))
            else:
                self._wanted.append((_resolve(where, namespace), host))

    def service(self, namespace: str, hostname: str) -> bool:
        """Tell whether a service is brought in by name."""
        if any(_covers(one, namespace, hostname) for one in self._excluded):
            return False
        return any(_covers(one, namespace, hostname) for one in self._wanted)

    def routing(self, routing: Routing) -> bool:
        """Tell whether a VirtualService routes for some host that is brought in."""
        home = routing.resource.meta.namespace
        return any(
            where in (ANY, home) and any(hosts.overlap(pattern, h) for h in routing.spec.hosts)
            for where, pattern in self._wanted
        )


def _resolve(where: str, namespace: str) -> str:
    return namespace if where == "." else where


def _covers(pattern: tuple[str, str], namespace: str, hostname: str) -> bool:
    where, host = pattern
    return where in (ANY, namespace) and hosts.covers(host, hostname)


def destinations(routing: Routing, namespace: str, delegate: Delegate) -> dict[str, set[int]]:
    """Return the hosts that a VirtualService sends clients of a namespace to, with the ports (0: all)."""
    found: dict[str, set[int]] = {}
    for one in _all(routing.spec, routing.resource.meta.namespace, namespace, delegate):
        if one is not None and one.host:
            found.setdefault(one.host, set()).add(one.port.number if one.port else 0)
    return found


def _all(
    spec: VirtualService, home: str, namespace: str, delegate: Delegate
) -> Iterable[Destination | None]:
    for http in spec.http:
        if _applies(http, namespace):
            yield from _http(http)
            if http.delegate is not None:
                child = delegate(http.delegate.namespace, http.delegate.name, home)
                for inner in child.spec.http if child else ():
                    if _applies(inner, namespace):
                        yield from _http(inner)
    layer4s: list[TlsRoute | TcpRoute] = [*spec.tls, *spec.tcp]
    for layer4 in layer4s:
        if _applies(layer4, namespace):
            yield from (d.destination for d in layer4.route)


def _http(route: HttpRoute) -> Iterable[Destination | None]:
    yield from (d.destination for d in route.route)
    yield route.mirror
    yield from (m.destination for m in route.mirrors)


def _applies(route: HttpRoute | TlsRoute | TcpRoute, namespace: str) -> bool:
    """Tell whether clients of a namespace can match the rule at all."""
    return not route.match or any(m.source_namespace in ("", namespace) for m in route.match)
