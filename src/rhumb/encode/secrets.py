"""Secrets as Envoy's Secret."""

from envoy.extensions.transport_sockets.tls.v3 import secret_pb2 as pb

from rhumb.ir.secret import Secret


def secret(value: Secret) -> pb.Secret:
    """Spell a certificate with its key, or a set of roots."""
    out = pb.Secret(name=value.name)
    if value.certificate:
        out.tls_certificate.certificate_chain.inline_bytes = value.certificate
        out.tls_certificate.private_key.inline_bytes = value.private_key
        return out
    out.validation_context.trusted_ca.inline_bytes = value.ca
    if value.crl:
        out.validation_context.crl.inline_bytes = value.crl
    return out
