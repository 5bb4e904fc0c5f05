"""Objects that fight for one thing: who wins as in Istio, and what the losers are told."""

from collections.abc import Iterator

from rhumb.model.finding import Finding, Level
from rhumb.model.kinds.destination_rule import DestinationRule
from rhumb.model.kinds.sidecar import Sidecar
from rhumb.model.kinds.table import NETWORKING
from rhumb.model.proxy import Role
from rhumb.model.resource import Resource
from rhumb.model.service import Port, Service
from rhumb.snapshot import names
from rhumb.snapshot.build import World
from rhumb.snapshot.snapshot import Routing
from rhumb.snapshot.view import Capabilities, View
from rhumb.translate.listeners import outbound
from rhumb.translate.perspective import Perspective

_ANY = ""
"""The address of services that have none: listeners take every address."""


def findings(world: World) -> tuple[Finding, ...]:
    """Return a warning for each object, or part of one, that has no effect because of another."""
    found = (
        *_sidecars(world),
        *_virtual_services(world),
        *_destination_rules(world),
        *_listeners(world),
        *_workload_ports(world),
    )
    return tuple(dict.fromkeys(found))


# --- Sidecars ----------------------------------------------------------------------------


def _sidecars(world: World) -> Iterator[Finding]:
    """Tell Sidecars for the same workloads: the oldest of a namespace is in force."""
    seen: dict[tuple[object, ...], Resource] = {}
    for resource in world.resources.of(NETWORKING, "Sidecar"):
        spec = resource.spec
        assert isinstance(spec, Sidecar)
        labels = spec.workload_selector.labels if spec.workload_selector is not None else {}
        winner = seen.setdefault((resource.meta.namespace, *sorted(labels.items())), resource)
        if winner is resource:
            continue
        whose = "the same workloads" if labels else "the whole namespace"
        yield _finding(
            resource,
            "spec.workloadSelector" if labels else "",
            f"has no effect: {winner.key} is for {whose} and older",
            "join the two objects in one",
            "IST0110" if labels else "IST0111",
        )


# --- VirtualServices ---------------------------------------------------------------------


def doubly_routed(world: World) -> Iterator[tuple[str, Routing, Routing]]:
    """Yield each host that two VirtualServices of the mesh serve, the one that loses at home, and its winner."""
    routes = world.indexes.routes
    by_host: dict[str, list[Routing]] = {}
    for routing in sorted(routes.all(), key=lambda r: r.resource.age_key):
        spec = routing.spec
        if not spec.hosts or names.MESH_GATEWAY not in spec.gateways:
            continue
        for host in dict.fromkeys(host.lower() for host in spec.hosts):
            by_host.setdefault(host, []).append(routing)
    for host, group in sorted(by_host.items()):
        if len(group) > 1:
            for loser in group:
                home = loser.resource.meta.namespace
                winner = routes.ranked(group, home)[0]
                if winner is not loser:
                    yield host, loser, winner


def _virtual_services(world: World) -> Iterator[Finding]:
    """Tell VirtualServices of the mesh that serve a host that another serves: the two are not merged."""
    for host, loser, winner in doubly_routed(world):
        yield _overruled(loser, winner, host)


def _overruled(loser: Routing, winner: Routing, host: str) -> Finding:
    home = loser.resource.meta.namespace
    at = next(i for i, each in enumerate(loser.spec.hosts) if each.lower() == host)
    return _finding(
        loser.resource,
        f"spec.hosts[{at}]",
        f'has no effect on sidecars of namespace {home}: host "{host}" is routed by '
        f"{winner.resource.key}; routes of one host are not merged but at gateways",
        "put the rules into one object, or let one delegate to the other",
        "IST0109",
    )


# --- DestinationRules --------------------------------------------------------------------


def doubly_defined(world: World) -> Iterator[tuple[str, Resource, int, Resource]]:
    """Yield each host with a subset that two DestinationRules define: host, loser, its subset, winner."""
    for rule in world.indexes.rules.merged():
        owners: dict[str, Resource] = {}
        for resource in rule.policy.resources:
            for at, subset in enumerate(_rule(resource).subsets):
                owner = owners.setdefault(subset.name, resource)
                if owner is not resource:
                    yield rule.host, resource, at, owner


def _destination_rules(world: World) -> Iterator[Finding]:
    """Tell DestinationRules of one host what of them is lost when they are merged."""
    for host, resource, at, owner in doubly_defined(world):
        name = _rule(resource).subsets[at].name
        yield _finding(
            resource,
            f"spec.subsets[{at}]",
            f"has no effect: subset {name} of host {host} is defined by {owner.key}",
            "give it another name, or remove one of the two",
        )
    for rule in world.indexes.rules.merged():
        policy: Resource | None = None
        for resource in rule.policy.resources:
            if _rule(resource).traffic_policy is None:
                continue
            if policy is not None:
                yield _finding(
                    resource,
                    "spec.trafficPolicy",
                    f"has no effect: that of {policy.key} is in force for host {rule.host}",
                    "put the policy into one object",
                )
            policy = policy or resource


def _rule(resource: Resource) -> DestinationRule:
    assert isinstance(resource.spec, DestinationRule)
    return resource.spec


# --- TCP listeners -----------------------------------------------------------------------


def _listeners(world: World) -> Iterator[Finding]:
    """Tell services whose TCP connections cannot be told from another's, in the eyes of their own namespace."""
    rivals = _rivals(world)
    homes = {service.namespace for service in rivals}
    hosts = frozenset(service.hostname for service in rivals)
    for home in sorted(homes):
        seen = Perspective(world, _sidecar(world, home))
        for lost in outbound.conflicts(seen, hosts):
            if lost.place.service.namespace == home:
                yield from _displaced(world, lost)


def _sidecar(world: World, namespace: str) -> View:
    """Return how our own agent's sidecars see the mesh: they answer names with automatic addresses."""
    can = Capabilities(dns_capture=True)
    return View(role=Role.SIDECAR, namespace=namespace, domain=world.mesh.domain, capabilities=can)


def _rivals(world: World) -> list[Service]:
    """Return the services of which two may want one listener, and one of these at least for TCP."""
    places: dict[tuple[str, int], list[tuple[bool, Service]]] = {}
    for service in world.catalog.services.values():
        for port in service.ports:
            is_tcp = port.protocol.is_tcp
            # HTTP shares the listener for every address.
            for address in (
                (service.addresses or service.auto_addresses or (_ANY,)) if is_tcp else (_ANY,)
            ):
                places.setdefault((address, port.number), []).append((is_tcp, service))
    contested = [group for group in places.values() if len(group) > 1 and any(t for t, _ in group)]
    return list({id(service): service for group in contested for _, service in group}.values())


def _displaced(world: World, lost: outbound.Lost) -> Iterator[Finding]:
    service, winner = lost.place.service, lost.winner.service
    resource = _definition(world, service)
    if resource is None:
        return
    at = next((i for i, p in enumerate(service.ports) if p.number == lost.place.port.number), None)
    where = "go there" if lost.is_shared else "are not routed"
    yield _finding(
        resource,
        f"spec.ports[{at}]" if at is not None else "spec.ports",
        f"connections to {service.hostname}:{lost.place.port.number} {where}: "
        f"listener {lost.place.name} is that of {winner.hostname}, which is older",
        "give the service an address or a port of its own, or a protocol that can be told apart",
    )


# --- ports of workloads ------------------------------------------------------------------


def _workload_ports(world: World) -> Iterator[Finding]:
    """Tell services that call the port of a workload another protocol than an older service does."""
    served: dict[tuple[str, int], dict[str, tuple[Service, Port]]] = {}
    for key, endpoints in world.catalog.endpoints.items():
        service = world.catalog.services[key]
        for endpoint in endpoints:
            port = service.port(endpoint.service_port)
            is_home = endpoint.workload.namespace == service.namespace
            if port is not None and is_home and not service.mesh_external:
                place = served.setdefault((endpoint.address, endpoint.port), {})
                place.setdefault(f"{service.namespace}/{service.hostname}", (service, port))
    for (_, number), claims in served.items():
        if len({port.protocol for _, port in claims.values()}) > 1:
            first, *others = sorted(claims.values(), key=lambda claim: _age(claim[0]))
            for service, port in others:
                if port.protocol is not first[1].protocol:
                    yield from _misnamed(world, (service, port), first, number)


def _age(service: Service) -> tuple[bool, str, str]:
    return (not service.created, service.created, service.hostname)


def _misnamed(
    world: World, loser: tuple[Service, Port], winner: tuple[Service, Port], number: int
) -> Iterator[Finding]:
    service, port = loser
    resource = _definition(world, service)
    if resource is not None:
        yield _finding(
            resource,
            f"spec.ports[{service.ports.index(port)}]",
            f"is called {port.protocol}, and its workloads take port {number} as "
            f"{winner[1].protocol}: {winner[0].hostname} says so and is older",
            "give both ports one protocol, or let the workload listen at another port",
            "IST0116",
        )


def _definition(world: World, service: Service) -> Resource | None:
    claims = world.catalog.claims.get((service.hostname, service.namespace), ())
    return claims[0].resource if claims else None


def _finding(resource: Resource, field: str, message: str, fix: str, code: str = "") -> Finding:
    return Finding(
        level=Level.WARNING,
        key=resource.key,
        field=field,
        location=resource.line_of(field) if field else resource.location,
        message=message,
        fix=fix,
        code=code,
    )
