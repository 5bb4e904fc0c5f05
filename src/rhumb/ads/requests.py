"""Discovery requests as values: parsed once, checked against limits."""

import sys
from collections.abc import Iterable, Mapping

from envoy.config.core.v3 import base_pb2 as core
from envoy.service.discovery.v3 import discovery_pb2 as discovery
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError

from rhumb.base.errors import RhumbError
from rhumb.model.endpoint import Locality
from rhumb.model.proxy import Proxy, UserAgent
from rhumb.xds import wire
from rhumb.xds.events import DeltaRequest, SotwRequest
from rhumb.xds.types import XdsType

Request = discovery.DeltaDiscoveryRequest | discovery.DiscoveryRequest
Heard = Request | DeltaRequest
"""What was read from a stream: a mere ACK as a value, all else as it came."""

_ACKS: Mapping[bytes, XdsType] = {wire.field(2, kind.value) + wire.tag(6): kind for kind in XdsType}
"""How an ACK that says nothing else begins, up to its nonce: nearly all that clients send is one."""


def delta(data: bytes) -> Heard | None:
    """Read a DeltaDiscoveryRequest; None when it is none."""
    ack = _ack(data)
    if ack is not None:
        return ack
    try:
        return discovery.DeltaDiscoveryRequest.FromString(data)
    except DecodeError:
        return None


def sotw(data: bytes) -> Heard | None:
    """Read a DiscoveryRequest; None when it is none."""
    try:
        return discovery.DiscoveryRequest.FromString(data)
    except DecodeError:
        return None


def _ack(data: bytes) -> DeltaRequest | None:
    end = data[1] + 3 if len(data) > 1 else 0
    kind = _ACKS.get(data[:end])
    if kind is None or len(data) <= end or data[end] > 0x7F or len(data) != end + 1 + data[end]:
        return None
    nonce = data[end + 1 :]
    return DeltaRequest(type=kind, nonce=nonce.decode()) if nonce.isascii() else None


def parse(
    kind: XdsType, request: Request, max_name_bytes: int, max_names: int
) -> DeltaRequest | SotwRequest:
    """Return the request as a value. Raises RhumbError when a name is too long, or names are too many."""
    count = (
        max(len(request.resource_names_subscribe), len(request.initial_resource_versions))
        if isinstance(request, discovery.DeltaDiscoveryRequest)
        else len(request.resource_names)
    )
    if count > max_names:
        raise RhumbError(f"{kind.short}: more than {max_names} names on one stream")
    error = request.error_detail.message if request.HasField("error_detail") else None
    if isinstance(request, discovery.DeltaDiscoveryRequest):
        return DeltaRequest(
            type=kind,
            nonce=request.response_nonce,
            error=error,
            subscribe=_names(request.resource_names_subscribe, max_name_bytes),
            unsubscribe=tuple(request.resource_names_unsubscribe),
            initial=dict(request.initial_resource_versions),
        )
    return SotwRequest(
        type=kind,
        nonce=request.response_nonce,
        error=error,
        names=_names(request.resource_names, max_name_bytes),
        version=request.version_info,
    )


def node(heard: Heard) -> core.Node:
    """Return what a request says of its client: nothing in a mere ACK."""
    return core.Node() if isinstance(heard, DeltaRequest) else heard.node


def parse_node(node: core.Node) -> Proxy:
    """Read who a client says it is. Raises RhumbError when the node id has another shape."""
    place = node.locality
    locality = Locality(place.region, place.zone, place.sub_zone)
    build = node.user_agent_build_version
    number = build.version.major_number, build.version.minor_number
    user_agent = UserAgent(node.user_agent_name, number if build.HasField("version") else None)
    metadata = {
        sys.intern(name): _shared(value) for name, value in MessageToDict(node.metadata).items()
    }
    return Proxy.parse(node.id, metadata, locality, user_agent)


def _shared(value: object) -> object:
    """Return a value of metadata with texts that are held once: those of most proxies are the same."""
    if isinstance(value, str):
        return sys.intern(value)
    if isinstance(value, dict):
        return {sys.intern(name): _shared(each) for name, each in value.items()}
    return value


def _names(said: Iterable[str], longest: int) -> tuple[str, ...]:
    names = tuple(said)
    if any(len(name) > longest for name in names):
        raise RhumbError(f"a resource name is longer than {longest} bytes")
    return names
