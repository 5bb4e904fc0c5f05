"""Peers: who is at the other end of a request, as one compact text that metrics carry.

The text stands in endpoint metadata (destination, read by the client's proxy) and in the client's
certificate (source, read by the server's proxy): seven fields joined by ";", each percent-encoded, so
that neither side needs more than a split to have them back.
"""

from urllib.parse import quote, unquote

import msgspec

from rhumb.model.endpoint import Workload

METADATA_NAMESPACE = "istio"
"""Filter metadata namespace of endpoints that holds the text ..."""
METADATA_KEY = "peer"
"""... under this key."""
UNKNOWN = "unknown"

_SAFE = "/:@,+= "


class Peer(msgspec.Struct, frozen=True):
    """The labels of one workload that Istio's metrics show."""

    workload: str = UNKNOWN
    namespace: str = UNKNOWN
    app: str = UNKNOWN
    version: str = UNKNOWN
    canonical_name: str = UNKNOWN
    canonical_revision: str = "latest"
    cluster: str = UNKNOWN


def peer(workload: Workload) -> Peer:
    """Return what metrics say of a workload (absent labels are `unknown`)."""
    labels = dict(workload.labels)
    return Peer(
        workload=workload.name or UNKNOWN,
        namespace=workload.namespace or UNKNOWN,
        app=labels.get("app") or UNKNOWN,
        version=labels.get("version") or UNKNOWN,
        canonical_name=workload.canonical_name or UNKNOWN,
        canonical_revision=workload.canonical_revision,
        cluster=workload.cluster or UNKNOWN,
    )


def format_peer(value: Peer) -> str:
    """Write the compact text; printable ASCII."""
    return ";".join(quote(field, safe=_SAFE) for field in msgspec.structs.astuple(value))


def parse_peer(text: str) -> Peer:
    """Read the compact text.

    Never fails: certificates may come from other authorities, so missing or empty fields are unknown and
    surplus ones are ignored.
    """
    fields = [unquote(part) for part in text.split(";")]
    names = Peer.__struct_fields__
    return Peer(**{name: field for name, field in zip(names, fields, strict=False) if field})
