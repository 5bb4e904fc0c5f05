"""What proxies prove themselves with at the TLS door: certificates of the control plane's own CA."""

from pathlib import Path
from typing import Any

import grpc
from envoy.config.core.v3.base_pb2 import Node

from rhumb.base.clock import SystemClock
from rhumb.ca.active import CertificateAuthority
from rhumb.ca.settings import CaSettings
from rhumb.ca.sign import Names
from rhumb.identity.spiffe import SpiffeId
from rhumb.testing.ca import signed

Credentials = Any
"""grpc.ChannelCredentials; gRPC ships no types."""


class Certificates:
    """One certificate for each service account."""

    def __init__(self, directory: Path) -> None:
        """Take the directory of the CA of a running control plane."""
        self._settings = CaSettings(directory=directory)
        self._authority = CertificateAuthority(self._settings)
        self._authority.open(SystemClock().now())
        self._made: dict[SpiffeId, Credentials] = {}

    def of(self, who: Node) -> Credentials:
        """Return the credentials of a proxy."""
        namespace, account = (str(who.metadata[key]) for key in ("NAMESPACE", "SERVICE_ACCOUNT"))
        identity = SpiffeId(self._settings.trust.own, namespace, account)
        if identity not in self._made:
            self._made[identity] = self._make(identity)
        return self._made[identity]

    def _make(self, identity: SpiffeId) -> Credentials:
        key, chain = signed(self._authority.signing, Names.of(identity))
        return grpc.ssl_channel_credentials(self._authority.bundle.pem.encode(), key, chain)
