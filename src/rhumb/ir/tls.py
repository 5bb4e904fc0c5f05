"""TLS contexts, both directions, and where their secrets come from."""

import enum

import msgspec


class SecretSource(enum.StrEnum):
    """How the proxy gets a secret."""

    FILE = "file"
    """Files of our agent: ./sds/default.json and ./sds/rootca.json."""
    AGENT = "agent"
    """The agent's secret service, static cluster `sds-grpc` (Istio)."""
    ADS = "ads"
    """The control plane, over the stream that brings everything else."""


class SecretRef(msgspec.Struct, frozen=True, cache_hash=True):
    """A secret by name."""

    name: str
    source: SecretSource


class Validation(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """How the peer's certificate is checked."""

    roots: SecretRef | None = None
    uri_prefixes: tuple[str, ...] = ()
    """The peer's URI must begin with one of them."""
    exact_names: tuple[str, ...] = ()
    """One subject alternative name, URI or DNS, must equal one of them."""
    spki_pins: tuple[str, ...] = ()
    hash_pins: tuple[str, ...] = ()
    crl_file: str = ""
    """Path on the proxy's disk, where the roots do not bring a list of revoked certificates."""
    accept_untrusted: bool = False

    @property
    def checks(self) -> bool:
        """Tell whether anything is checked at all."""
        return bool(self.roots or self.spki_pins or self.hash_pins)


class TlsParameters(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """Versions and ciphers; empty values are Envoy's own choice."""

    minimum: str = ""
    """TLSv1_0 to TLSv1_3."""
    maximum: str = ""
    ciphers: tuple[str, ...] = ()
    curves: tuple[str, ...] = ()


class DownstreamTls(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """The server side."""

    certificates: tuple[SecretRef, ...] = ()
    validation: Validation = Validation()
    require_client_certificate: bool = False
    alpn: tuple[str, ...] = ()
    parameters: TlsParameters = TlsParameters()


class UpstreamTls(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """The client side."""

    certificates: tuple[SecretRef, ...] = ()
    validation: Validation = Validation()
    sni: str = ""
    auto_sni: bool = False
    """Take SNI from the request's host ..."""
    auto_san: bool = False
    """... and check the certificate against it."""
    alpn: tuple[str, ...] = ()
    parameters: TlsParameters = TlsParameters()
