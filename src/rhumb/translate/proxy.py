"""Everything one view receives, by xDS type: the door of this package."""

from collections.abc import Callable, Iterable, Iterator

from rhumb.ir.bundle import NameTable
from rhumb.ir.cluster import Cluster, Discovery
from rhumb.ir.endpoint import LoadAssignment
from rhumb.ir.listener import FilterChain, HttpConnectionManager, Listener
from rhumb.ir.route import RouteConfiguration
from rhumb.ir.secret import Secret
from rhumb.ir.tls import SecretRef, SecretSource, Validation
from rhumb.model.proxy import Role
from rhumb.snapshot.snapshot import Snapshot
from rhumb.snapshot.view import View
from rhumb.translate import clusters, endpoints, gateway_servers, name_table, secrets
from rhumb.translate.listeners import gateway as gateway_listeners
from rhumb.translate.listeners import inbound, outbound
from rhumb.translate.perspective import Perspective
from rhumb.translate.routes import gateway as gateway_routes
from rhumb.translate.routes.outbound import OutboundRoutes
from rhumb.xds.types import XdsType

Value = Cluster | LoadAssignment | Listener | RouteConfiguration | Secret | NameTable
Names = frozenset[str] | None


def resources(
    snapshot: Snapshot, view: View, kind: XdsType, names: Names = None
) -> tuple[Value, ...]:
    """Return the resources of one type for a view.

    `names` are those asked for; None is all: what the view's own clusters and listeners refer to.
    A name that stands for nothing is left out. Types that are no matter of views are empty.
    """
    if view.role not in (Role.SIDECAR, Role.ROUTER) and kind is not XdsType.NDS:
        return ()
    made = _TRANSLATE.get(kind)
    return tuple(made(snapshot, view, names)) if made is not None else ()


def listeners(seen: Perspective) -> tuple[Listener, ...]:
    """Return every listener of a view."""
    if seen.view.role is Role.ROUTER:
        return gateway_listeners.listeners(seen, gateway_servers.merge(seen))
    return (*inbound.listeners(seen), *outbound.listeners(seen))


def routes(seen: Perspective, names: Names) -> Iterator[RouteConfiguration]:
    """Yield the route configurations with these names; None is all that the listeners ask for.

    A gateway's route that no server has any more is answered with an empty table: draining
    listeners still ask.
    """
    wanted = sorted(_asked(listeners(seen)) if names is None else names)
    if seen.view.role is Role.ROUTER:
        by_route = gateway_servers.merge(seen).by_route()
        for name in wanted:
            if name in by_route:
                yield gateway_routes.configuration(seen, name, by_route[name])
            else:
                yield RouteConfiguration(name=name, virtual_hosts=())
        return
    tables = OutboundRoutes(seen)
    for name in wanted:
        found = tables.configuration(name)
        if found is not None:
            yield found


def _asked(found: Iterable[Listener]) -> set[str]:
    return {
        chain.filter.rds
        for listener in found
        for chain in _chains(listener)
        if isinstance(chain.filter, HttpConnectionManager) and chain.filter.rds
    }


def _chains(listener: Listener) -> Iterator[FilterChain]:
    yield from listener.chains
    if listener.default_chain is not None:
        yield listener.default_chain


def _cds(snapshot: Snapshot, view: View, names: Names) -> Iterable[Cluster]:
    return (c for c in clusters.clusters(snapshot, view) if names is None or c.name in names)


def _eds(snapshot: Snapshot, view: View, names: Names) -> Iterable[LoadAssignment]:
    if names is None:
        found = clusters.clusters(snapshot, view)
        names = frozenset(c.name for c in found if c.discovery is Discovery.EDS)
    return (endpoints.assignment(snapshot, view, name) for name in sorted(names))


def _lds(snapshot: Snapshot, view: View, names: Names) -> Iterable[Listener]:
    found = listeners(Perspective(snapshot, view))
    return (listener for listener in found if names is None or listener.name in names)


def _rds(snapshot: Snapshot, view: View, names: Names) -> Iterable[RouteConfiguration]:
    return routes(Perspective(snapshot, view), names)


def _sds(snapshot: Snapshot, view: View, names: Names) -> Iterable[Secret]:
    if names is None:
        names = frozenset(_credentials(snapshot, view))
    found = (secrets.secret(snapshot, view, name) for name in sorted(names))
    return (secret for secret in found if secret is not None)


def _credentials(snapshot: Snapshot, view: View) -> Iterator[str]:
    """Yield the names of secrets that the control plane itself delivers to a view."""
    for listener in listeners(Perspective(snapshot, view)):
        for chain in _chains(listener):
            if chain.tls is not None:
                yield from _delivered(chain.tls.certificates, chain.tls.validation)
    for cluster in clusters.clusters(snapshot, view):
        if cluster.tls is not None:
            yield from _delivered(cluster.tls.certificates, cluster.tls.validation)


def _delivered(certificates: tuple[SecretRef, ...], validation: Validation) -> Iterator[str]:
    roots = (validation.roots,) if validation.roots is not None else ()
    for ref in (*certificates, *roots):
        if ref.source is SecretSource.ADS:
            yield ref.name


def _nds(snapshot: Snapshot, view: View, names: Names) -> Iterable[NameTable]:
    return (name_table.name_table(snapshot, view),)


_TRANSLATE: dict[XdsType, Callable[[Snapshot, View, Names], Iterable[Value]]] = {
    XdsType.CDS: _cds,
    XdsType.EDS: _eds,
    XdsType.LDS: _lds,
    XdsType.RDS: _rds,
    XdsType.SDS: _sds,
    XdsType.NDS: _nds,
}
