"""Spell route configurations, virtual hosts, routes and their actions."""

from collections.abc import Iterable

from envoy.config.core.v3.base_pb2 import (
    HeaderValueOption,
    RuntimeFractionalPercent,
)
from envoy.config.core.v3.config_source_pb2 import ApiVersion
from envoy.config.route.v3 import route_components_pb2 as pb
from envoy.config.route.v3.route_pb2 import RouteConfiguration as RouteConfigurationPb
from envoy.type.v3.percent_pb2 import FractionalPercent

from rhumb.encode import matches
from rhumb.encode.durations import set_ms
from rhumb.encode.filters import cors, fault
from rhumb.encode.pack import pack
from rhumb.encode.retries import retry
from rhumb.ir.policy import HashKind, HashPolicy, HeaderChanges, HeaderValue, Mirror
from rhumb.ir.route import (
    DirectResponse,
    Forward,
    HostOfRoute,
    Redirect,
    Route,
    RouteConfiguration,
    Target,
    VirtualHost,
)

_MAX_DIRECT_RESPONSE_BYTES = 1024 * 1024
_REDIRECT_CODES = {
    301: pb.RedirectAction.MOVED_PERMANENTLY,
    302: pb.RedirectAction.FOUND,
    303: pb.RedirectAction.SEE_OTHER,
    307: pb.RedirectAction.TEMPORARY_REDIRECT,
    308: pb.RedirectAction.PERMANENT_REDIRECT,
}


def route_configuration(plan: RouteConfiguration) -> RouteConfigurationPb:
    """Spell a route configuration; clusters it names need not exist (their requests get 503)."""
    out = RouteConfigurationPb(
        name=plan.name,
        virtual_hosts=[virtual_host(v) for v in plan.virtual_hosts],
        ignore_port_in_host_matching=plan.ignores_port,
    )
    out.validate_clusters.value = False
    if plan.hosts_apart:
        out.vhds.config_source.ads.SetInParent()
        out.vhds.config_source.resource_api_version = ApiVersion.V3
    if plan.limits_direct_responses:
        out.max_direct_response_body_size_bytes.value = _MAX_DIRECT_RESPONSE_BYTES
    return out


def host_of_route(plan: HostOfRoute) -> pb.VirtualHost:
    """Spell a virtual host that comes by VHDS; Envoy removes it only if its name is the resource's."""
    out = virtual_host(plan.host)
    out.name = plan.name
    return out


def virtual_host(plan: VirtualHost) -> pb.VirtualHost:
    """Spell a virtual host."""
    out = pb.VirtualHost(
        name=plan.name,
        domains=plan.domains,
        routes=[route(r) for r in plan.routes],
        include_request_attempt_count=plan.counts_attempts,
    )
    if plan.requires_tls:
        out.require_tls = pb.VirtualHost.ALL
    _headers(plan.headers, out)
    return out


def route(plan: Route) -> pb.Route:
    """Spell a route."""
    out = pb.Route(
        name=plan.name,
        match=matches.request(plan.match),
        stat_prefix=plan.stat_prefix,
    )
    if plan.operation:
        out.decorator.operation = plan.operation
    if plan.config:
        out.metadata.filter_metadata["istio"]["config"] = plan.config
    action = plan.action
    if isinstance(action, Forward):
        _forward(action, out.route)
    elif isinstance(action, Redirect):
        _redirect(action, out.redirect)
    else:
        _direct_response(action, out.direct_response)
    _headers(plan.headers, out)
    if plan.fault is not None:
        out.typed_per_filter_config[fault.NAME].CopyFrom(pack(fault.per_route(plan.fault)))
    if plan.cors is not None:
        out.typed_per_filter_config[cors.NAME].CopyFrom(pack(cors.per_route(plan.cors)))
    return out


def _forward(plan: Forward, out: pb.RouteAction) -> None:
    if len(plan.targets) == 1:
        out.cluster = plan.targets[0].cluster
    else:
        out.weighted_clusters.clusters.extend(_target(t) for t in plan.targets)
    set_ms(out.timeout, plan.timeout_ms)
    if plan.limits_stream:
        set_ms(out.max_stream_duration.max_stream_duration, 0)
        set_ms(out.max_stream_duration.grpc_timeout_header_max, 0)
    else:
        set_ms(out.max_grpc_timeout, plan.timeout_ms)
    if plan.retry is not None:
        out.retry_policy.CopyFrom(retry(plan.retry))
    _rewrites(plan, out)
    out.request_mirror_policies.extend(_mirror(m) for m in plan.mirrors)
    out.hash_policy.extend(hash_policy(h) for h in plan.hash_policies)


def _rewrites(plan: Forward, out: pb.RouteAction) -> None:
    out.prefix_rewrite = plan.prefix_rewrite
    if plan.regex_rewrite is not None:
        out.regex_rewrite.pattern.regex = plan.regex_rewrite.pattern
        out.regex_rewrite.substitution = plan.regex_rewrite.substitution
    if plan.host_rewrite:
        out.host_rewrite_literal = plan.host_rewrite
    out.append_x_forwarded_host = plan.appends_host


def _target(plan: Target) -> pb.WeightedCluster.ClusterWeight:
    out = pb.WeightedCluster.ClusterWeight(name=plan.cluster)
    out.weight.value = plan.weight
    if plan.host_rewrite:
        out.host_rewrite_literal = plan.host_rewrite
    _headers(plan.headers, out)
    return out


def _mirror(plan: Mirror) -> pb.RouteAction.RequestMirrorPolicy:
    out = pb.RouteAction.RequestMirrorPolicy(
        cluster=plan.cluster,
        runtime_fraction=RuntimeFractionalPercent(default_value=fraction(plan.per_million)),
        disable_shadow_host_suffix_append=True,
    )
    out.trace_sampled.value = False
    return out


def _redirect(plan: Redirect, out: pb.RedirectAction) -> None:
    out.response_code = _REDIRECT_CODES[plan.code]
    out.host_redirect = plan.host
    out.port_redirect = plan.port
    if plan.prefix:
        out.prefix_rewrite = plan.prefix
    elif plan.path:
        out.path_redirect = plan.path
    if plan.scheme:
        out.scheme_redirect = plan.scheme


def _direct_response(plan: DirectResponse, out: pb.DirectResponseAction) -> None:
    out.status = plan.status
    if plan.body is not None:
        out.body.inline_bytes = plan.body


def hash_policy(plan: HashPolicy) -> pb.RouteAction.HashPolicy:
    """Spell the key of a consistent hash."""
    out = pb.RouteAction.HashPolicy()
    if plan.kind is HashKind.HEADER:
        out.header.header_name = plan.name
    elif plan.kind is HashKind.QUERY:
        out.query_parameter.name = plan.name
    elif plan.kind is HashKind.SOURCE_IP:
        out.connection_properties.source_ip = True
    else:
        out.cookie.name = plan.name
        out.cookie.path = plan.cookie_path
        if plan.cookie_ttl_ms is not None:
            set_ms(out.cookie.ttl, plan.cookie_ttl_ms)
        for name, value in plan.cookie_attributes:
            out.cookie.attributes.add(name=name, value=value)
    return out


def fraction(per_million: int) -> FractionalPercent:
    """Spell a share of a million."""
    return FractionalPercent(numerator=per_million, denominator=FractionalPercent.MILLION)


def _headers(
    plan: HeaderChanges, out: pb.Route | pb.VirtualHost | pb.WeightedCluster.ClusterWeight
) -> None:
    out.request_headers_to_add.extend(_values(plan.request))
    out.request_headers_to_remove.extend(plan.request_removed)
    out.response_headers_to_add.extend(_values(plan.response))
    out.response_headers_to_remove.extend(plan.response_removed)


def _values(values: Iterable[HeaderValue]) -> Iterable[HeaderValueOption]:
    for value in values:
        out = HeaderValueOption(
            append_action=HeaderValueOption.APPEND_IF_EXISTS_OR_ADD
            if value.append
            else HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
        )
        out.header.key = value.name
        out.header.value = value.value
        yield out
