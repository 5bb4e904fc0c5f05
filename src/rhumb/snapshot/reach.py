"""How far a changed object reaches: to the hosts it speaks of, or to every resource of some types."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from rhumb.base import hosts
from rhumb.model.kinds.destination_rule import DestinationRule
from rhumb.model.kinds.table import NETWORKING
from rhumb.model.kinds.virtual_service import VirtualService
from rhumb.model.resource import Key, Resource
from rhumb.model.service import Protocol, Service
from rhumb.xds.types import XdsType

Services = Mapping[str, tuple[Service, ...]]
"""By host name."""

_BROUGHT_IN = frozenset({XdsType.CDS, XdsType.EDS, XdsType.SDS, XdsType.NDS})
_ROUTES = frozenset({XdsType.RDS, XdsType.VHDS}) | _BROUGHT_IN
"""A VirtualService is seen in routes; through a Sidecar it brings services in, which the scope tells."""
_RULES = frozenset({XdsType.CDS, XdsType.EDS, XdsType.LDS, XdsType.RDS, XdsType.VHDS, XdsType.SDS})


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """What some objects may make different."""

    types: frozenset[XdsType] = frozenset()
    wide: frozenset[XdsType] = frozenset()
    """Of these types any resource, whatever host it is for."""
    rules: frozenset[str] = frozenset()
    """Host names whose DestinationRules differ."""


def reach(
    changed: Mapping[Key, Iterable[Resource]],
    types_of: Mapping[Key, frozenset[XdsType]],
    services: Services,
    domain: str,
) -> Reach:
    """Return the reach of objects, each with what it was and what it is now (where it was, or is)."""
    types: set[XdsType] = set()
    wide: set[XdsType] = set()
    rules: set[str] = set()
    routed: list[Resource] = []
    for key, versions in changed.items():
        if (key.group, key.kind) == (NETWORKING, "VirtualService"):
            types |= _ROUTES
            routed += versions
        elif (key.group, key.kind) == (NETWORKING, "DestinationRule"):
            types |= _RULES
            named = {_host(each, domain) for each in versions}
            if any(hosts.is_wildcard(host) for host in named):
                wide |= _RULES
            rules |= named
        else:
            types |= types_of[key]
            wide |= types_of[key]
    if XdsType.LDS not in types and routed:
        known = _Named(services, domain)
        if any(_listens(each, known) for each in routed):
            types.add(XdsType.LDS)
    return Reach(types=frozenset(types), wide=frozenset(wide), rules=frozenset(rules))


def _host(resource: Resource, domain: str) -> str:
    assert isinstance(resource.spec, DestinationRule)
    return hosts.fqdn(resource.spec.host, resource.meta.namespace, domain)


def _listens(resource: Resource, known: "_Named") -> bool:
    """Tell whether listeners are made of a VirtualService: its TCP and TLS rules, and sniffed ports."""
    spec = resource.spec
    assert isinstance(spec, VirtualService)
    if spec.tcp or spec.tls:
        return True
    return any(
        port.protocol is Protocol.AUTO
        for host in spec.hosts
        for service in known.by(host.lower(), resource.meta.namespace)
        for port in service.ports
    )


class _Named:
    """Services by what VirtualServices call them."""

    def __init__(self, services: Services, domain: str) -> None:
        self._services = services
        self._domain = domain
        self._wild = [name for name in services if hosts.is_wildcard(name)]

    def by(self, host: str, namespace: str) -> Iterator[Service]:
        """Yield the services that a host in lower case may mean."""
        if hosts.is_wildcard(host):
            names = [name for name in self._services if hosts.overlap(name, host)]
        else:
            # A service whose own name is a wildcard may cover the host.
            covering = (name for name in self._wild if hosts.covers(name, host))
            names = [host, hosts.fqdn(host, namespace, self._domain), *covering]
        for name in names:
            yield from self._services.get(name, ())
