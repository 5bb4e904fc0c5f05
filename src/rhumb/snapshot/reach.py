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
    # All services are looked through for each: not for a whole world, whose listeners are new anyway.
    if XdsType.LDS not in types and any(_listens(each, services) for each in routed):
        types.add(XdsType.LDS)
    return Reach(types=frozenset(types), wide=frozenset(wide), rules=frozenset(rules))


def _host(resource: Resource, domain: str) -> str:
    assert isinstance(resource.spec, DestinationRule)
    return hosts.fqdn(resource.spec.host, resource.meta.namespace, domain)


def _listens(resource: Resource, services: Services) -> bool:
    """Tell whether listeners are made of a VirtualService: its TCP and TLS rules, and sniffed ports."""
    spec = resource.spec
    assert isinstance(spec, VirtualService)
    if spec.tcp or spec.tls:
        return True
    return any(
        port.protocol is Protocol.AUTO
        for service in _named(spec.hosts, resource.meta.namespace, services)
        for port in service.ports
    )


def _named(said: Iterable[str], namespace: str, services: Services) -> Iterator[Service]:
    for host in said:
        lower = host.lower()
        if hosts.is_wildcard(lower) or "." not in lower:
            yield from (
                s
                for name, group in services.items()
                if hosts.covers(lower, name) or name.startswith(f"{lower}.{namespace}.")
                for s in group
            )
        else:
            yield from services.get(lower, ())
        # A service whose own name is a wildcard may cover the host.
        yield from (
            s
            for name, group in services.items()
            if name.startswith("*") and hosts.overlap(name, lower)
            for s in group
        )
