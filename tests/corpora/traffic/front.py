"""The Envoy in front of an application: every version of HTTP and TLS, told to the application in headers."""

from collections.abc import Iterable, Mapping
from pathlib import Path

Json = dict[str, object]
_TYPE = "type.googleapis.com/envoy.extensions."


def bootstrap(name: str, folder: Path, ports: Iterable[Mapping[str, object]], address: str) -> Json:
    """Return a configuration with a listener for each port of environment.json that speaks HTTP."""
    return {
        "layered_runtime": {
            "layers": [
                {
                    "name": "static",
                    "static_layer": {
                        "envoy.reloadable_features.http_reject_path_with_fragment": False,
                        "envoy.reloadable_features.sanitize_te": False,
                    },
                }
            ]
        },
        "static_resources": {
            "listeners": [_listener(port, folder, address) for port in ports],
            "clusters": [
                _cluster("http", folder / f"{name}.http"),
                _cluster("grpc", folder / f"{name}.grpc"),
            ],
        },
    }


def _listener(port: Mapping[str, object], folder: Path, address: str) -> Json:
    binds = {"pod_ip": address, "127.0.0.1": "127.0.0.1"}.get(str(port.get("bind")), "0.0.0.0")
    chain: Json = {"filters": [{"name": "hcm", "typed_config": _manager()}]}
    if port.get("tls"):
        chain["transport_socket"] = {
            "name": "tls",
            "typed_config": {
                "@type": _TYPE + "transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {
                    "alpn_protocols": ["h2", "http/1.1"],
                    "tls_certificates": [
                        {
                            "certificate_chain": {"filename": str(folder / "app.pem")},
                            "private_key": {"filename": str(folder / "app.key")},
                        }
                    ],
                },
            },
        }
    return {
        "name": str(port["workload_port"]),
        "address": {"socket_address": {"address": binds, "port_value": port["workload_port"]}},
        "listener_filters": [
            {
                "name": "tls",
                "typed_config": {"@type": _TYPE + "filters.listener.tls_inspector.v3.TlsInspector"},
            }
        ]
        if port.get("tls")
        else [],
        "filter_chains": [chain],
    }


def _manager() -> Json:
    said = {
        "x-echo-protocol": "%PROTOCOL%",
        "x-echo-sni": "%REQUESTED_SERVER_NAME%",
        "x-echo-tls": "%DOWNSTREAM_TLS_VERSION%",
        "x-echo-host": "%REQ(:AUTHORITY)%",
        "x-echo-port": "%DOWNSTREAM_LOCAL_PORT%",
    }
    return {
        "@type": _TYPE + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "app",
        "forward_client_cert_details": "ALWAYS_FORWARD_ONLY",
        "generate_request_id": False,
        "skip_xff_append": True,
        "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "unknown"},
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "http_filters": [
            {
                "name": "router",
                "typed_config": {
                    "@type": _TYPE + "filters.http.router.v3.Router",
                    "suppress_envoy_headers": True,
                },
            }
        ],
        "route_config": {
            "request_headers_to_add": [
                {
                    "header": {"key": key, "value": value},
                    "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                }
                for key, value in said.items()
            ],
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        {
                            "match": {"prefix": "/proto.EchoTestService/"},
                            "route": {"cluster": "grpc"},
                        },
                        {"match": {"prefix": "/"}, "route": {"cluster": "http"}},
                    ],
                }
            ],
        },
    }


def _cluster(name: str, path: Path) -> Json:
    options: Json = (
        {"http2_protocol_options": {}} if name == "grpc" else {"http_protocol_options": {}}
    )
    return {
        "name": name,
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": str(path)}}}}]}
            ],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": _TYPE + "upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": options,
            }
        },
    }
