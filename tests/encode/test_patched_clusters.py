"""EnvoyFilters for clusters, outbound and inbound."""

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import (
    UpstreamTlsContext,
)
from tests.encode.patched import (
    OUT_SHOP,
    SERVER,
    Patch,
    Seen,
    envoy_filter,
    patch,
    unpacked,
)

from rhumb.xds.types import XdsType


def test_clusters_are_merged_removed_and_added() -> None:
    mine = {"name": "mine", "type": "STATIC", "connect_timeout": "1s"}
    service = "shop.default.svc.cluster.local"
    seen = Seen(
        envoy_filter(
            patch("CLUSTER", "MERGE", {"connect_timeout": "2s"}, cluster={"service": service, "portNumber": 80}),
            patch("CLUSTER", "REMOVE", None, cluster={"name": f"outbound|3306||{service}"}),
            patch("CLUSTER", "ADD", mine),
            patch("CLUSTER", "ADD", {**mine, "name": OUT_SHOP}),
            patch("CLUSTER", "MERGE", {"connect_timeout": "3s"}, "SIDECAR_INBOUND"),
        )
    )  # fmt: skip
    found = seen.all(XdsType.CDS)
    assert found[OUT_SHOP].connect_timeout.seconds == 2
    assert f"outbound|3306||{service}" not in found
    assert found["mine"].type == Cluster.STATIC
    assert found["InboundPassthroughCluster"].connect_timeout.seconds == 3
    assert found["PassthroughCluster"].connect_timeout.seconds != 3


def test_tls_of_a_cluster_is_merged_deeply_where_it_has_a_choice_of_sockets() -> None:
    value = {
        "transport_socket": {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "max_session_keys": 0,
            },
        }
    }
    seen = Seen(envoy_filter(patch("CLUSTER", "MERGE", value, cluster={"name": OUT_SHOP})))
    found = seen.cluster(OUT_SHOP)
    assert not found.HasField("transport_socket")
    context = unpacked(
        found.transport_socket_matches[0].transport_socket.typed_config, UpstreamTlsContext
    )
    assert context.HasField("max_session_keys")
    assert context.sni == "outbound_.80_._.shop.default.svc.cluster.local"


def test_inbound_clusters_by_service_and_port() -> None:
    value = {"connect_timeout": "2s"}
    match = {"service": "shop.default.svc.cluster.local", "portNumber": 8080}
    seen = Seen(
        envoy_filter(patch("CLUSTER", "MERGE", value, "SIDECAR_INBOUND", cluster=match)), who=SERVER
    )
    assert seen.cluster("inbound|8080||").connect_timeout.seconds == 2
    assert seen.cluster("inbound|3306||").connect_timeout.seconds != 2


def test_the_older_fields_of_protocols_are_heard_on_plain_http() -> None:
    h2: Patch = {"http2_protocol_options": {}}
    seen = Seen(envoy_filter(patch("CLUSTER", "MERGE", h2, "SIDECAR_OUTBOUND", cluster={})))
    found = seen.cluster(OUT_SHOP)
    # Envoy passes over them where a cluster has the newer options.
    assert not found.typed_extension_protocol_options
    assert found.HasField("http2_protocol_options")
    socket = found.transport_socket_matches[0].transport_socket
    offered = unpacked(socket.typed_config, UpstreamTlsContext).common_tls_context.alpn_protocols
    assert list(offered) == ["istio-h2", "istio", "h2"]
    assert seen.judged() == ""
