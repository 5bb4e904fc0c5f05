"""TLS of listeners: mutual TLS of the mesh, and what Gateways and Sidecars ask for."""

import re

import msgspec

from rhumb.ir.tls import (
    DownstreamTls,
    SecretRef,
    SecretSource,
    TlsParameters,
    Validation,
)
from rhumb.model.kinds.gateway import ServerTls, ServerTlsMode, TlsProtocol
from rhumb.model.kinds.mesh_config import MeshTls, MeshTlsProtocol
from rhumb.model.tls_names import HASH, SPKI, usable_ciphers, usable_curves
from rhumb.snapshot.view import View
from rhumb.translate import names, secrets
from rhumb.translate.perspective import Perspective
from rhumb.translate.upstream_tls import file_secret, file_validation, workload_secret

ALPN = ("h2", "http/1.1")
"""Never `istio-peer-exchange`: Istio's proxies would send a preamble that stock Envoy hands on."""

_CIPHERS = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
)
_VERSIONS = {
    TlsProtocol.TLSV1_0: "TLSv1_0",
    TlsProtocol.TLSV1_1: "TLSv1_1",
    TlsProtocol.TLSV1_2: "TLSv1_2",
    TlsProtocol.TLSV1_3: "TLSv1_3",
}
_MESH_VERSIONS = {
    MeshTlsProtocol.TLS_AUTO: "",
    MeshTlsProtocol.TLSV1_2: "TLSv1_2",
    MeshTlsProtocol.TLSV1_3: "TLSv1_3",
}
_NO_SPKI = "A" * 43 + "="
_NO_HASH = "0" * 64
_REQUIRE = (ServerTlsMode.MUTUAL, ServerTlsMode.ISTIO_MUTUAL)


def mesh_tls(seen: Perspective) -> DownstreamTls:
    """Return mutual TLS between workloads: own certificate, the mesh's roots, its trust domains."""
    domains = (seen.mesh.trust_domain, *seen.mesh.trust_domain_aliases)
    return DownstreamTls(
        certificates=(workload_secret(seen.view, names.WORKLOAD_SECRET),),
        validation=Validation(
            roots=workload_secret(seen.view, names.ROOT_SECRET),
            uri_prefixes=tuple(dict.fromkeys(f"spiffe://{d}/" for d in domains)),
        ),
        require_client_certificate=True,
        alpn=ALPN,
        parameters=_mesh_parameters(seen),
    )


def _mesh_parameters(seen: Perspective) -> TlsParameters:
    """Return what MeshConfig's meshMTLS says, else Istio's own choice."""
    said = seen.mesh.config.mesh_mtls or MeshTls()
    newest = said.min_protocol_version is MeshTlsProtocol.TLSV1_3
    return TlsParameters(
        minimum="TLSv1_3" if newest else "TLSv1_2",
        maximum="TLSv1_3",
        ciphers=usable_ciphers(said.cipher_suites) or _CIPHERS,
    )


def terminates(wanted: ServerTls) -> bool:
    """Tell whether a server has TLS of its own; otherwise what is encrypted passes as it is."""
    return wanted.mode not in (ServerTlsMode.PASSTHROUGH, ServerTlsMode.AUTO_PASSTHROUGH)


def server_tls(seen: Perspective, wanted: ServerTls, *, is_http: bool) -> DownstreamTls:
    """Return the TLS of a server that terminates it: of a Gateway, or of a Sidecar's ingress listener."""
    if wanted.mode is ServerTlsMode.ISTIO_MUTUAL:
        return _istio_mutual(seen, wanted)
    credentials = wanted.credential_names or (
        (wanted.credential_name,) if wanted.credential_name else ()
    )
    asks = wanted.mode in _REQUIRE or (
        wanted.mode is ServerTlsMode.OPTIONAL_MUTUAL and not _lacks_roots(seen, wanted, credentials)
    )
    return DownstreamTls(
        certificates=_certificates(seen.view, wanted, credentials),
        validation=_validation(seen.view, wanted, credentials, asks=asks),
        require_client_certificate=wanted.mode in _REQUIRE,
        alpn=ALPN if is_http else (),
        parameters=_parameters(wanted, seen.mesh.config.tls_defaults or MeshTls()),
    )


def _lacks_roots(seen: Perspective, wanted: ServerTls, credentials: tuple[str, ...]) -> bool:
    """Tell whether a Secret is there without a CA to verify clients with: Envoy would wait for it for ever.

    Where a client's certificate is optional, nobody is kept out for want of that.
    """
    if not credentials or wanted.ca_cert_credential_name:
        return False
    known = secrets.secret(seen.snapshot, seen.view, str(_secret(credentials[0])))
    return (
        known is not None and secrets.secret(seen.snapshot, seen.view, _ca(credentials[0])) is None
    )


def _istio_mutual(seen: Perspective, wanted: ServerTls) -> DownstreamTls:
    return DownstreamTls(
        certificates=(workload_secret(seen.view, names.WORKLOAD_SECRET),),
        validation=Validation(
            roots=workload_secret(seen.view, names.ROOT_SECRET),
            exact_names=wanted.subject_alt_names,
        ),
        require_client_certificate=True,
        alpn=ALPN,
    )


def _secret(name: str) -> names.KubernetesSecret:
    """Read `NAME`, or one of the schemes that Istio's credential names may have."""
    parsed = names.parse_secret(name)
    return parsed if isinstance(parsed, names.KubernetesSecret) else names.KubernetesSecret(name)


def _ca(name: str) -> str:
    """Name the CA that stands in a Secret, or in a ConfigMap (`configmap://NAMESPACE/NAME`)."""
    parsed = names.parse_secret(name)
    return name if isinstance(parsed, names.ConfigMapRoot) else str(_secret(name).ca)


def _certificates(
    view: View, wanted: ServerTls, credentials: tuple[str, ...]
) -> tuple[SecretRef, ...]:
    if credentials:
        return tuple(SecretRef(str(_secret(name)), SecretSource.ADS) for name in credentials)
    pairs = [(c.server_certificate, c.private_key) for c in wanted.tls_certificates]
    if not pairs and wanted.server_certificate and wanted.private_key:
        pairs = [(wanted.server_certificate, wanted.private_key)]
    return tuple(file_secret(view, names.FileCertificate(*pair)) for pair in pairs)


def _validation(
    view: View, wanted: ServerTls, credentials: tuple[str, ...], *, asks: bool
) -> Validation:
    """Return how clients are checked; SPKI and hash pins count without a CA too."""
    found = Validation()
    exact = wanted.subject_alt_names if asks else ()
    authority = wanted.ca_cert_credential_name or (credentials[0] if credentials else "")
    if asks and authority:
        found = Validation(roots=SecretRef(_ca(authority), SecretSource.ADS), exact_names=exact)
    elif asks and wanted.ca_certificates:
        found = file_validation(view, wanted.ca_certificates, wanted.ca_crl, exact)
    return msgspec.structs.replace(
        found,
        spki_pins=_pins(wanted.verify_certificate_spki, SPKI),
        hash_pins=_pins(wanted.verify_certificate_hash, HASH),
        accept_untrusted=asks and bool(wanted.insecure_skip_verify),
    )


def _pins(wanted: tuple[str, ...], form: re.Pattern[str]) -> tuple[str, ...]:
    """Return the pins that can be one; where none is, one that no certificate has: nobody gets in."""
    found = tuple(pin for pin in wanted if form.fullmatch(pin))
    if wanted and not found:
        return (_NO_SPKI if form is SPKI else _NO_HASH,)
    return found


def _parameters(wanted: ServerTls, default: MeshTls) -> TlsParameters:
    """Return versions, ciphers and curves: the server's, else the mesh's (tlsDefaults).

    What Envoy does not know would cost the whole listener.
    """
    return TlsParameters(
        minimum=_VERSIONS.get(wanted.min_protocol_version, "")
        or _MESH_VERSIONS[default.min_protocol_version],
        maximum=_VERSIONS.get(wanted.max_protocol_version, ""),
        ciphers=usable_ciphers(wanted.cipher_suites) or usable_ciphers(default.cipher_suites),
        curves=usable_curves(wanted.ecdh_curves) or usable_curves(default.ecdh_curves),
    )
