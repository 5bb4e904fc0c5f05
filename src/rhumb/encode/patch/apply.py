"""A patched or added IR value to its message: the door of this package."""

import functools

from envoy.config.cluster.v3.cluster_pb2 import Cluster as ClusterPb
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.listener.v3.listener_pb2 import Listener as ListenerPb
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import UpstreamTlsContext
from google.protobuf.message import Message

from rhumb.encode.clusters import cluster
from rhumb.encode.listeners import listener
from rhumb.encode.pack import pack
from rhumb.encode.patch import listeners, routes
from rhumb.encode.patch.merge import PatchError, merge_with_socket
from rhumb.encode.patch.patcher import MERGES, Patcher
from rhumb.encode.routes import route_configuration
from rhumb.ir.cluster import Cluster
from rhumb.ir.listener import Listener
from rhumb.ir.patch import Added, ApplyTo, LeftOut, Operation, Patch, Patched

_HTTP1 = "istio-http/1.1"
_HTTP2 = {"istio-http/1.1": "istio-h2", "http/1.1": "h2"}
_ADDED: dict[ApplyTo, type[Message]] = {
    ApplyTo.LISTENER: ListenerPb,
    ApplyTo.CLUSTER: ClusterPb,
    ApplyTo.EXTENSION_CONFIG: TypedExtensionConfig,
}


@functools.lru_cache(maxsize=1)
def patched(plan: Patched) -> tuple[Message, tuple[LeftOut, ...]]:
    """Spell a resource and apply its patches; returns also the patches that were left out.

    Who wants the one wants the other next: the last outcome is kept, so leave the message as it is.
    """
    patcher = Patcher(plan.patches)
    if isinstance(plan.value, Cluster):
        return _cluster(plan.value, patcher), patcher.left_out
    if isinstance(plan.value, Listener):
        made = listener(plan.value)
        listeners.listener(made, patcher)
        made.name = plan.name
        return made, patcher.left_out
    table = route_configuration(plan.value)
    routes.route_configuration(table, patcher)
    table.name = plan.name
    return table, patcher.left_out


def _cluster(plan: Cluster, patcher: Patcher) -> ClusterPb:
    out = cluster(plan)
    for patch in patcher.of(ApplyTo.CLUSTER):
        if patch.operation in MERGES:
            patcher.merge(patch, out, _merge_cluster)
    if out.HasField("http2_protocol_options") and not out.typed_extension_protocol_options:
        _offer_http2(out)
    # A name is how the proxy asks for a resource, and how routes refer to it.
    out.name = plan.name
    return out


def _offer_http2(out: ClusterPb) -> None:
    """Offer the protocol that a patch chose: by what is agreed, the server's sidecar reads the bytes.

    Istio's proxies do so for each connection (their ALPN filter).
    """
    for socket in (
        out.transport_socket,
        *(m.transport_socket for m in out.transport_socket_matches),
    ):
        context = UpstreamTlsContext()
        if not socket.typed_config.Unpack(context):
            continue
        offered = context.common_tls_context.alpn_protocols
        if _HTTP1 in offered:
            offered[:] = [_HTTP2.get(name, name) for name in offered]
            socket.typed_config.CopyFrom(pack(context))


def _merge_cluster(into: ClusterPb, value: ClusterPb, patch: Patch) -> None:
    lists = patch.operation is Operation.MERGE_AND_REPLACE_LIST
    merge_with_socket(into, value, replaces_lists=lists)


def added(plan: Added) -> Message:
    """Spell what a patch adds. Raises PatchError when that is invalid."""
    patcher = Patcher((plan.patch,))
    made = patcher.addition(plan.patch, _ADDED[plan.patch.apply_to])
    if made is None:
        raise PatchError("; ".join(left.reason for left in patcher.left_out))
    return made
