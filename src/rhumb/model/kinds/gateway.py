"""Gateway (networking.istio.io): ports and hosts that a gateway proxy serves."""

from collections.abc import Mapping
from typing import ClassVar

from rhumb.model.kinds.wire import NONE, Kind, Removed, UInt32, WireEnum


class Port(Kind, frozen=True, kw_only=True):
    """A port that a proxy listens on."""

    number: UInt32 = 0
    protocol: str = ""
    name: str = ""
    target_port: UInt32 = 0
    """Deprecated and without effect; refused on a Gateway."""


class ServerTlsMode(WireEnum):
    """How a server handles TLS; omitted means PASSTHROUGH."""

    PASSTHROUGH = "PASSTHROUGH"
    SIMPLE = "SIMPLE"
    MUTUAL = "MUTUAL"
    AUTO_PASSTHROUGH = "AUTO_PASSTHROUGH"
    ISTIO_MUTUAL = "ISTIO_MUTUAL"
    OPTIONAL_MUTUAL = "OPTIONAL_MUTUAL"


class TlsProtocol(WireEnum):
    """TLS versions."""

    TLS_AUTO = "TLS_AUTO"
    TLSV1_0 = "TLSV1_0"
    TLSV1_1 = "TLSV1_1"
    TLSV1_2 = "TLSV1_2"
    TLSV1_3 = "TLSV1_3"


class TlsCertificate(Kind, frozen=True, kw_only=True):
    """One certificate and its key, as files."""

    server_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""


class ServerTls(Kind, frozen=True, kw_only=True):
    """Istio's ServerTLSSettings."""

    https_redirect: bool = False
    mode: ServerTlsMode = ServerTlsMode.PASSTHROUGH
    server_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""
    ca_crl: str = ""
    credential_name: str = ""
    credential_names: tuple[str, ...] = ()
    ca_cert_credential_name: str = ""
    tls_certificates: tuple[TlsCertificate, ...] = ()
    subject_alt_names: tuple[str, ...] = ()
    verify_certificate_spki: tuple[str, ...] = ()
    verify_certificate_hash: tuple[str, ...] = ()
    min_protocol_version: TlsProtocol = TlsProtocol.TLS_AUTO
    max_protocol_version: TlsProtocol = TlsProtocol.TLS_AUTO
    cipher_suites: tuple[str, ...] = ()
    ecdh_curves: tuple[str, ...] = ()
    insecure_skip_verify: bool | None = None


class Server(Kind, frozen=True, kw_only=True):
    """One port of a gateway with the hosts behind it."""

    port: Port | None = None
    bind: str = ""
    hosts: tuple[str, ...] = ()
    tls: ServerTls | None = None
    default_endpoint: str = ""
    """Accepted by the API and without effect."""
    name: str = ""


class Gateway(Kind, frozen=True, kw_only=True):
    """Servers for the proxies that `selector` picks (istio-api networking/v1alpha3/gateway.proto)."""

    REMOVED: ClassVar[Removed] = {"hosts": "put `hosts` into each of `servers`"}

    servers: tuple[Server, ...] = ()
    selector: Mapping[str, str] = NONE
