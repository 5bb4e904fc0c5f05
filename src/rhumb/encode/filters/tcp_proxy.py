"""envoy.filters.network.tcp_proxy."""

from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy as TcpProxyPb
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import UpstreamConnectMode

from rhumb.encode.durations import set_ms
from rhumb.encode.filters import metrics
from rhumb.encode.filters.access_logs import access_log
from rhumb.encode.pack import pack
from rhumb.ir.listener import TcpProxy

NAME = "envoy.filters.network.tcp_proxy"
_EARLY_BYTES = 64 * 1024
"""What may arrive before the upstream is connected; then reading pauses."""


def tcp_proxy(plan: TcpProxy) -> Filter:
    """Spell the filter."""
    out = TcpProxyPb(
        stat_prefix=plan.stat_prefix, access_log=[access_log(log) for log in plan.access_logs]
    )
    if len(plan.targets) == 1:
        out.cluster = plan.targets[0].cluster
    else:
        for target in plan.targets:
            out.weighted_clusters.clusters.add(name=target.cluster, weight=target.weight)
    if plan.idle_timeout_ms is not None:
        set_ms(out.idle_timeout, plan.idle_timeout_ms)
    if plan.max_duration_ms:
        set_ms(out.max_downstream_connection_duration, plan.max_duration_ms)
    if plan.hash_policies:
        out.hash_policy.add().source_ip.SetInParent()
    if plan.tunnel is not None:
        out.tunneling_config.hostname = plan.tunnel.hostname
        out.tunneling_config.use_post = plan.tunnel.use_post
    if plan.awaits_handshake:
        out.upstream_connect_mode = UpstreamConnectMode.ON_DOWNSTREAM_TLS_HANDSHAKE
        out.max_early_data_bytes.value = _EARLY_BYTES
    if plan.metrics is not None:
        out.access_log.extend(metrics.tcp(plan.metrics))
        out.access_log_options.flush_access_log_on_connected = True
        for log in list(out.access_log)[: len(plan.access_logs)]:
            # Being flushed on connect is for the metrics; log files keep their one line.
            log.filter.log_type_filter.types.append(metrics.AT_END)
    return Filter(name=NAME, typed_config=pack(out))
