"""What proxies prove themselves with at the TLS door: certificates of the control plane's own CA."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from envoy.config.core.v3.base_pb2 import Node

from rhumb.base.clock import SystemClock
from rhumb.ca.active import CertificateAuthority
from rhumb.ca.settings import CaSettings
from rhumb.ca.sign import Names, sign
from rhumb.identity.spiffe import SpiffeId

Credentials = Any
"""grpc.ChannelCredentials; gRPC ships no types."""


class Certificates:
    """One certificate for each service account."""

    def __init__(self, directory: Path) -> None:
        """Take the directory of the CA of a running control plane."""
        self._settings = CaSettings(directory=directory)
        self._now = SystemClock().now()
        self._authority = CertificateAuthority(self._settings)
        self._authority.open(self._now)
        self._made: dict[SpiffeId, Credentials] = {}

    def of(self, who: Node) -> Credentials:
        """Return the credentials of a proxy."""
        namespace, account = (str(who.metadata[key]) for key in ("NAMESPACE", "SERVICE_ACCOUNT"))
        identity = SpiffeId(self._settings.trust.own, namespace, account)
        if identity not in self._made:
            self._made[identity] = self._make(identity)
        return self._made[identity]

    def _make(self, identity: SpiffeId) -> Credentials:
        key, authority = ec.generate_private_key(ec.SECP256R1()), self._authority
        names, life = Names.of(identity), timedelta(hours=1)
        leaf = sign(authority.signing, key.public_key(), names, now=self._now, life=life)
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return grpc.ssl_channel_credentials(
            authority.bundle.pem.encode(), secret, leaf.pem.encode()
        )
