"""Clusters of the workload itself: its service ports, and whatever else arrives."""

from collections.abc import Iterator

import msgspec

from rhumb.ir import cluster as ir
from rhumb.ir.endpoint import LbEndpoint, LoadAssignment, LocalityGroup
from rhumb.ir.origin import Origin, origin
from rhumb.model.endpoint import Locality
from rhumb.model.kinds.destination_rule import ConnectionPool
from rhumb.model.kinds.sidecar import IngressListener
from rhumb.model.proxy import Interception
from rhumb.model.service import Port, Service
from rhumb.registry.protocols import declared
from rhumb.snapshot.snapshot import Scope, Snapshot
from rhumb.snapshot.view import Instance, View
from rhumb.translate import endpoints, names, traffic_policy
from rhumb.translate.perspective import WILDCARD
from rhumb.translate.stat_names import stat_name
from rhumb.translate.traffic_policy import Effective

_LOOPBACK = "127.0.0.1"
_SOURCE = "127.0.0.6"
_SOURCE_V6 = "::6"
"""Connections to the application come from here, so that the redirect rules know them."""


def inbound(snapshot: Snapshot, view: View) -> Iterator[ir.Cluster]:
    """Yield a cluster for each port that the workload serves, and InboundPassthroughCluster."""
    scope = snapshot.scope(view)
    if scope.spec is not None and scope.spec.ingress:
        for at, listener in enumerate(scope.spec.ingress):
            if listener.port is not None:
                yield _ingress(snapshot, view, scope, listener, at)
    else:
        seen: set[int] = set()
        for instance in view.instances:
            if instance.target_port not in seen:
                seen.add(instance.target_port)
                yield _instance(snapshot, view, scope, instance)
    if view.interception is not Interception.NONE:
        yield ir.Cluster(
            name=names.INBOUND_PASSTHROUGH,
            discovery=ir.Discovery.ORIGINAL_DST,
            load_balancing=ir.LoadBalancing(balance=ir.Balance.CLUSTER_PROVIDED),
            bind_addresses=_sources(view),
            ipv6=view.capabilities.ipv6,
            service=(names.INBOUND_PASSTHROUGH, names.INBOUND_PASSTHROUGH, ""),
        )


def _instance(snapshot: Snapshot, view: View, scope: Scope, instance: Instance) -> ir.Cluster:
    service = _service(snapshot, instance)
    direct = view.interception is Interception.NONE or snapshot.mesh.inbound_localhost
    pool = scope.spec.inbound_connection_pool if scope.spec else None
    policy = _policy(snapshot, view, service, instance.port, pool)
    target = f"{_LOOPBACK}:{instance.target_port}" if direct else ""
    cited = (endpoints.origin_of(service),) if service else ()
    where = (
        (service.hostname, service.name, service.namespace)
        if service
        else (instance.hostname, instance.hostname, instance.namespace)
    )
    made = _cluster(
        snapshot, view, instance.target_port, target, instance.port, policy, where, cited
    )
    return _named(snapshot, made, service, instance.port, instance.target_port)


def _ingress(
    snapshot: Snapshot, view: View, scope: Scope, listener: IngressListener, at: int
) -> ir.Cluster:
    assert listener.port is not None
    number = listener.port.number
    port = Port(number, listener.port.name, declared(listener.port.protocol))
    instance = view.instance_at(number)
    service = _service(snapshot, instance) if instance else None
    shared = scope.spec.inbound_connection_pool if scope.spec else None
    policy = _policy(snapshot, view, service, port, listener.connection_pool or shared)
    target = listener.default_endpoint
    if target.startswith((":", WILDCARD, "[::]")):
        target = ""  # the address that the connection meant
    elif not target and view.interception is Interception.NONE:
        target = f"{_LOOPBACK}:{number}"
    cited = (origin(scope.sidecar, f"spec.ingress[{at}]"),) if scope.sidecar else ()
    where = (
        (service.hostname, service.name, service.namespace) if service else ("", "", view.namespace)
    )
    made = _cluster(snapshot, view, number, target, port, policy, where, cited)
    return _named(snapshot, made, service, port, number)


def _named(
    snapshot: Snapshot, made: ir.Cluster, service: Service | None, port: Port, target: int
) -> ir.Cluster:
    pattern = snapshot.mesh.config.inbound_cluster_stat_name
    name = stat_name(pattern, service, port, subset="", target=target)
    return msgspec.structs.replace(made, stat_name=name) if name else made


def _service(snapshot: Snapshot, instance: Instance) -> Service | None:
    for service in snapshot.services(instance.hostname):
        if service.namespace == instance.namespace:
            return service
    return None


def _policy(
    snapshot: Snapshot,
    view: View,
    service: Service | None,
    port: Port,
    pool: ConnectionPool | None,
) -> Effective:
    """Return the pool in force: the Sidecar's, else that of the service's DestinationRule."""
    if pool is None and service is not None:
        found = snapshot.policy(view, service)
        rule = found.spec if found else None
        pool = traffic_policy.effective(rule, None, port.number, snapshot.mesh).connection_pool
    return Effective(connection_pool=pool)


def _cluster(
    snapshot: Snapshot,
    view: View,
    number: int,
    target: str,
    port: Port,
    policy: Effective,
    where: tuple[str, str, str],
    cited: tuple[Origin, ...],
) -> ir.Cluster:
    name = str(names.InboundCluster(number))
    options = traffic_policy.http_options(policy, port, snapshot.mesh)
    idle = options.idle_timeout_ms if options else None
    return ir.Cluster(
        name=name,
        discovery=ir.Discovery.STATIC if target else ir.Discovery.ORIGINAL_DST,
        assignment=_assignment(name, target) if target else None,
        load_balancing=ir.LoadBalancing(
            balance=ir.Balance.ROUND_ROBIN if target else ir.Balance.CLUSTER_PROVIDED
        ),
        limits=traffic_policy.limits(policy, snapshot.mesh),
        # The application is spoken to as its client spoke, whatever the port's declared protocol.
        http=ir.HttpOptions(idle_timeout_ms=idle) if not port.protocol.is_tcp else None,
        bind_addresses=() if target else _sources(view),
        ipv6=view.capabilities.ipv6,
        service=where,
        origin=cited,
    )


def _assignment(name: str, target: str) -> LoadAssignment:
    if target.startswith("unix://"):
        one = LbEndpoint(address=target.removeprefix("unix://"), port=0)
    else:
        host, _, port = target.rpartition(":")
        one = LbEndpoint(address=host.strip("[]"), port=int(port))
    return LoadAssignment(name=name, groups=(LocalityGroup(locality=Locality(), endpoints=(one,)),))


def _sources(view: View) -> tuple[str, ...]:
    if view.capabilities.dual_stack:
        return (_SOURCE, _SOURCE_V6)
    return (_SOURCE_V6,) if view.capabilities.ipv6 else (_SOURCE,)
