"""Everything one view receives, by xDS type: the door of this package."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from rhumb.ir.bundle import NameTable, Startup
from rhumb.ir.cluster import Cluster
from rhumb.ir.endpoint import LoadAssignment
from rhumb.ir.listener import Listener
from rhumb.ir.patch import Added, Patched
from rhumb.ir.route import HostOfRoute, RouteConfiguration
from rhumb.ir.secret import Secret
from rhumb.ir.tls import SecretRef, SecretSource, Validation
from rhumb.model.proxy import Role
from rhumb.model.service import Service
from rhumb.snapshot.snapshot import Snapshot
from rhumb.snapshot.view import View
from rhumb.translate import clusters, endpoints, gateway_servers, name_table, secrets
from rhumb.translate.listeners import gateway as gateway_listeners
from rhumb.translate.listeners import inbound, outbound
from rhumb.translate.listening import asked, chains
from rhumb.translate.memory import Memory
from rhumb.translate.patches import ADDING, Patches
from rhumb.translate.perspective import Perspective
from rhumb.translate.profile import routed
from rhumb.translate.recall import Recall, by_host
from rhumb.translate.routes import delivery
from rhumb.translate.routes import gateway as gateway_routes
from rhumb.translate.routes.delivery import takes_hosts_apart
from rhumb.translate.startup import startup
from rhumb.xds.types import XdsType

OfProxy = Cluster | LoadAssignment | Listener | RouteConfiguration | HostOfRoute | Secret
OfAgent = NameTable | Startup
Made = OfProxy | OfAgent
Value = Made | Patched | Added
Names = frozenset[str] | None
Units = Iterable[tuple[str, tuple[Value, ...]]]
MadeUnits = Iterable[tuple[str, tuple[Made, ...]]]


class Part(msgspec.Struct, frozen=True, cache_hash=True):
    """Some resources of one type, the very same for every view that has this part."""

    view: View
    kind: XdsType
    is_common: bool
    """What is about others, and so common to many proxies; not what is about the proxy itself."""
    is_home: bool = False
    """Of what is common that which is otherwise for a namespace than for everybody."""


def parts(snapshot: Snapshot, view: View, kind: XdsType) -> tuple[Part, ...]:
    """Return the parts that make up what a view receives; of two resources of one name the later counts.

    Types that are no matter of views have none.
    """
    public = snapshot.public(view)
    if kind is XdsType.NDS:
        return (Part(public, kind, is_common=True),)
    own, common = _OF.get(view.role, (frozenset(), frozenset()))
    found = []
    if kind in own or (view.patches and kind in ADDING):
        found.append(Part(view, kind, is_common=False))
    if kind in common:
        found += _common_parts(snapshot.common(view), public, kind)
    return tuple(found)


def _common_parts(common: View, public: View, kind: XdsType) -> Iterator[Part]:
    apart = takes_hosts_apart(common)
    if kind is XdsType.VHDS:
        if apart:
            yield Part(public, kind, is_common=True)
        if apart and public is not common:
            yield Part(common, kind, is_common=True, is_home=True)
    elif kind is XdsType.SDS or (kind is XdsType.RDS and not apart):
        # Secrets are found in the namespace, and short names stand in the routes.
        yield Part(common, kind, is_common=True)
    else:
        yield Part(public, kind, is_common=True)


def translate(
    snapshot: Snapshot, part: Part, hosts: Names = None, memory: Memory | None = None
) -> Units:
    """Yield the resources of a part in units that change together, each under the name of its unit.

    Clusters and endpoints come by host name, and `hosts` (None: all) tells which of them to yield;
    a host that is none any more has an empty unit. Virtual hosts are a unit each, everything else is
    one. What is written into `memory` makes the next translation of the part cheaper, with its
    `news` told.
    """
    patches = Patches(snapshot, part.view)
    memory = memory or Memory()
    if part.is_common and part.kind in BY_HOST:
        recall = memory.shared.of_services.recall(snapshot, part.view, part.kind)
        for host, values in BY_HOST[part.kind](snapshot, part.view, hosts, recall):
            yield host, tuple(patches.applied(values))
        return
    seen = Perspective(snapshot, part.view)
    if part.is_common and part.kind is XdsType.VHDS:
        yield from (delivery.hosts_at_home if part.is_home else delivery.hosts)(seen, memory)
        return
    if part.is_common and part.kind is XdsType.RDS:
        yield "", tuple(patches.applied(delivery.configurations(seen, memory)))
        return
    if part.is_common and part.kind is XdsType.LDS:
        yield "", tuple(patches.applied(memory.listen(seen).listeners))
        return
    make = (_COMMON if part.is_common else _OWN).get(part.kind)
    made = make(seen) if make is not None else ()
    added = () if part.is_common else tuple(patches.added(part.kind))
    if added:
        taken = _common_names(snapshot, part)
        added = tuple(each for each in added if each.name not in taken)
    yield "", (*added, *patches.applied(made))


def _common_names(snapshot: Snapshot, own: Part) -> frozenset[str]:
    """Return the names that the common part beside a proxy's own has already."""
    beside = [p for p in parts(snapshot, own.view, own.kind) if p.is_common]
    units = (unit for part in beside for unit in translate(snapshot, part))
    return frozenset(value.name for _, values in units for value in values)


def resources(snapshot: Snapshot, view: View, kind: XdsType) -> tuple[Value, ...]:
    """Return the resources of one type for a view, clusters and endpoints sorted by name."""
    found: dict[str, Value] = {}
    for part in parts(snapshot, view, kind):
        for _, values in translate(snapshot, part):
            found |= {value.name: value for value in values}
    return tuple(found[name] for name in (sorted(found) if kind in BY_HOST else found))


def listeners(seen: Perspective) -> tuple[Listener, ...]:
    """Return every listener of a view."""
    if seen.view.role is Role.ROUTER:
        return gateway_listeners.listeners(seen, gateway_servers.merge(seen))
    return (*inbound.listeners(seen), *outbound.listeners(seen))


def _gateway_routes(seen: Perspective) -> Iterator[RouteConfiguration]:
    """Yield the route configurations that a gateway's listeners ask for."""
    by_route = gateway_servers.merge(seen).by_route()
    for name in sorted(set(asked(listeners(seen)))):
        yield routed(seen, gateway_routes.configuration(seen, name, by_route[name]))


def _own_listeners(seen: Perspective) -> tuple[Listener, ...]:
    return listeners(seen) if seen.view.role is Role.ROUTER else inbound.listeners(seen)


def _secrets(
    seen: Perspective,
    found: Iterable[Listener],
    upstream: Iterable[Cluster],
    more: Iterable[str] = (),
) -> Iterator[Secret]:
    """Yield the secrets that listeners and clusters ask the control plane for, and `more` by name."""
    for name in sorted({*_credentials(found, upstream), *more}):
        secret = secrets.secret(seen.snapshot, seen.view, name)
        if secret is not None:
            yield secret


def _credentials(found: Iterable[Listener], upstream: Iterable[Cluster]) -> Iterator[str]:
    for listener in found:
        for chain in chains(listener):
            if chain.tls is not None:
                yield from _delivered(chain.tls.certificates, chain.tls.validation)
    for cluster in upstream:
        if cluster.tls is not None:
            yield from _delivered(cluster.tls.certificates, cluster.tls.validation)


def _delivered(certificates: tuple[SecretRef, ...], validation: Validation) -> Iterator[str]:
    roots = (validation.roots,) if validation.roots is not None else ()
    for ref in (*certificates, *roots):
        if ref.source is SecretSource.ADS:
            yield ref.name


def _own_secrets(seen: Perspective) -> Iterator[Secret]:
    # As in Istio, Secrets that a patch names are for gateways: other workloads may not read them.
    is_gateway = seen.view.role is Role.ROUTER
    named = Patches(seen.snapshot, seen.view).secrets() if is_gateway else ()
    return _secrets(seen, _own_listeners(seen), clusters.own(seen.snapshot, seen.view), named)


def _common_secrets(seen: Perspective) -> Iterator[Secret]:
    found = () if seen.view.role is Role.ROUTER else outbound.listeners(seen)
    upstream = (c for _, unit in clusters.common(seen.snapshot, seen.view) for c in unit)
    return _secrets(seen, found, upstream)


def _endpoints(snapshot: Snapshot, view: View, hosts: Names, recall: Recall) -> MadeUnits:
    by_sni = clusters.passes_by_sni(snapshot, view)
    make = functools.partial(_of_service, snapshot, view, by_sni=by_sni)
    return by_host(snapshot, view, hosts, make, recall)


def _of_service(
    snapshot: Snapshot, view: View, service: Service, *, by_sni: bool
) -> Iterator[LoadAssignment]:
    for name in clusters.endpoint_names(snapshot, view, service, by_sni=by_sni):
        yield endpoints.assignment(snapshot, view, name)


_OWN: Mapping[XdsType, Callable[[Perspective], Iterable[Made]]] = {
    XdsType.CDS: lambda seen: clusters.own(seen.snapshot, seen.view),
    XdsType.LDS: _own_listeners,
    XdsType.RDS: _gateway_routes,
    XdsType.SDS: _own_secrets,
    XdsType.STARTUP: lambda seen: (startup(seen),),
}
_COMMON: Mapping[XdsType, Callable[[Perspective], Iterable[Made]]] = {
    XdsType.SDS: _common_secrets,
    XdsType.NDS: lambda seen: (name_table.name_table(seen.snapshot, seen.view),),
}
BY_HOST: Mapping[XdsType, Callable[[Snapshot, View, Names, Recall], MadeUnits]] = {
    XdsType.CDS: clusters.common,
    XdsType.EDS: _endpoints,
}
_OF: Mapping[Role, tuple[frozenset[XdsType], frozenset[XdsType]]] = {
    Role.SIDECAR: (
        frozenset({XdsType.CDS, XdsType.LDS, XdsType.SDS}),
        frozenset({XdsType.CDS, XdsType.EDS, XdsType.LDS, XdsType.RDS, XdsType.VHDS, XdsType.SDS}),
    ),
    # What gateways serve depends on all of a view; where they send to does not.
    Role.ROUTER: (
        frozenset({XdsType.LDS, XdsType.RDS, XdsType.SDS}),
        frozenset({XdsType.CDS, XdsType.EDS, XdsType.SDS}),
    ),
    Role.AGENT: (frozenset({XdsType.STARTUP}), frozenset()),
}
"""Types that have parts of a proxy's own, and types that have common ones."""
