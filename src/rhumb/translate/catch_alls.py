"""The clusters that stand for no service."""

from collections.abc import Iterator

from rhumb.ir.cluster import (
    Balance,
    Cluster,
    Discovery,
    HttpOptions,
    Limits,
    LoadBalancing,
)
from rhumb.ir.tls import UpstreamTls
from rhumb.snapshot.snapshot import Snapshot
from rhumb.snapshot.view import View
from rhumb.translate import names, upstream_tls

_IDLE_MS = 300_000
_PROVIDED = LoadBalancing(balance=Balance.CLUSTER_PROVIDED)


def catch_alls(snapshot: Snapshot, view: View) -> Iterator[Cluster]:
    """Yield BlackHoleCluster, PassthroughCluster and, where hosts are resolved, AllowAnyDynamicDNSCluster."""
    case = snapshot.mesh.preserves_header_case
    yield Cluster(
        name=names.BLACK_HOLE,
        discovery=Discovery.STATIC,
        load_balancing=LoadBalancing(balance=Balance.ROUND_ROBIN),
        http=None,
        service=(names.BLACK_HOLE, names.BLACK_HOLE, ""),
    )
    yield Cluster(
        name=names.PASSTHROUGH,
        discovery=Discovery.ORIGINAL_DST,
        load_balancing=_PROVIDED,
        http=HttpOptions(idle_timeout_ms=_IDLE_MS, preserves_case=case),
        service=(names.PASSTHROUGH, names.PASSTHROUGH, ""),
    )
    if snapshot.scope(view).dynamic_dns:
        yield _dynamic(snapshot, view)


def _dynamic(snapshot: Snapshot, view: View) -> Cluster:
    """Return the cluster that resolves the host of each request, with TLS if the mesh asks for it."""
    policy = snapshot.mesh.config.outbound_traffic_policy
    tls: UpstreamTls | None = None
    if policy is not None and policy.tls is not None:
        # Neither port nor service: the name of whoever is called is the only one there is.
        nobody = names.OutboundCluster(0, names.DYNAMIC_DNS)
        http = HttpOptions(idle_timeout_ms=_IDLE_MS)
        tls = upstream_tls.explicit(snapshot.mesh, view, nobody, policy.tls, (), http.version)
    return Cluster(
        name=names.DYNAMIC_DNS,
        discovery=Discovery.DYNAMIC_FORWARD_PROXY,
        load_balancing=_PROVIDED,
        limits=Limits(connect_timeout_ms=snapshot.mesh.connect_timeout_ms),
        http=HttpOptions(
            idle_timeout_ms=_IDLE_MS,
            preserves_case=snapshot.mesh.preserves_header_case,
            auto_sni=tls is not None and tls.auto_sni,
            auto_san=tls is not None and tls.auto_san,
        ),
        tls=tls,
        service=(names.DYNAMIC_DNS, names.DYNAMIC_DNS, ""),
    )
