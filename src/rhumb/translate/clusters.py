"""Clusters of a view: every visible service port and subset, the workload's own ports, the catch-alls."""

import functools
from collections.abc import Iterable, Iterator

import msgspec

from rhumb.ir import cluster as ir
from rhumb.ir.endpoint import LoadAssignment
from rhumb.ir.origin import Origin, origin
from rhumb.model.kinds.destination_rule import DestinationRule, Subset
from rhumb.model.kinds.gateway import ServerTlsMode
from rhumb.model.proxy import Role
from rhumb.model.service import Port, Protocol, Registry, Resolution, Service
from rhumb.snapshot.snapshot import Mesh, Policy, Snapshot
from rhumb.snapshot.view import View
from rhumb.translate import (
    endpoints,
    inbound_clusters,
    locality,
    names,
    traffic_policy,
    upstream_tls,
)
from rhumb.translate.catch_alls import catch_alls
from rhumb.translate.recall import Recall, anew, by_host
from rhumb.translate.stat_names import stat_name
from rhumb.translate.traffic_policy import Effective

_DISCOVERY = {
    Resolution.STATIC: ir.Discovery.EDS,
    Resolution.DNS: ir.Discovery.STRICT_DNS,
    Resolution.DNS_ROUND_ROBIN: ir.Discovery.LOGICAL_DNS,
    Resolution.DYNAMIC_DNS: ir.Discovery.DYNAMIC_FORWARD_PROXY,
    Resolution.PASSTHROUGH: ir.Discovery.ORIGINAL_DST,
}


Units = Iterator[tuple[str, tuple[ir.Cluster, ...]]]


def own(snapshot: Snapshot, view: View) -> tuple[ir.Cluster, ...]:
    """Return the clusters of the workload itself."""
    if view.role is not Role.SIDECAR:
        return ()
    return tuple(inbound_clusters.inbound(snapshot, view))


def common(
    snapshot: Snapshot, view: View, hosts: frozenset[str] | None = None, recall: Recall = anew
) -> Units:
    """Yield the clusters that lead to others, host name by host name; `hosts` None: all of them.

    The catch-alls come under the name "", and only with all hosts.
    """
    make = functools.partial(_of_host, snapshot, view, by_sni=passes_by_sni(snapshot, view))
    yield from by_host(snapshot, view, hosts, make, recall)
    if hosts is None:
        yield "", tuple(catch_alls(snapshot, view))


def _of_host(
    snapshot: Snapshot, view: View, service: Service, *, by_sni: bool
) -> Iterable[ir.Cluster]:
    found: dict[str, ir.Cluster] = {}
    for cluster in of_service(snapshot, view, service):
        found.setdefault(cluster.name, cluster)
    if by_sni:
        found |= {sni.name: sni for sni in map(_by_sni, found.values())}
    return found.values()


def endpoint_names(
    snapshot: Snapshot, view: View, service: Service, *, by_sni: bool
) -> Iterator[str]:
    """Yield the names of those of a service's clusters that ask for endpoints (EDS)."""
    if service.external_name or _discovery(view, service, Effective()) is not ir.Discovery.EDS:
        return
    found = snapshot.policy(view, service)
    rule = found.spec if found else None
    for port in service.ports:
        if port.protocol is Protocol.UDP:
            continue
        for subset in (None, *(rule.subsets if rule else ())):
            policy = traffic_policy.effective(rule, subset, port.number, snapshot.mesh)
            if _discovery(view, service, policy) is ir.Discovery.EDS:
                name = names.OutboundCluster(
                    port.number, service.hostname, subset.name if subset else ""
                )
                yield str(name)
                if by_sni:
                    yield str(name.sni)


def of_service(snapshot: Snapshot, view: View, service: Service) -> Iterator[ir.Cluster]:
    """Yield the clusters of one service: each port, whole and by subset."""
    if service.external_name:
        return  # another name of a service: routes lead to that service's clusters
    found = snapshot.policy(view, service)
    for port in service.ports:
        if port.protocol is Protocol.UDP:
            continue
        for subset in (None, *(found.spec.subsets if found else ())):
            yield _outbound(snapshot, view, service, (port, subset), found)


def _outbound(
    snapshot: Snapshot,
    view: View,
    service: Service,
    which: tuple[Port, Subset | None],
    found: Policy | None,
) -> ir.Cluster:
    port, subset = which
    rule = found.spec if found else None
    mesh = snapshot.mesh
    policy = traffic_policy.effective(rule, subset, port.number, mesh)
    policy = traffic_policy.with_affinity(policy, service)
    name = names.OutboundCluster(port.number, service.hostname, subset.name if subset else "")
    identities = upstream_tls.accounts(mesh, service, snapshot.endpoints(service))
    version = traffic_policy.http_version(policy, port, mesh, view.role)
    tls = mtls = None
    if policy.tls is not None and not upstream_tls.is_withheld(view, rule, policy.tls):
        peers = upstream_tls.proven(service, policy.tls, identities)
        tls = upstream_tls.explicit(mesh, view, name, policy.tls, peers, version)
    discovery = _discovery(view, service, policy)
    if policy.tls is None and mesh.auto_mtls and not service.mesh_external:
        context = upstream_tls.automatic(view, name, identities, version)
        if discovery is not ir.Discovery.ORIGINAL_DST:
            mtls = context
        elif _all_accept(snapshot, service, port.number):
            tls = context  # endpoints of such a cluster cannot be told apart
    assignment = None
    if discovery in (ir.Discovery.STRICT_DNS, ir.Discovery.LOGICAL_DNS):
        assignment = endpoints.of_service(
            snapshot, view, service, (port.number, subset), policy, str(name)
        )
        discovery = _resolving(discovery, assignment)
    return ir.Cluster(
        name=str(name),
        discovery=discovery,
        assignment=assignment,
        load_balancing=_balancing(service, policy, discovery, mesh),
        limits=traffic_policy.limits(policy, mesh),
        http=traffic_policy.http_options(policy, port, mesh, tls, view.role),
        outlier=traffic_policy.outlier(policy),
        mtls=mtls,
        tls=tls,
        stat_name=stat_name(
            mesh.config.outbound_cluster_stat_name,
            service,
            port,
            subset=subset.name if subset else "",
            target=port.target_port or port.number,
        ),
        proxy_protocol=policy.proxy_protocol.version.value if policy.proxy_protocol else "",
        port_override=_port_override(service, port, discovery),
        own_resolver=view.capabilities.own_resolver,
        dns_refresh_ms=_refresh(snapshot),
        ipv6=view.capabilities.ipv6,
        service=(service.hostname, service.name, service.namespace),
        subset=subset.name if subset else "",
        external=service.mesh_external,
        config=_config(found),
        origin=_origins(service, found, rule, subset),
    )


def _discovery(view: View, service: Service, policy: Effective) -> ir.Discovery:
    """Return how endpoints are found; nothing tells a gateway where a connection was meant to go."""
    if traffic_policy.passes_through(policy):
        return ir.Discovery.ORIGINAL_DST
    if service.resolution is Resolution.PASSTHROUGH and view.role is Role.ROUTER:
        return ir.Discovery.EDS
    return _DISCOVERY[service.resolution]


def _port_override(service: Service, port: Port, discovery: ir.Discovery) -> int:
    """Return the targetPort of a ServiceEntry whose addresses are those that clients call."""
    if discovery is not ir.Discovery.ORIGINAL_DST or service.registry is not Registry.EXTERNAL:
        return 0
    return port.target_port if port.target_port != port.number else 0


def _resolving(discovery: ir.Discovery, assignment: LoadAssignment) -> ir.Discovery:
    """Return how names are resolved: Envoy's LOGICAL_DNS takes one name, no fewer and no more."""
    names_in = sum(len(group.endpoints) for group in assignment.groups)
    return discovery if names_in == 1 else ir.Discovery.STRICT_DNS


def _all_accept(snapshot: Snapshot, service: Service, port: int) -> bool:
    found = [e for e in snapshot.endpoints(service) if e.service_port == port]
    return bool(found) and all(endpoints.accepts_mtls(snapshot, e) for e in found)


def _balancing(
    service: Service, policy: Effective, discovery: ir.Discovery, mesh: Mesh
) -> ir.LoadBalancing:
    found = traffic_policy.load_balancing(policy)
    if discovery in (ir.Discovery.ORIGINAL_DST, ir.Discovery.DYNAMIC_FORWARD_PROXY):
        return ir.LoadBalancing(
            balance=ir.Balance.CLUSTER_PROVIDED, panic_percent=found.panic_percent
        )
    wanted = locality.preference(policy.load_balancer, service, mesh)
    return msgspec.structs.replace(
        found,
        locality_weighted=locality.is_weighted(
            wanted, detects=policy.outlier_detection is not None
        ),
        zone_aware=locality.zone_aware(wanted),
    )


def _refresh(snapshot: Snapshot) -> int:
    said = snapshot.mesh.config.dns_refresh_rate
    return said.ms if said else 60_000


def _config(found: Policy | None) -> str:
    if found is None:
        return ""
    meta = found.resources[0].meta
    return names.config_path("destination-rule", meta.namespace, meta.name)


def _origins(
    service: Service, found: Policy | None, rule: DestinationRule | None, subset: Subset | None
) -> tuple[Origin, ...]:
    cited = [endpoints.origin_of(service)]
    for resource in found.resources if found else ():
        field = ""
        if subset is not None and rule is not None:
            own = getattr(resource.spec, "subsets", ())
            at = next((i for i, s in enumerate(own) if s.name == subset.name), None)
            field = f"spec.subsets[{at}]" if at is not None else ""
        cited.append(origin(resource, field))
    return tuple(cited)


def passes_by_sni(snapshot: Snapshot, view: View) -> bool:
    """Tell whether a view is a gateway that has each cluster under the name that AUTO_PASSTHROUGH asks for too."""
    return any(
        server.tls is not None and server.tls.mode is ServerTlsMode.AUTO_PASSTHROUGH
        for gateway in snapshot.gateways(view)
        for server in gateway.spec.servers
    )


def _by_sni(cluster: ir.Cluster) -> ir.Cluster:
    """Return the cluster that AUTO_PASSTHROUGH uses: what arrives is TLS already."""
    name = names.parse_cluster(cluster.name)
    assert isinstance(name, names.OutboundCluster)
    return msgspec.structs.replace(
        cluster,
        name=str(name.sni),
        mtls=None,
        tls=None,
        http=None,
        assignment=cluster.assignment
        and msgspec.structs.replace(cluster.assignment, name=str(name.sni)),
    )
