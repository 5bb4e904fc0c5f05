"""Istio's label sets from the few tags that Envoy counts by.

Envoy's tags: reporter, destination (cluster name, or `HOST;NAMESPACE`), peer (compact text), principal,
response_code, response_flags, grpc_response_status. What is constant for a workload is joined here.
"""

from collections.abc import Mapping

import msgspec

from rhumb.base.errors import RhumbError
from rhumb.identity.spiffe import SpiffeId
from rhumb.model.endpoint import Workload
from rhumb.model.peer import UNKNOWN, Peer, parse_peer, peer

_CATCH_ALL = ("PassthroughCluster", "BlackHoleCluster", "InboundPassthroughCluster")
"""Clusters that stand for no service: their name is the service's name, the host is not known."""


def expand(tags: Mapping[str, str], own: Workload, principal: str) -> dict[str, str]:
    """Return the full label set of one series; `principal` is the workload's own identity (URI)."""
    theirs = tags.get("principal", "")
    me, other = peer(own), _peer(tags.get("peer", ""), theirs)
    mine = principal if theirs else ""
    is_source = tags.get("reporter") == "source"
    source, destination = (me, other) if is_source else (other, me)
    labels = {
        "reporter": tags.get("reporter", UNKNOWN),
        **_side("source", source, mine if is_source else theirs),
        **_side("destination", destination, theirs if is_source else mine),
        **_service(tags.get("destination", ""), destination, is_source=is_source),
        "request_protocol": _protocol(tags),
        "connection_security_policy": _policy(is_source=is_source, secure=bool(theirs)),
        "response_flags": tags.get("response_flags") or "-",
    }
    if "response_code" in tags:
        labels["response_code"] = tags["response_code"] or "0"
        labels["grpc_response_status"] = tags.get("grpc_response_status", "")
    return labels


def _peer(text: str, principal: str) -> Peer:
    """Return the other side; its namespace is the certificate's, which nobody can make up."""
    said = parse_peer(text)
    try:
        namespace = SpiffeId.parse(principal).namespace if principal else said.namespace
    except RhumbError:
        return said
    return (
        said if namespace == said.namespace else msgspec.structs.replace(said, namespace=namespace)
    )


def _side(side: str, who: Peer, principal: str) -> dict[str, str]:
    return {
        f"{side}_workload": who.workload,
        f"{side}_workload_namespace": who.namespace,
        f"{side}_principal": principal or UNKNOWN,
        f"{side}_app": who.app,
        f"{side}_version": who.version,
        f"{side}_canonical_service": who.canonical_name,
        f"{side}_canonical_revision": who.canonical_revision,
        f"{side}_cluster": who.cluster,
    }


def _service(text: str, destination: Peer, *, is_source: bool) -> dict[str, str]:
    """Return the destination service.

    A server falls back to its canonical name and always has its own namespace; a client knows
    neither, but for the namespace of the peer.
    """
    host, namespace = _parse(text)
    name = host
    if host in _CATCH_ALL:
        host = namespace = ""
    elif (parts := host.split("."))[2:3] == ["svc"]:
        name, namespace = parts[0], parts[1]
    default = UNKNOWN if is_source else destination.canonical_name
    if not is_source or not namespace:
        namespace = destination.namespace
    return {
        "destination_service": host or default,
        "destination_service_name": name or default,
        "destination_service_namespace": namespace,
    }


def _parse(text: str) -> tuple[str, str]:
    """Read host and namespace out of `HOST;NAMESPACE` or any form of a cluster's name."""
    if text in _CATCH_ALL:
        return text, ""
    if text.startswith("outbound|"):
        return text.rpartition("|")[2], ""
    if text.startswith("outbound_."):
        return text.split("_.", 3)[-1], ""
    host, is_literal, namespace = text.partition(";")
    return (host, namespace) if is_literal else ("", "")


def _protocol(tags: Mapping[str, str]) -> str:
    if "response_code" not in tags:
        return "tcp"
    return "grpc" if tags.get("grpc_response_status") else "http"


def _policy(*, is_source: bool, secure: bool) -> str:
    if is_source:
        return UNKNOWN
    return "mutual_tls" if secure else "none"
