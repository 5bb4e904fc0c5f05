"""Clusters as Envoy's Cluster."""

from envoy.config.cluster.v3 import circuit_breaker_pb2 as breaker
from envoy.config.cluster.v3 import cluster_pb2 as pb
from envoy.config.cluster.v3 import outlier_detection_pb2 as outlier
from envoy.config.core.v3 import base_pb2 as core
from envoy.config.core.v3 import config_source_pb2 as source
from envoy.config.core.v3 import protocol_pb2 as protocol
from envoy.config.core.v3 import proxy_protocol_pb2 as proxy
from envoy.extensions.clusters.common.dns.v3 import dns_pb2 as dns_common
from envoy.extensions.clusters.dns.v3 import dns_cluster_pb2 as dns
from envoy.extensions.clusters.dynamic_forward_proxy.v3 import cluster_pb2 as forward
from envoy.extensions.network.dns_resolver.cares.v3 import cares_dns_resolver_pb2 as cares
from envoy.extensions.transport_sockets.proxy_protocol.v3 import (
    upstream_proxy_protocol_pb2 as upstream_proxy,
)
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2 as http
from google.protobuf.duration_pb2 import Duration

from rhumb.encode import tls
from rhumb.encode.endpoints import load_assignment
from rhumb.encode.filters import dynamic_forward_proxy
from rhumb.encode.header_case import header_case
from rhumb.encode.pack import pack
from rhumb.ir.cluster import (
    Balance,
    Cluster,
    Discovery,
    HttpOptions,
    HttpVersion,
    Limits,
    LoadBalancing,
    Outlier,
    ZoneAware,
)

_DNS_JITTER_MS = 100
_QUERIES_PER_SOCKET = 100
_PLAIN = HttpOptions(version=HttpVersion.HTTP1)
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_DISCOVERY = {
    Discovery.EDS: pb.Cluster.EDS,
    Discovery.STATIC: pb.Cluster.STATIC,
    Discovery.ORIGINAL_DST: pb.Cluster.ORIGINAL_DST,
}
_BALANCE = {
    Balance.ROUND_ROBIN: pb.Cluster.ROUND_ROBIN,
    Balance.LEAST_REQUEST: pb.Cluster.LEAST_REQUEST,
    Balance.RANDOM: pb.Cluster.RANDOM,
    Balance.RING_HASH: pb.Cluster.RING_HASH,
    Balance.MAGLEV: pb.Cluster.MAGLEV,
    Balance.CLUSTER_PROVIDED: pb.Cluster.CLUSTER_PROVIDED,
}
_PROXY_VERSIONS = {
    "V1": proxy.ProxyProtocolConfig.Version.V1,
    "V2": proxy.ProxyProtocolConfig.Version.V2,
}


def cluster(value: Cluster) -> pb.Cluster:
    """Spell one cluster."""
    out = pb.Cluster(name=value.name, alt_stat_name=f"{value.stat_name or value.name};")
    _discovery(out, value)
    _balancing(out, value.load_balancing)
    _limits(out, value.limits)
    if value.http is not None:
        _http(out, value.http)
    if value.outlier is not None:
        _outlier(out.outlier_detection, value.outlier)
    _transport(out, value)
    if value.bind_addresses:
        _bind(out, value.bind_addresses)
    _metadata(out, value)
    return out


def _bind(out: pb.Cluster, addresses: tuple[str, ...]) -> None:
    config = out.upstream_bind_config
    first, *others = addresses
    config.source_address.address = first
    config.source_address.port_value = 0  # any: present, as it must be
    for address in others:
        other = config.extra_source_addresses.add().address
        other.address = address
        other.port_value = 0


def _discovery(out: pb.Cluster, value: Cluster) -> None:
    if value.discovery is Discovery.DYNAMIC_FORWARD_PROXY:
        _dynamic(out, value)
        return
    if value.discovery in (Discovery.STRICT_DNS, Discovery.LOGICAL_DNS):
        _dns(out, value)
    else:
        out.type = _DISCOVERY[value.discovery]
    if value.discovery is Discovery.EDS:
        eds = out.eds_cluster_config
        eds.service_name = value.name
        eds.eds_config.resource_api_version = source.ApiVersion.V3
        eds.eds_config.ads.SetInParent()
        # As Istio: never take a late answer for "no endpoints". A changed cluster keeps its old
        # endpoints while it waits, and the control plane answers every request for endpoints.
        eds.eds_config.initial_fetch_timeout.CopyFrom(Duration())
    if value.port_override:
        out.original_dst_lb_config.upstream_port_override.value = value.port_override
    if value.assignment is not None:
        out.load_assignment.CopyFrom(load_assignment(value.assignment))


def _dns(out: pb.Cluster, value: Cluster) -> None:
    config = dns.DnsCluster(
        respect_dns_ttl=True,
        dns_lookup_family=_family(ipv6=value.ipv6),
        all_addresses_in_single_endpoint=value.discovery is Discovery.LOGICAL_DNS,
    )
    config.dns_refresh_rate.FromMilliseconds(value.dns_refresh_ms)
    config.dns_jitter.FromMilliseconds(_DNS_JITTER_MS)
    if not value.own_resolver:
        resolver = cares.CaresDnsResolverConfig()
        # A socket that is used for ever may be forgotten by a NAT on the way.
        resolver.udp_max_queries.value = _QUERIES_PER_SOCKET
        config.typed_dns_resolver_config.name = "envoy.network.dns_resolver.cares"
        config.typed_dns_resolver_config.typed_config.CopyFrom(pack(resolver))
    out.cluster_type.name = "envoy.clusters.dns"
    out.cluster_type.typed_config.CopyFrom(pack(config))


def _dynamic(out: pb.Cluster, value: Cluster) -> None:
    """Spell a cluster that resolves the host of each request; filters share its cache."""
    http = value.http
    config = forward.ClusterConfig(
        dns_cache_config=dynamic_forward_proxy.cache(),
        # Envoy asks to confirm that certificates are not checked against the host.
        allow_insecure_cluster_options=http is None or not (http.auto_sni and http.auto_san),
    )
    out.cluster_type.name = "envoy.clusters.dynamic_forward_proxy"
    out.cluster_type.typed_config.CopyFrom(pack(config))


def _family(*, ipv6: bool) -> dns_common.DnsLookupFamily.ValueType:
    return dns_common.V6_ONLY if ipv6 else dns_common.V4_ONLY


def _balancing(out: pb.Cluster, value: LoadBalancing) -> None:
    out.lb_policy = _BALANCE[value.balance]
    common = out.common_lb_config
    common.healthy_panic_threshold.value = value.panic_percent
    if value.locality_weighted and value.balance is not Balance.CLUSTER_PROVIDED:
        common.locality_weighted_lb_config.SetInParent()
    elif value.zone_aware is not None and value.balance is not Balance.CLUSTER_PROVIDED:
        _zone_aware(common.zone_aware_lb_config, value.zone_aware)
    if value.balance is Balance.RING_HASH:
        out.ring_hash_lb_config.minimum_ring_size.value = value.ring_size or 1024
    if value.balance is Balance.MAGLEV and value.table_size:
        out.maglev_lb_config.table_size.value = value.table_size
    slow = value.slow_start
    if slow is None:
        return
    least = value.balance is Balance.LEAST_REQUEST
    config = (
        out.least_request_lb_config.slow_start_config
        if least
        else out.round_robin_lb_config.slow_start_config
    )
    config.slow_start_window.FromMilliseconds(slow.window_ms)
    config.min_weight_percent.value = slow.minimum_percent
    config.aggression.default_value = slow.aggression
    config.aggression.runtime_key = "rhumb.slow_start.aggression"


def _zone_aware(out: pb.Cluster.CommonLbConfig.ZoneAwareLbConfig, value: ZoneAware) -> None:
    out.SetInParent()
    if not value.enabled:
        out.routing_enabled.value = 0
    if value.min_cluster_size is not None:
        out.min_cluster_size.value = value.min_cluster_size


def _limits(out: pb.Cluster, value: Limits) -> None:
    out.connect_timeout.FromMilliseconds(value.connect_timeout_ms)
    threshold: breaker.CircuitBreakers.Thresholds = out.circuit_breakers.thresholds.add()
    threshold.max_connections.value = value.max_connections
    threshold.max_pending_requests.value = value.max_pending
    threshold.max_requests.value = value.max_requests
    threshold.max_retries.value = value.max_retries
    threshold.track_remaining = False
    budget = value.retry_budget
    if budget is not None:
        threshold.retry_budget.budget_percent.value = budget.percent
        threshold.retry_budget.min_retry_concurrency.value = budget.minimum
    if value.keepalive is not None:
        keepalive = out.upstream_connection_options.tcp_keepalive
        keepalive.SetInParent()
        if value.keepalive.probes:
            keepalive.keepalive_probes.value = value.keepalive.probes
        if value.keepalive.time_s:
            keepalive.keepalive_time.value = value.keepalive.time_s
        if value.keepalive.interval_s:
            keepalive.keepalive_interval.value = value.keepalive.interval_s


def _http(out: pb.Cluster, value: HttpOptions) -> None:
    if value == _PLAIN:
        return  # Envoy's default; patches that write the older fields for it are heard
    options = http.HttpProtocolOptions()
    common = options.common_http_protocol_options
    if value.idle_timeout_ms is not None:
        common.idle_timeout.FromMilliseconds(value.idle_timeout_ms)
    if value.max_connection_duration_ms:
        common.max_connection_duration.FromMilliseconds(value.max_connection_duration_ms)
    if value.max_requests_per_connection:
        common.max_requests_per_connection.value = value.max_requests_per_connection
    if value.auto_sni:
        options.upstream_http_protocol_options.auto_sni = True
    if value.auto_san:
        options.upstream_http_protocol_options.auto_san_validation = True
    _outlier_codes(options, value.outlier_codes)
    _version(options, value)
    out.typed_extension_protocol_options[_HTTP_OPTIONS].CopyFrom(pack(options))


def _outlier_codes(options: http.HttpProtocolOptions, codes: tuple[int, ...]) -> None:
    if not codes:
        return
    matcher = options.outlier_detection.error_matcher
    for code in codes:
        # Envoy takes no list of one.
        rule = matcher if len(codes) == 1 else matcher.or_match.rules.add()
        header = rule.http_response_headers_match.headers.add(name=":status")
        header.string_match.exact = str(code)


def _version(options: http.HttpProtocolOptions, value: HttpOptions) -> None:
    if value.version is HttpVersion.HTTP1:
        _http1(options.explicit_http_config.http_protocol_options, value)
    elif value.version is HttpVersion.HTTP2:
        _http2(options.explicit_http_config.http2_protocol_options, value)
    else:
        _http1(options.use_downstream_protocol_config.http_protocol_options, value)
        _http2(options.use_downstream_protocol_config.http2_protocol_options, value)


def _http1(out: protocol.Http1ProtocolOptions, value: HttpOptions) -> None:
    out.SetInParent()
    if value.preserves_case:
        out.header_key_format.CopyFrom(header_case())


def _http2(out: protocol.Http2ProtocolOptions, value: HttpOptions) -> None:
    out.SetInParent()
    if value.max_concurrent_streams:
        out.max_concurrent_streams.value = value.max_concurrent_streams
    if value.keepalive_interval_ms and value.keepalive_timeout_ms:
        out.connection_keepalive.interval.FromMilliseconds(value.keepalive_interval_ms)
        out.connection_keepalive.timeout.FromMilliseconds(value.keepalive_timeout_ms)


def _outlier(out: outlier.OutlierDetection, value: Outlier) -> None:
    out.interval.FromMilliseconds(value.interval_ms)
    out.base_ejection_time.FromMilliseconds(value.base_ejection_ms)
    out.max_ejection_percent.value = value.max_ejection_percent
    out.enforcing_success_rate.value = 0
    if value.consecutive_5xx is not None:
        out.consecutive_5xx.value = value.consecutive_5xx
    out.enforcing_consecutive_5xx.value = 0 if value.consecutive_5xx is None else 100
    if value.consecutive_gateway is not None:
        out.consecutive_gateway_failure.value = value.consecutive_gateway
        out.enforcing_consecutive_gateway_failure.value = 100
    if value.split_local:
        out.split_external_local_origin_errors = True
        out.enforcing_local_origin_success_rate.value = 0
        if value.consecutive_local is not None:
            out.consecutive_local_origin_failure.value = value.consecutive_local
            out.enforcing_consecutive_local_origin_failure.value = 100


def _transport(out: pb.Cluster, value: Cluster) -> None:
    if value.mtls is not None:
        match = out.transport_socket_matches.add(name="tlsMode-istio")
        match.match["tlsMode"] = "istio"
        match.transport_socket.CopyFrom(_wrapped(tls.upstream(value.mtls), value.proxy_protocol))
        other = out.transport_socket_matches.add(name="tlsMode-disabled")
        other.match.SetInParent()
        other.transport_socket.CopyFrom(_wrapped(tls.plain(), value.proxy_protocol))
    elif value.tls is not None:
        out.transport_socket.CopyFrom(_wrapped(tls.upstream(value.tls), value.proxy_protocol))
    elif value.proxy_protocol:
        out.transport_socket.CopyFrom(_wrapped(tls.plain(), value.proxy_protocol))


def _wrapped(socket: core.TransportSocket, version: str) -> core.TransportSocket:
    if not version:
        return socket
    wrapper = upstream_proxy.ProxyProtocolUpstreamTransport(transport_socket=socket)
    wrapper.config.version = _PROXY_VERSIONS[version]
    return core.TransportSocket(
        name="envoy.transport_sockets.upstream_proxy_protocol", typed_config=pack(wrapper)
    )


def _metadata(out: pb.Cluster, value: Cluster) -> None:
    host, name, namespace = value.service
    if not host and not value.config:
        return
    fields = out.metadata.filter_metadata["istio"]
    if host:
        entry = fields.get_or_create_list("services").add_struct()
        entry["host"] = host
        entry["name"] = name
        entry["namespace"] = namespace
    if value.config:
        fields["config"] = value.config
    if value.subset:
        fields["subset"] = value.subset
    if value.external:
        fields["external"] = True
