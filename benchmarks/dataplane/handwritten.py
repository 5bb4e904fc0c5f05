"""The peer: the same two hops over mutual TLS as a person would write them, nothing but what is needed.

With `metrics`, each hop also emits istio_requests_total and the three histograms with Istio's full
label set through Envoy's stats access logger, all labels formatted on each request.
"""

from collections.abc import Mapping

Json = dict[str, object]

LABELS: Mapping[str, str] = {
    "source_workload": "client",
    "source_workload_namespace": "default",
    "source_app": "client",
    "source_version": "v1",
    "source_canonical_service": "client",
    "source_canonical_revision": "v1",
    "source_cluster": "Kubernetes",
    "destination_workload": "server-v1",
    "destination_workload_namespace": "default",
    "destination_app": "server",
    "destination_version": "v1",
    "destination_canonical_service": "server",
    "destination_canonical_revision": "v1",
    "destination_cluster": "Kubernetes",
    "destination_service": "server.default.svc.cluster.local",
    "destination_service_name": "server",
    "destination_service_namespace": "default",
    "request_protocol": "http",
    "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%",
    "grpc_response_status": "%GRPC_STATUS_NUMBER%",
}


def _stats_logger(reporter: str) -> Json:
    principals = {
        "source": {
            "source_principal": "%UPSTREAM_LOCAL_URI_SAN%",
            "destination_principal": "%UPSTREAM_PEER_URI_SAN%",
            "connection_security_policy": "unknown",
        },
        "destination": {
            "source_principal": "%DOWNSTREAM_PEER_URI_SAN%",
            "destination_principal": "%DOWNSTREAM_LOCAL_URI_SAN%",
            "connection_security_policy": "mutual_tls",
        },
    }[reporter]
    tags = [
        {"name": name, "value_format": value}
        for name, value in {"reporter": reporter, **LABELS, **principals}.items()
    ]

    def histogram(name: str, unit: str, value: str) -> Json:
        return {"stat": {"name": name, "tags": tags}, "unit": unit, "value_format": value}

    return {
        "name": "stats",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stats.v3.Config",
            "stat_prefix": "istio",
            "counters": [{"stat": {"name": "requests_total", "tags": tags}, "value_fixed": 1}],
            "histograms": [
                histogram("request_duration_milliseconds", "Milliseconds", "%DURATION%"),
                histogram("request_bytes", "Bytes", "%DOWNSTREAM_WIRE_BYTES_RECEIVED%"),
                histogram("response_bytes", "Bytes", "%DOWNSTREAM_WIRE_BYTES_SENT%"),
            ],
        },
    }


def _tls(side: str, folder: str) -> Json:
    context: Json = {
        "common_tls_context": {
            "tls_certificates": [
                {
                    "certificate_chain": {"filename": f"{folder}/cert.pem"},
                    "private_key": {"filename": f"{folder}/key.pem"},
                }
            ],
            "validation_context": {"trusted_ca": {"filename": f"{folder}/ca.pem"}},
        },
    }
    if side == "Downstream":
        context["require_client_certificate"] = True
    return {
        "name": "tls",
        "typed_config": {
            "@type": f"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{side}TlsContext",
            **context,
        },
    }


def proxy(
    *,
    listen: tuple[str, int],
    upstream: tuple[str, int],
    certificates: str,
    inbound: bool,
    metrics: bool,
) -> Json:
    """Return a bootstrap: one listener, one route, one cluster; mutual TLS between the hops."""
    manager: Json = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."
        "HttpConnectionManager",
        "stat_prefix": "hop",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        {"match": {"prefix": "/"}, "route": {"cluster": "next", "timeout": "0s"}}
                    ],
                }
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
                },
            }
        ],
    }
    if metrics:
        manager["access_log"] = [_stats_logger("destination" if inbound else "source")]
    chain: Json = {
        "filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
        ]
    }
    cluster: Json = {
        "name": "next",
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": "next",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(*upstream)}}]}],
        },
    }
    if inbound:
        chain["transport_socket"] = _tls("Downstream", certificates)
    else:
        cluster["transport_socket"] = _tls("Upstream", certificates)
    return {
        "static_resources": {
            "listeners": [{"name": "in", "address": _address(*listen), "filter_chains": [chain]}],
            "clusters": [cluster],
        },
    }


def server(port: int, body: str) -> Json:
    """Return a bootstrap that answers every request at once: the fastest application there is."""
    manager: Json = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."
        "HttpConnectionManager",
        "stat_prefix": "app",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        {
                            "match": {"prefix": "/"},
                            "direct_response": {"status": 200, "body": {"inline_string": body}},
                        }
                    ],
                }
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
                },
            }
        ],
    }
    return {
        "static_resources": {
            "listeners": [
                {
                    "name": "app",
                    "address": _address("0.0.0.0", port),
                    "filter_chains": [
                        {
                            "filters": [
                                {
                                    "name": "envoy.filters.network.http_connection_manager",
                                    "typed_config": manager,
                                }
                            ]
                        }
                    ],
                }
            ]
        },
    }


def _address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}
