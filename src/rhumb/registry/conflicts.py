"""Several objects that define one host: who wins, who adds endpoints, and what to tell the users."""

from collections.abc import Sequence

import msgspec

from rhumb.model.finding import Finding, Level
from rhumb.model.resource import Resource
from rhumb.model.service import Port, Registry, Service


class Claim(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One object that defines one service."""

    service: Service
    resource: Resource

    @property
    def key(self) -> tuple[str, str]:
        """Return the identity of the service: (hostname, namespace)."""
        return (self.service.hostname, self.service.namespace)

    @property
    def precedence(self) -> tuple[bool, tuple[bool, str, str, str]]:
        """Return a sort key: Kubernetes first, so that no ServiceEntry takes its name, then age."""
        return (self.service.registry is not Registry.KUBERNETES, self.resource.age_key)

    @property
    def has_endpoints(self) -> bool:
        """Tell whether the object brings workloads of its own (not for Kubernetes Services)."""
        spec = self.resource.spec
        return bool(getattr(spec, "endpoints", ())) or bool(self.service.selector)


def contributing(claims: tuple[Claim, ...]) -> tuple[Claim, ...]:
    """Return the objects whose endpoints a service has, the winner first.

    A ServiceEntry adds the workloads it names to a Kubernetes Service of its namespace (Istio: machines
    beside pods), and to an older ServiceEntry of its namespace that finds its endpoints the same way.
    """
    first = claims[0]
    if first.service.registry is Registry.KUBERNETES:
        return (first, *(c for c in claims[1:] if c.has_endpoints))
    return (first, *(c for c in claims[1:] if _alike(first.service, c.service)))


def merged(claims: tuple[Claim, ...]) -> Service:
    """Return the service that objects of one host and namespace define together.

    Ports and addresses of later ServiceEntries are added to those of the oldest, which decides the rest.
    """
    first = claims[0].service
    if first.registry is Registry.KUBERNETES or len(claims) == 1:
        return first
    alike = [first, *(c.service for c in claims[1:] if _alike(first, c.service))]
    ports = {p.number: p for service in reversed(alike) for p in service.ports}
    numbers = dict.fromkeys(p.number for service in alike for p in service.ports)
    return msgspec.structs.replace(
        first,
        ports=tuple(ports[number] for number in numbers),
        addresses=tuple(dict.fromkeys(a for service in alike for a in service.addresses)),
    )


def ports_of(service: Service, claim: Claim) -> tuple[Port, ...]:
    """Return the ports at which an object adds endpoints: those of one number, else name, with the service.

    Each has the number of the service's port and the target of the object's.
    """
    by_name = {p.name: p.number for p in service.ports if p.name}
    numbers = {p.number for p in service.ports}
    found = []
    for port in claim.service.ports:
        number = port.number if port.number in numbers else by_name.get(port.name)
        if number is not None:
            found.append(msgspec.structs.replace(port, number=number))
    return tuple(found)


def _alike(one: Service, other: Service) -> bool:
    return (
        other.registry is Registry.EXTERNAL
        and one.resolution is other.resolution
        and one.mesh_external == other.mesh_external
    )


def findings(
    services: Sequence[Service], claims: Sequence[tuple[Claim, ...]]
) -> tuple[Finding, ...]:
    """Return what to say of one host: `services` in order of precedence, each with its claims."""
    found = []
    for group in claims:
        adding = contributing(group)
        found += [_same(group[0], loser, loser in adding) for loser in group[1:]]
    first = services[0]
    if first.registry is Registry.KUBERNETES:
        found += [
            _shadow(first, group[0])
            for service, group in zip(services[1:], claims[1:], strict=True)
            if service.registry is not Registry.KUBERNETES
        ]
    return tuple(found)


def _same(winner: Claim, loser: Claim, adds: bool) -> Finding:
    what = "it has no effect"
    if adds and winner.service.registry is Registry.KUBERNETES:
        what = "only its endpoints are used"
    elif adds:
        what = "its ports, addresses and endpoints are added, the rest has no effect"
    return _finding(
        loser,
        f'host "{loser.service.hostname}" is already defined by {winner.resource.key}; {what}',
        "remove the host from one of the two objects",
    )


def _shadow(winner: Service, loser: Claim) -> Finding:
    home = loser.service.namespace
    return _finding(
        loser,
        f'host "{winner.hostname}" is {winner.key}; only clients in namespace {home} see this one',
        "choose a host name that is no Kubernetes Service's",
    )


def _finding(loser: Claim, message: str, fix: str) -> Finding:
    return Finding(
        level=Level.WARNING,
        message=message,
        location=loser.resource.location,
        key=loser.resource.key,
        field="spec.hosts",
        fix=fix,
    )
