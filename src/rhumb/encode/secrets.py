"""Secrets as Envoy's Secret."""

from envoy.extensions.transport_sockets.tls.v3 import common_pb2 as common
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2 as pb

from rhumb.ir.secret import Secret

_SYSTEM_ROOTS = "/etc/ssl/certs/ca-certificates.crt"


def secret(value: Secret) -> pb.Secret:
    """Spell a certificate with its key, or a set of roots.

    Files are read again when their directory changes, which Envoy does for secrets alone.
    """
    out = pb.Secret(name=value.name)
    if value.certificate_file:
        out.tls_certificate.certificate_chain.filename = value.certificate_file
        out.tls_certificate.private_key.filename = value.private_key_file
        out.tls_certificate.watched_directory.path = _folder(value.certificate_file)
        return out
    if value.ca_file:
        _files(out.validation_context, value)
        return out
    if value.certificate:
        out.tls_certificate.certificate_chain.inline_bytes = value.certificate
        out.tls_certificate.private_key.inline_bytes = value.private_key
        return out
    out.validation_context.trusted_ca.inline_bytes = value.ca
    if value.crl:
        out.validation_context.crl.inline_bytes = value.crl
    return out


def _files(out: common.CertificateValidationContext, value: Secret) -> None:
    is_system = value.ca_file == "system"
    out.trusted_ca.filename = _SYSTEM_ROOTS if is_system else value.ca_file
    if not is_system:
        out.watched_directory.path = _folder(value.ca_file)
    if value.crl_file:
        out.crl.filename = value.crl_file


def _folder(path: str) -> str:
    return path.rpartition("/")[0] or "."
