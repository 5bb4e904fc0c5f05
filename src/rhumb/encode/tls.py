"""TLS contexts as Envoy transport sockets."""

import ipaddress

from envoy.config.core.v3 import base_pb2 as core
from envoy.config.core.v3 import config_source_pb2 as source
from envoy.extensions.transport_sockets.raw_buffer.v3 import raw_buffer_pb2 as raw
from envoy.extensions.transport_sockets.tls.v3 import common_pb2 as common
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2 as secret
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2 as tls
from envoy.type.matcher.v3 import string_pb2 as string

from rhumb.encode.pack import pack
from rhumb.ir.tls import (
    DownstreamTls,
    SecretRef,
    SecretSource,
    TlsParameters,
    UpstreamTls,
    Validation,
)

TLS = "envoy.transport_sockets.tls"
SDS_DIRECTORY = "./sds"
"""Relative to Envoy's working directory: equal bytes for every proxy."""
_FILES = {"default": f"{SDS_DIRECTORY}/default.json", "ROOTCA": f"{SDS_DIRECTORY}/rootca.json"}
_SDS_CLUSTER = "sds-grpc"


def downstream(value: DownstreamTls) -> core.TransportSocket:
    """Spell the server side."""
    context = tls.DownstreamTlsContext()
    _common(
        context.common_tls_context,
        value.certificates,
        value.validation,
        value.alpn,
        value.parameters,
    )
    context.require_client_certificate.value = value.require_client_certificate
    return core.TransportSocket(name=TLS, typed_config=pack(context))


def upstream(value: UpstreamTls) -> core.TransportSocket:
    """Spell the client side."""
    context = tls.UpstreamTlsContext(sni=value.sni)
    _common(
        context.common_tls_context,
        value.certificates,
        value.validation,
        value.alpn,
        value.parameters,
    )
    return core.TransportSocket(name=TLS, typed_config=pack(context))


def plain() -> core.TransportSocket:
    """Spell no TLS."""
    return core.TransportSocket(
        name="envoy.transport_sockets.raw_buffer", typed_config=pack(raw.RawBuffer())
    )


def _common(
    context: tls.CommonTlsContext,
    certificates: tuple[SecretRef, ...],
    validation: Validation,
    alpn: tuple[str, ...],
    parameters: TlsParameters,
) -> None:
    for ref in certificates:
        context.tls_certificate_sds_secret_configs.append(secret_config(ref))
    _validation(context, validation)
    context.alpn_protocols.extend(alpn)
    _parameters(context, parameters)


def _parameters(context: tls.CommonTlsContext, value: TlsParameters) -> None:
    if value == TlsParameters():
        return
    params = context.tls_params
    if value.minimum:
        params.tls_minimum_protocol_version = common.TlsParameters.TlsProtocol.Value(value.minimum)
    if value.maximum:
        params.tls_maximum_protocol_version = common.TlsParameters.TlsProtocol.Value(value.maximum)
    params.cipher_suites.extend(value.ciphers)
    params.ecdh_curves.extend(value.curves)


def _validation(context: tls.CommonTlsContext, value: Validation) -> None:
    if not value.checks and not value.accept_untrusted:
        return
    checks = common.CertificateValidationContext()
    for prefix in value.uri_prefixes:
        _name(checks, common.SubjectAltNameMatcher.URI, string.StringMatcher(prefix=prefix))
    for name in value.exact_names:
        _name(checks, _san_type(name), string.StringMatcher(exact=name))
    checks.verify_certificate_spki.extend(value.spki_pins)
    checks.verify_certificate_hash.extend(value.hash_pins)
    if value.crl_file:
        checks.crl.filename = value.crl_file
    if value.accept_untrusted:
        checks.trust_chain_verification = (
            common.CertificateValidationContext.TrustChainVerification.ACCEPT_UNTRUSTED
        )
    if value.roots is None:
        context.validation_context.CopyFrom(checks)
        return
    combined = context.combined_validation_context
    combined.default_validation_context.CopyFrom(checks)
    combined.validation_context_sds_secret_config.CopyFrom(secret_config(value.roots))


def _san_type(name: str) -> common.SubjectAltNameMatcher.SanType.ValueType:
    if "://" in name:
        return common.SubjectAltNameMatcher.URI
    if "@" in name:
        return common.SubjectAltNameMatcher.EMAIL
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return common.SubjectAltNameMatcher.DNS
    return common.SubjectAltNameMatcher.IP_ADDRESS


def _name(
    checks: common.CertificateValidationContext,
    kind: common.SubjectAltNameMatcher.SanType.ValueType,
    matcher: string.StringMatcher,
) -> None:
    checks.match_typed_subject_alt_names.append(
        common.SubjectAltNameMatcher(san_type=kind, matcher=matcher)
    )


def secret_config(ref: SecretRef) -> secret.SdsSecretConfig:
    """Spell where a secret comes from."""
    made = secret.SdsSecretConfig(name=ref.name)
    config = made.sds_config
    config.resource_api_version = source.ApiVersion.V3
    if ref.source is SecretSource.FILE:
        config.path_config_source.path = _FILES[ref.name]
        config.path_config_source.watched_directory.path = SDS_DIRECTORY
    elif ref.source is SecretSource.ADS:
        config.ads.SetInParent()
    else:
        api = config.api_config_source
        api.api_type = source.ApiConfigSource.GRPC
        api.transport_api_version = source.ApiVersion.V3
        api.set_node_on_first_message_only = True
        api.grpc_services.add().envoy_grpc.cluster_name = _SDS_CLUSTER
        config.initial_fetch_timeout.FromSeconds(0)
    return made
