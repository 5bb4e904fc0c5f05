"""The endpoints of one service, from every object that tells of them."""

from collections.abc import Mapping

import msgspec

from rhumb.model.endpoint import Endpoint, Health, Locality
from rhumb.model.finding import Finding, Level
from rhumb.model.resource import Resource
from rhumb.model.service import Registry
from rhumb.registry import conflicts, entries, kubernetes, slices
from rhumb.registry.conflicts import Claim
from rhumb.registry.workloads import Entry, LabelIndex


class Surroundings(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What is known of workloads, as far as it matters to one service."""

    selectable: LabelIndex | None
    """WorkloadEntries and Pods of its namespace."""
    entries_at: Mapping[str, tuple[Entry, ...]]
    slices: tuple[Resource, ...]
    """EndpointSlices and Endpoints of a Kubernetes Service."""
    nodes: Mapping[str, Locality]

    def select(self, selector: tuple[tuple[str, str], ...]) -> list[Entry]:
        """Return the workloads that have the labels."""
        return self.selectable.select(selector) if self.selectable is not None else []


def endpoints(claims: tuple[Claim, ...], around: Surroundings) -> tuple[Endpoint, ...]:
    """Return the endpoints of a service from the objects that define it, sorted."""
    whole = conflicts.merged(claims)
    found: list[Endpoint] = []
    for claim in conflicts.contributing(claims):
        part = msgspec.structs.replace(claim.service, ports=conflicts.ports_of(whole, claim))
        if part.external_name:
            continue
        if part.registry is Registry.KUBERNETES:
            found += _of_kubernetes(claim, around)
            continue
        found += entries.inline_endpoints(claim.resource, part)
        if part.selector:
            found += entries.selected_endpoints(part, around.select(part.selector), {})
    usable = entries.usable(whole.resolution)
    found = [e for e in found if usable(e.address)]
    unique = {(e.address, e.port, e.service_port, e.hostname): e for e in reversed(found)}
    return tuple(unique[key] for key in sorted(unique))


def left_out(claims: tuple[Claim, ...], around: Surroundings) -> tuple[Finding, ...]:
    """Return what to say of selected workloads whose address the service cannot use."""
    service = conflicts.merged(claims)
    usable = entries.usable(service.resolution)
    selectors = dict.fromkeys(c.service.selector for c in conflicts.contributing(claims))
    return tuple(
        Finding(
            level=Level.WARNING,
            message=f'"{one.address}" is no endpoint of {service.hostname}: {_why(one.address)}',
            fix=_FIX,
            field="spec.address",
            key=one.resource.key,
            location=one.resource.line_of("spec.address"),
        )
        for selector in selectors
        for one in around.select(selector)
        if one.address and not usable(one.address)
    )


_FIX = "select it by a ServiceEntry with resolution DNS for names, STATIC for addresses and sockets"


def _why(address: str) -> str:
    if address.startswith(entries.UNIX):
        return "a socket is not found by name resolution"
    return "it is a name, and the service takes addresses and sockets only"


def _of_kubernetes(claim: Claim, around: Surroundings) -> list[Endpoint]:
    """Return what EndpointSlices say, else the Pods that the selector finds; and WorkloadEntries."""
    service = claim.service
    selected = around.select(service.selector)
    if around.slices:
        selected = [e for e in selected if not e.is_pod]
    elif kubernetes.publishes_unready(claim.resource):
        selected = [_ready(e) for e in selected]
    targets = kubernetes.target_ports(claim.resource)

    def pod_of(name: str, address: str) -> Entry | None:
        here = (e for e in around.entries_at.get(address, ()) if e.is_pod)
        own = (e for e in here if e.workload.namespace == service.namespace)
        return next((e for e in own if not name or e.name == name), None)

    return [
        *entries.selected_endpoints(service, selected, targets),
        *slices.endpoints(around.slices, service, pod_of, around.nodes),
    ]


def _ready(one: Entry) -> Entry:
    if not one.is_pod or one.health is Health.HEALTHY:
        return one
    return msgspec.structs.replace(one, health=Health.HEALTHY)
