"""How a cluster speaks TLS: what a DestinationRule says, else automatic mutual TLS."""

from collections.abc import Sequence

import msgspec

from rhumb.ir.cluster import HttpVersion
from rhumb.ir.tls import (
    SecretRef,
    SecretSource,
    TlsParameters,
    UpstreamTls,
    Validation,
)
from rhumb.model.endpoint import Endpoint
from rhumb.model.kinds.destination_rule import ClientTls, ClientTlsMode, DestinationRule
from rhumb.model.proxy import Role
from rhumb.model.service import Registry, Service
from rhumb.model.tls_names import usable_ciphers, usable_curves
from rhumb.snapshot.snapshot import Mesh
from rhumb.snapshot.view import View
from rhumb.translate import names

_HTTP1 = ("istio-http/1.1", "istio", "http/1.1")
_HTTP2 = ("istio-h2", "istio", "h2")
_TCP = ("istio",)
"""Offered to sidecars. Never `istio-peer-exchange`: that promises a preamble stock Envoy cannot send."""


_PARAMETERS = TlsParameters(minimum="TLSv1_2", maximum="TLSv1_3")
"""Envoy's own maximum for clients is 1.2."""


def workload_secret(view: View, name: str) -> SecretRef:
    """Return the workload's own certificate or its roots, from where this proxy has them."""
    source = SecretSource.FILE if view.capabilities.file_sds else SecretSource.AGENT
    return SecretRef(name, source)


def file_secret(view: View, name: names.FileCertificate | names.FileRoot) -> SecretRef:
    """Return a secret whose content is in files on the proxy's disk.

    Istio's own agents read them; to ours the control plane names them.
    """
    source = SecretSource.ADS if view.capabilities.file_sds else SecretSource.AGENT
    return SecretRef(str(name), source)


def file_validation(view: View, path: str, revoked: str, exact: tuple[str, ...]) -> Validation:
    """Return the checks by CA certificates on the proxy's disk."""
    brings_list = view.capabilities.file_sds
    return Validation(
        roots=file_secret(view, names.FileRoot(path, revoked if brings_list else "")),
        exact_names=exact,
        crl_file="" if brings_list else revoked,
    )


def alpn(version: HttpVersion | None) -> tuple[str, ...]:
    """Return the protocols to offer to a sidecar; with the client's own protocol a filter adds them."""
    if version is HttpVersion.HTTP1:
        return _HTTP1
    return _HTTP2 if version is HttpVersion.HTTP2 else _TCP


def accounts(mesh: Mesh, service: Service, endpoints: Sequence[Endpoint]) -> tuple[str, ...]:
    """Return the identities that a service's endpoints may prove, in every trusted domain."""
    found = set(service.subject_alt_names)
    for endpoint in endpoints:
        workload = endpoint.workload
        if workload.service_account:
            for domain in (mesh.trust_domain, *mesh.trust_domain_aliases):
                found.add(
                    f"spiffe://{domain}/ns/{workload.namespace}/sa/{workload.service_account}"
                )
    return tuple(sorted(found))


def automatic(
    view: View,
    name: names.OutboundCluster,
    identities: tuple[str, ...],
    version: HttpVersion | None,
) -> UpstreamTls:
    """Return the context for endpoints that have a sidecar."""
    return _mesh(view, name, identities, version, "")


def _mesh(
    view: View,
    name: names.OutboundCluster,
    identities: tuple[str, ...],
    version: HttpVersion | None,
    sni: str,
) -> UpstreamTls:
    return UpstreamTls(
        certificates=(workload_secret(view, names.WORKLOAD_SECRET),),
        validation=Validation(
            roots=workload_secret(view, names.ROOT_SECRET), exact_names=identities
        ),
        sni=sni or str(name.sni),
        alpn=alpn(version),
        parameters=_PARAMETERS,
    )


def proven(service: Service, said: ClientTls, identities: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of which a peer must prove one: the rule's, else those that the mesh knows.

    A certificate that is not the mesh's names no identity of the mesh; only a ServiceEntry says what
    else it names.
    """
    known = said.mode is ClientTlsMode.ISTIO_MUTUAL or service.registry is Registry.EXTERNAL
    return said.subject_alt_names or (identities if known else ())


def explicit(
    mesh: Mesh,
    view: View,
    name: names.OutboundCluster,
    said: ClientTls,
    peers: tuple[str, ...],
    version: HttpVersion | None,
) -> UpstreamTls | None:
    """Return the context that a DestinationRule asks for; None for mode DISABLE.

    Unless the rule names its peers itself, their certificate must also be for the host of the request.
    """
    if said.mode is ClientTlsMode.DISABLE:
        return None
    if said.mode is ClientTlsMode.ISTIO_MUTUAL:
        return _mesh(view, name, peers, version, said.sni)
    certificates: tuple[SecretRef, ...] = ()
    if said.mode is ClientTlsMode.MUTUAL:
        if said.credential_name:
            certificates = (_credential(said.credential_name),)
        else:
            pair = names.FileCertificate(said.client_certificate, said.private_key)
            certificates = (file_secret(view, pair),)
    auto_sni = not said.sni and version is not None
    return UpstreamTls(
        certificates=certificates,
        validation=_validation(view, said, peers),
        sni=said.sni,
        auto_sni=auto_sni,
        auto_san=auto_sni and not said.subject_alt_names and not said.insecure_skip_verify,
        alpn=("h2",) if version is HttpVersion.HTTP2 else (),
        parameters=_parameters(mesh),
    )


def _parameters(mesh: Mesh) -> TlsParameters:
    """Return what MeshConfig's tlsDefaults say of TLS that is not between workloads."""
    said = mesh.config.tls_defaults
    if said is None:
        return _PARAMETERS
    return msgspec.structs.replace(
        _PARAMETERS,
        ciphers=usable_ciphers(said.cipher_suites),
        curves=usable_curves(said.ecdh_curves),
    )


def is_withheld(view: View, rule: DestinationRule | None, said: ClientTls) -> bool:
    """Tell whether a rule's credential is not for this proxy.

    A credential that is named by a rule for everybody is for gateways alone: other workloads may not
    read it. Their connections go without TLS (Istio: buildUpstreamClusterTLSContext).
    """
    selects = rule is not None and rule.workload_selector is not None
    return (
        bool(said.credential_name)
        and not said.credential_name.startswith("configmap://")
        and said.mode in (ClientTlsMode.SIMPLE, ClientTlsMode.MUTUAL)
        and view.role is Role.SIDECAR
        and not selects
    )


def _validation(view: View, said: ClientTls, exact: tuple[str, ...]) -> Validation:
    if said.insecure_skip_verify:
        return Validation()
    if said.credential_name:
        return Validation(
            roots=_credential(said.credential_name + names.CA_SUFFIX), exact_names=exact
        )
    return file_validation(view, said.ca_certificates or names.SYSTEM_ROOTS, said.ca_crl, exact)


def _credential(name: str) -> SecretRef:
    text = name if name.startswith(("kubernetes://", "configmap://")) else f"kubernetes://{name}"
    return SecretRef(text, SecretSource.ADS)
