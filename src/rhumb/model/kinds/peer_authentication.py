"""PeerAuthentication (security.istio.io): what a workload accepts, mutual TLS or plain text."""

from collections.abc import Mapping
from typing import ClassVar

from rhumb.model.kinds.selector import LabelMatch
from rhumb.model.kinds.wire import NONE, Kind, Removed, UInt32, WireEnum


class MutualTlsMode(WireEnum):
    """Mode of mutual TLS on the server side."""

    UNSET = "UNSET"
    """Inherit from the namespace or the mesh."""
    DISABLE = "DISABLE"
    PERMISSIVE = "PERMISSIVE"
    STRICT = "STRICT"


class MutualTls(Kind, frozen=True, kw_only=True):
    """Istio's PeerAuthentication.MutualTLS."""

    mode: MutualTlsMode = MutualTlsMode.UNSET


class PeerAuthentication(Kind, frozen=True, kw_only=True):
    """Mode for all ports and for single workload ports (istio-api security/v1beta1/peer_authentication.proto)."""

    REMOVED: ClassVar[Removed] = {
        "peers": "use `mtls.mode`",
        "targets": "use `selector.matchLabels`",
    }

    selector: LabelMatch | None = None
    mtls: MutualTls | None = None
    port_level_mtls: Mapping[UInt32, MutualTls] = NONE
