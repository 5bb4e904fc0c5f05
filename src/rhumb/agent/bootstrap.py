"""Settings to Envoy's bootstrap: who it is, where it asks, what it shows."""

import ipaddress
from collections.abc import Mapping

import msgspec

from rhumb.agent.node import Json, node
from rhumb.agent.sds import CERTIFICATE, ROOTS
from rhumb.agent.settings import SOCKET_MARK, Discovery, SidecarSettings
from rhumb.model.proxy import Interception

SDS_DIRECTORY = "./sds"

_TYPE = "type.googleapis.com/envoy."
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_SOL_SOCKET, _SO_MARK = 1, 36

_STATS_PREFIXES = (
    "cluster_manager.",
    "listener_manager.",
    "server.",
    "cluster.xds-grpc.",
    "istio",
    "mongo.",
    "wasm",
    "component",
)
_DURATION_BUCKETS = (
    0.5,
    1,
    5,
    10,
    25,
    50,
    100,
    250,
    500,
    1000,
    2500,
    5000,
    10000,
    30000,
    60000,
    300000,
    600000,
    1800000,
    3600000,
)
"""Envoy's default boundaries, written out: they are what Istio's dashboards were made for."""


def bootstrap(settings: SidecarSettings) -> Json:
    """Return the bootstrap of one proxy (envoy.config.bootstrap.v3.Bootstrap as JSON)."""
    result: Json = {
        "node": node(settings),
        "admin": {
            "address": _address(settings.loopback, settings.ports.admin),
            "ignore_global_conn_limit": True,
            "profile_path": "/dev/null",
        },
        "dynamic_resources": {
            "lds_config": _ads_source(),
            "cds_config": _ads_source(),
            "ads_config": _ads(),
        },
        "static_resources": {
            "clusters": [_control_plane(settings.discovery), *_local_clusters(settings)],
            "listeners": _local_listeners(settings),
        },
        "cluster_manager": _cluster_manager(settings),
        "stats_config": _stats(settings),
        # Counters of a cluster that never had traffic cost nothing.
        "deferred_stat_options": {"enable_deferred_creation_stats": True},
        "layered_runtime": _runtime(settings),
        "overload_manager": {
            "resource_monitors": [
                _typed(
                    "envoy.resource_monitors.global_downstream_max_connections",
                    "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                    max_active_downstream_connections=2147483647,
                )
            ]
        },
        "bootstrap_extensions": [
            _typed(
                "envoy.bootstrap.internal_listener",
                "extensions.bootstrap.internal_listener.v3.InternalListener",
            )
        ],
    }
    if settings.own_resolver:
        result["typed_dns_resolver_config"] = _resolver(settings)
    return result


def bootstrap_json(settings: SidecarSettings, overlay: Mapping[str, object]) -> bytes:
    """Return the bootstrap, with a part of one merged into it, as the text of a file."""
    found = merged(bootstrap(settings), overlay)
    return msgspec.json.format(msgspec.json.encode(found), indent=2)


def merged(into: Json, value: Mapping[str, object]) -> Json:
    """Return protobuf JSON after a merge: messages join, lists are appended to, all else is replaced.

    Of two Anys of different types the second one stays.
    """
    out = dict(into)
    for name, found in value.items():
        known = out.get(name)
        if isinstance(known, dict) and isinstance(found, dict):
            same = known.get("@type") == found.get("@type")
            out[name] = merged(known, found) if same else found
        elif isinstance(known, list) and isinstance(found, list):
            out[name] = [*known, *found]
        else:
            out[name] = found
    return out


def _typed(name: str, message: str, /, **fields: object) -> Json:
    return {"name": name, "typed_config": {"@type": f"{_TYPE}{message}", **fields}}


def _address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}


def _ads_source() -> Json:
    # No limit: a proxy without its first answer waits, it does not start empty.
    return {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}


def _ads() -> Json:
    back_off = {"base_interval": "0.5s", "max_interval": "10s"}  # Envoy draws the jitter itself
    return {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [
            {
                "envoy_grpc": {
                    "cluster_name": "xds-grpc",
                    "retry_policy": {"retry_back_off": back_off},
                }
            }
        ],
    }


def sds(name: str, file: str) -> Json:
    """Return an SdsSecretConfig of a file that may be replaced at any time."""
    return {
        "name": name,
        "sds_config": {
            "path_config_source": {
                "path": f"{SDS_DIRECTORY}/{file}.json",
                "watched_directory": {"path": SDS_DIRECTORY},
            },
            "resource_api_version": "V3",
        },
    }


def _control_plane(discovery: Discovery) -> Json:
    names = [
        {"san_type": "DNS", "matcher": {"exact": name}} for name in discovery.subject_alt_names
    ]
    return {
        "name": "xds-grpc",
        "type": "STATIC" if _is_address(discovery.host) else "STRICT_DNS",
        "dns_lookup_family": "ALL",
        "respect_dns_ttl": True,
        "connect_timeout": "1s",
        "load_assignment": _endpoints("xds-grpc", discovery.host, discovery.port),
        "typed_extension_protocol_options": {
            _HTTP_OPTIONS: {
                "@type": f"{_TYPE}extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {
                    "http2_protocol_options": {
                        "connection_keepalive": {"interval": "30s", "timeout": "10s"}
                    }
                },
            }
        },
        "upstream_connection_options": {
            "tcp_keepalive": {
                "keepalive_time": 300,
                "keepalive_probes": 3,
                "keepalive_interval": 10,
            }
        },
        "max_requests_per_connection": 1,
        "circuit_breakers": {
            "thresholds": [
                {
                    "priority": p,
                    "max_connections": 100000,
                    "max_pending_requests": 100000,
                    "max_requests": 100000,
                }
                for p in ("DEFAULT", "HIGH")
            ]
        },
        "transport_socket": _typed(
            "envoy.transport_sockets.tls",
            "extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            sni=discovery.sni,
            common_tls_context={
                "alpn_protocols": ["h2"],
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
                "tls_certificate_sds_secret_configs": [sds(CERTIFICATE, "default")],
                "combined_validation_context": {
                    "default_validation_context": {"match_typed_subject_alt_names": names},
                    "validation_context_sds_secret_config": sds(ROOTS, "rootca"),
                },
            },
        ),
    }


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _endpoints(cluster: str, host: str, port: int) -> Json:
    endpoint = {"endpoint": {"address": _address(host, port)}}
    return {"cluster_name": cluster, "endpoints": [{"lb_endpoints": [endpoint]}]}


def _local_clusters(settings: SidecarSettings) -> list[Json]:
    places = {
        "prometheus_stats": (settings.loopback, settings.ports.admin),
        "agent": (_reach(settings), settings.ports.agent),
    }
    return [
        {
            "name": name,
            "type": "STATIC",
            "connect_timeout": "0.250s",
            "load_assignment": _endpoints(name, host, port),
        }
        for name, (host, port) in places.items()
    ]


def _reach(settings: SidecarSettings) -> str:
    """Return where the agent's port is reached from inside the same namespace."""
    listen = settings.listen
    everywhere = _is_address(listen) and ipaddress.ip_address(listen).is_unspecified
    return settings.loopback if everywhere else listen


def _local_listeners(settings: SidecarSettings) -> list[Json]:
    ports = settings.ports
    return [
        _listener(
            "prometheus", settings.listen, ports.prometheus, "/stats/prometheus", "prometheus_stats"
        ),
        _listener("ready", settings.listen, ports.ready, "/healthz/ready", "agent"),
    ]


def _listener(name: str, host: str, port: int, path: str, cluster: str) -> Json:
    manager = _typed(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=name,
        route_config={
            "virtual_hosts": [
                {
                    "name": "backend",
                    "domains": ["*"],
                    "routes": [{"match": {"path": path}, "route": {"cluster": cluster}}],
                }
            ]
        },
        http_filters=[
            _typed("envoy.filters.http.router", "extensions.filters.http.router.v3.Router")
        ],
    )
    return {
        "name": name,
        "address": _address(host, port),
        "stat_prefix": name,
        # Being drained or overloaded is when these are needed most.
        "ignore_global_conn_limit": True,
        "bypass_overload_manager": True,
        "filter_chains": [{"filters": [manager]}],
    }


def _cluster_manager(settings: SidecarSettings) -> Json:
    found: Json = {"enable_deferred_cluster_creation": True}
    if settings.capture.mode is not Interception.NONE:
        # What Envoy sends must not be captured again: the rules pass this mark.
        mark = {
            "description": "capture skips this mark",
            "level": _SOL_SOCKET,
            "name": _SO_MARK,
            "int_value": SOCKET_MARK,
            "state": "STATE_PREBIND",
        }
        found["upstream_bind_config"] = {"socket_options": [mark]}
    return found


def _stats(settings: SidecarSettings) -> Json:
    wanted: list[Json] = [{"prefix": prefix} for prefix in _STATS_PREFIXES]
    wanted += [
        {"safe_regex": {"regex": r".*rbac\.(allowed|denied|shadow_allowed|shadow_denied)"}},
        {"safe_regex": {"regex": r"vhost\..*\.route\..*"}},
        # How many connections are left while draining.
        {"safe_regex": {"regex": r"listener\..*\.downstream_cx_active"}},
    ]
    more = settings.stats
    wanted += [{"prefix": text} for text in more.prefixes]
    wanted += [{"suffix": text} for text in more.suffixes]
    wanted += [{"safe_regex": {"regex": text}} for text in more.expressions]
    return {
        "stats_matcher": {"inclusion_list": {"patterns": wanted}},
        "histogram_bucket_settings": [
            {"match": {"prefix": "istio"}, "buckets": list(_DURATION_BUCKETS)}
        ],
    }


def _runtime(settings: SidecarSettings) -> Json:
    return {
        "layers": [
            {
                "name": "static",
                "static_layer": {
                    # As Istio: a fragment is cut off, not refused.
                    "envoy.reloadable_features.http_reject_path_with_fragment": False,
                    # As Istio: users' regular expressions are checked by the control plane.
                    "re2.max_program_size.error_level": 32768,
                    "re2.max_program_size.warn_level": 32768,
                    **{name: _runtime_value(text) for name, text in settings.runtime.items()},
                },
            },
            {"name": "admin", "admin_layer": {}},
        ]
    }


def _runtime_value(text: str) -> object:
    """Read a number or a boolean; everything else is a string."""
    try:
        found: object = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return found if isinstance(found, bool | int | float) else text


def _resolver(settings: SidecarSettings) -> Json:
    """Return where Envoy looks names up: past our own capture of port 53, so never a mesh address."""
    address = _address(settings.loopback, settings.ports.dns_upstream)
    return _typed(
        "envoy.network.dns_resolver.cares",
        "extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
        resolvers=[address],
        # A socket that is used for ever may be forgotten by a NAT on the way.
        udp_max_queries=100,
        dns_resolver_options={"no_default_search_domain": True},
    )
