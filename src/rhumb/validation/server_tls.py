"""Rules for TLS on the server side: Gateway servers and Sidecar ingress listeners."""

from collections.abc import Sequence

from rhumb.model.kinds.gateway import ServerTls, ServerTlsMode, TlsProtocol
from rhumb.model.tls_names import CURVES, HASH, SPKI, is_usable_cipher
from rhumb.validation.rules import Report

_TERMINATING = (ServerTlsMode.SIMPLE, ServerTlsMode.MUTUAL, ServerTlsMode.OPTIONAL_MUTUAL)
_PASSING = (ServerTlsMode.PASSTHROUGH, ServerTlsMode.AUTO_PASSTHROUGH)


def check_server_tls(report: Report, at: str, tls: ServerTls | None) -> None:
    """Check the TLS settings of a server."""
    if tls is None:
        return
    if (
        tls.min_protocol_version in (TlsProtocol.TLSV1_0, TlsProtocol.TLSV1_1)
        and not tls.cipher_suites
    ):
        report.warn(
            f"{at}.minProtocolVersion",
            "TLS version below TLSV1_2 require setting compatible ciphers as by default they no longer include "
            "compatible ciphers.",
        )
    _check_ciphers(report, f"{at}.cipherSuites", tls.cipher_suites)
    _check_curves(report, f"{at}.ecdhCurves", tls.ecdh_curves)
    _check_pins(report, at, tls)
    if tls.mode is ServerTlsMode.ISTIO_MUTUAL:
        _check_istio_mutual(report, at, tls)
        return
    if tls.mode in _PASSING and _has_certificates(tls):
        report.warn(
            at,
            f"{tls.mode} mode does not use certificates, they will be ignored",
            "set `mode: SIMPLE` to terminate TLS" if tls.mode is ServerTlsMode.PASSTHROUGH else "",
        )
    _check_sources(report, at, tls)
    if tls.mode in _TERMINATING:
        if tls.credential_name or tls.credential_names:
            return
        _check_files(report, at, tls)
    if tls.ca_crl:
        if tls.credential_name:
            report.error(
                f"{at}.caCrl",
                "CRL is not supported with credentialName. CRL has to be specified in the credential",
            )
        if tls.mode is ServerTlsMode.SIMPLE:
            report.error(f"{at}.caCrl", "CRL is not supported with SIMPLE TLS")


def _check_ciphers(report: Report, at: str, suites: Sequence[str]) -> None:
    unusable = sorted({s for s in suites if not is_usable_cipher(s)})
    known = [s for s in suites if is_usable_cipher(s)]
    repeated = sorted({s for s in known if known.count(s) > 1})
    if unusable:
        report.warn(at, f"ignoring invalid cipher suites: [{' '.join(unusable)}]")
    if repeated:
        report.warn(at, f"ignoring duplicate cipher suites: [{' '.join(repeated)}]")


def _check_curves(report: Report, at: str, curves: Sequence[str]) -> None:
    unusable = sorted(set(curves) - CURVES)
    if unusable:
        report.warn(at, f"ignoring invalid ECDH curves: [{' '.join(unusable)}]")


def _check_pins(report: Report, at: str, tls: ServerTls) -> None:
    for name, pins, form, words in (
        ("verifyCertificateSpki", tls.verify_certificate_spki, SPKI, "the base64 SHA-256 of a key"),
        (
            "verifyCertificateHash",
            tls.verify_certificate_hash,
            HASH,
            "the hex SHA-256 of a certificate",
        ),
    ):
        for index, pin in enumerate(pins):
            if not form.fullmatch(pin):
                report.warn(
                    f"{at}.{name}[{index}]", f'"{pin}" is not {words}: no client can match it'
                )


def _check_istio_mutual(report: Report, at: str, tls: ServerTls) -> None:
    for name, what, value in (
        ("serverCertificate", "server certificate", tls.server_certificate),
        ("privateKey", "private key", tls.private_key),
        ("caCertificates", "CA bundle", tls.ca_certificates),
        ("tlsCertificates", "tlsCertificates", tls.tls_certificates),
        ("credentialName", "credentialName", tls.credential_name),
        ("credentialNames", "credentialNames", tls.credential_names),
    ):
        if value:
            report.error(f"{at}.{name}", f"ISTIO_MUTUAL TLS cannot have associated {what}")


def _has_certificates(tls: ServerTls) -> bool:
    return bool(
        tls.ca_crl
        or tls.server_certificate
        or tls.private_key
        or tls.ca_certificates
        or tls.tls_certificates
        or tls.credential_name
        or tls.credential_names
    )


def _check_sources(report: Report, at: str, tls: ServerTls) -> None:
    sources = (
        bool(tls.server_certificate and tls.private_key),
        bool(tls.credential_name),
        bool(tls.credential_names),
        bool(tls.tls_certificates),
    )
    if sum(sources) > 1:
        report.error(
            at,
            "only one of credential_name, credential_names, server_certificate/private_key, tls_certificates "
            "should be specified",
        )
    if len(tls.credential_names) > 2:
        report.error(f"{at}.credentialNames", "must have at most 2 items")


def _check_files(report: Report, at: str, tls: ServerTls) -> None:
    what = "SIMPLE TLS"
    if tls.mode is not ServerTlsMode.SIMPLE:
        what = "MUTUAL TLS"
        if not tls.ca_certificates:
            report.error(f"{at}.caCertificates", f"{what} requires a client CA bundle")
    if len(tls.tls_certificates) > 2:
        report.warn(f"{at}.tlsCertificates", f"{what} can support up to 2 server certificates")
    pairs = [
        (f"{at}.tlsCertificates[{index}]", pair.server_certificate, pair.private_key)
        for index, pair in enumerate(tls.tls_certificates)
    ]
    for where, certificate, key in pairs or [(at, tls.server_certificate, tls.private_key)]:
        if not certificate:
            report.error(where, f"{what} requires a server certificate")
        if not key:
            report.error(where, f"{what} requires a private key")
