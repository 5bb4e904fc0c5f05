"""The endpoints of one outbound cluster, as one view sees them."""

from collections.abc import Sequence

import msgspec

from rhumb.ir.endpoint import LbEndpoint, LoadAssignment
from rhumb.ir.origin import Origin
from rhumb.model.endpoint import Endpoint
from rhumb.model.kinds.destination_rule import ClientTlsMode, DestinationRule, Subset
from rhumb.model.peer import format_peer, peer
from rhumb.model.service import Service
from rhumb.snapshot.snapshot import MtlsMode, Snapshot
from rhumb.snapshot.view import View
from rhumb.translate import locality, names, traffic_policy
from rhumb.translate.traffic_policy import Effective

_MAX_TOTAL = 2**32 - 1


def assignment(snapshot: Snapshot, view: View, cluster: str) -> LoadAssignment:
    """Return what EDS delivers for a cluster name; empty when the view sees no such service."""
    parsed = names.parse_cluster(cluster)
    by_sni = isinstance(parsed, names.SniCluster)
    if isinstance(parsed, names.SniCluster):
        parsed = parsed.outbound
    if not isinstance(parsed, names.OutboundCluster):
        return LoadAssignment(name=cluster)
    service = snapshot.scope(view).service(parsed.host)
    if service is None:
        return LoadAssignment(name=cluster)
    found = snapshot.policy(view, service)
    rule = found.spec if found else None
    subset = subset_named(rule, parsed.subset)
    policy = traffic_policy.effective(rule, subset, parsed.port, snapshot.mesh)
    made = of_service(snapshot, view, service, (parsed.port, subset), policy, cluster)
    return _secured(made) if by_sni else made


def _secured(made: LoadAssignment) -> LoadAssignment:
    """Return the endpoints that take mutual TLS: nothing else can be what passes by server name."""
    groups = (
        msgspec.structs.replace(
            g,
            endpoints=tuple(e for e in g.endpoints if e.mtls),
            weight=sum(e.weight for e in g.endpoints if e.mtls),
        )
        for g in made.groups
    )
    return msgspec.structs.replace(made, groups=tuple(g for g in groups if g.endpoints))


def of_service(
    snapshot: Snapshot,
    view: View,
    service: Service,
    which: tuple[int, Subset | None],
    policy: Effective,
    cluster: str,
) -> LoadAssignment:
    """Return the endpoints of one port and subset."""
    port, subset = which
    chosen = select(snapshot.endpoints(service), port, subset)
    if service.node_local:
        chosen = [e for e in chosen if e.node == view.node]
    automatic = snapshot.mesh.auto_mtls and policy.tls is None and not service.mesh_external
    mutual = policy.tls is not None and policy.tls.mode is ClientTlsMode.ISTIO_MUTUAL
    total = sum(e.weight for e in chosen)
    placed = [
        locality.Placed(
            e,
            _endpoint(
                view,
                e,
                mtls=mutual or (automatic and accepts_mtls(snapshot, e)),
                weight=_share(e.weight, total, len(chosen)),
            ),
        )
        for e in chosen
    ]
    wanted = locality.preference(policy.load_balancer, service, snapshot.mesh)
    return LoadAssignment(
        name=cluster,
        groups=locality.groups(placed, view, wanted, detects=policy.detects_failures),
        origin=(origin_of(service),),
    )


def select(endpoints: Sequence[Endpoint], port: int, subset: Subset | None) -> list[Endpoint]:
    """Return the endpoints of a port that carry a subset's labels."""
    wanted = set(subset.labels.items()) if subset else set()
    return [e for e in endpoints if e.service_port == port and wanted.issubset(e.workload.labels)]


def accepts_mtls(snapshot: Snapshot, endpoint: Endpoint) -> bool:
    """Tell whether an endpoint has a sidecar whose PeerAuthentication allows mutual TLS."""
    if not endpoint.mtls:
        return False
    workload = endpoint.workload
    mode = snapshot.mtls(workload.namespace, workload.labels, endpoint.port).mode
    return mode is not MtlsMode.DISABLE


def subset_named(rule: DestinationRule | None, name: str) -> Subset | None:
    """Return a subset of a rule; an unknown one has labels that no endpoint carries."""
    if not name:
        return None
    for subset in rule.subsets if rule else ():
        if subset.name == name:
            return subset
    return Subset(name=name, labels={"": name})


def origin_of(service: Service) -> Origin:
    """Cite the object that defines a service."""
    key, place = service.key, service.location
    return Origin(key.kind, key.namespace, key.name, "", place.file, place.line)


def _share(weight: int, total: int, count: int) -> int:
    """Return a weight, made smaller in proportion where all of them exceed what Envoy can add up."""
    return weight if total <= _MAX_TOTAL else max(1, weight * (_MAX_TOTAL - count) // total)


def _endpoint(view: View, endpoint: Endpoint, *, mtls: bool, weight: int) -> LbEndpoint:
    address, *additional = view.capabilities.of_families(endpoint.addresses)
    workload = endpoint.workload
    fields = (
        workload.name,
        workload.namespace,
        workload.canonical_name,
        workload.canonical_revision,
        workload.cluster,
    )
    return LbEndpoint(
        address=address.removeprefix("unix://"),
        additional=tuple(additional) if view.capabilities.dual_stack else (),
        port=endpoint.port,
        health=endpoint.health,
        weight=weight,
        mtls=mtls,
        workload=";".join(fields),
        peer=format_peer(peer(workload)),
    )
