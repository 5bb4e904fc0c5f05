"""Istio's label sets from the few tags that Envoy counts by (istio-api.md 5.2).

Envoy's tags: reporter, destination (cluster name, or `HOST;NAMESPACE`), peer (compact text), principal,
response_code, response_flags, grpc_response_status. What is constant for a workload is joined here.
"""

from collections.abc import Mapping

from rhumb.model.endpoint import Workload
from rhumb.model.peer import UNKNOWN, Peer, parse_peer, peer

_CATCH_ALL = ("PassthroughCluster", "BlackHoleCluster", "InboundPassthroughCluster")


def expand(tags: Mapping[str, str], own: Workload, principal: str) -> dict[str, str]:
    """Return the full label set of one series; `principal` is the workload's own identity."""
    me, other = peer(own), parse_peer(tags.get("peer", ""))
    theirs = tags.get("principal", "")
    is_source = tags.get("reporter") == "source"
    source, destination = (me, other) if is_source else (other, me)
    secure = bool(theirs)
    mine = principal if secure else ""
    labels = {
        "reporter": tags.get("reporter", UNKNOWN),
        **_side("source", source, (mine if is_source else theirs) or UNKNOWN),
        **_side("destination", destination, (theirs if is_source else mine) or UNKNOWN),
        **_service(tags.get("destination", ""), destination),
        "request_protocol": _protocol(tags),
        "connection_security_policy": _policy(is_source=is_source, secure=secure),
        "response_flags": tags.get("response_flags") or "-",
    }
    if "response_code" in tags:
        labels["response_code"] = tags["response_code"]
        labels["grpc_response_status"] = tags.get("grpc_response_status", "")
    return labels


def _side(side: str, who: Peer, principal: str) -> dict[str, str]:
    return {
        f"{side}_workload": who.workload,
        f"{side}_workload_namespace": who.namespace,
        f"{side}_principal": principal,
        f"{side}_app": who.app,
        f"{side}_version": who.version,
        f"{side}_canonical_service": who.canonical_name,
        f"{side}_canonical_revision": who.canonical_revision,
        f"{side}_cluster": who.cluster,
    }


def _service(text: str, destination: Peer) -> dict[str, str]:
    """Return the destination service: from a cluster name, or `HOST;NAMESPACE`."""
    host, name, namespace = UNKNOWN, UNKNOWN, UNKNOWN
    if text in _CATCH_ALL:
        host = name = text
    elif ";" in text:
        host, _, namespace = text.partition(";")
        if host in _CATCH_ALL or not host:
            name = host or destination.canonical_name
            host = host or UNKNOWN
        else:
            name = host.split(".", 1)[0]
    elif text.startswith("outbound|"):
        host = text.rpartition("|")[2]
        parts = host.split(".")
        is_mesh = len(parts) > 2 and parts[2] == "svc"
        name = parts[0] if is_mesh else host
        namespace = parts[1] if is_mesh else destination.namespace
    return {
        "destination_service": host,
        "destination_service_name": name,
        "destination_service_namespace": namespace,
    }


def _protocol(tags: Mapping[str, str]) -> str:
    if "response_code" not in tags:
        return "tcp"
    return "grpc" if tags.get("grpc_response_status") else "http"


def _policy(*, is_source: bool, secure: bool) -> str:
    if is_source:
        return UNKNOWN
    return "mutual_tls" if secure else "none"
