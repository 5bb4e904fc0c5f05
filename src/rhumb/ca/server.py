"""Istio's certificate signing service over gRPC: `istio.v1.auth.IstioCertificateService`."""

import logging
from collections.abc import Callable
from datetime import timedelta

import grpc
from google.protobuf.json_format import MessageToDict

from rhumb.base.clock import Clock
from rhumb.base.errors import RhumbError
from rhumb.base.tls_front import Peer, TlsFront
from rhumb.ca.active import CertificateAuthority
from rhumb.ca.metrics import CaMetrics
from rhumb.ca.serving import ServingCertificate
from rhumb.ca.sign import Names, Request, RequestError, life_of, parse_request, sign
from rhumb.ca.tokens import TokenBook
from rhumb.identity.authenticate import (
    Credentials,
    Method,
    Principal,
    UnauthenticatedError,
    authenticate,
)
from rhumb.identity.certificates import Certificate
from rhumb.identity.spiffe import SCHEME, SpiffeId
from rhumb.protos.ca_pb2 import IstioCertificateRequest, IstioCertificateResponse

_log = logging.getLogger(__name__)

SERVICE = "istio.v1.auth.IstioCertificateService"
_IMPERSONATED = "ImpersonatedIdentity"


class ForbiddenError(RhumbError):
    """The caller is known, and asks for an identity that is not its own."""


class CertificateService:
    """Issues certificates to callers that prove an identity, for that identity only."""

    def __init__(
        self,
        authority: CertificateAuthority,
        tokens: TokenBook,
        *,
        clock: Clock,
        metrics: CaMetrics,
        peer: Callable[[str], Peer],
    ) -> None:
        """Take `peer` from the TlsFront: it tells who is behind `context.peer()`."""
        self._authority = authority
        self._tokens = tokens
        self._clock = clock
        self._metrics = metrics
        self._peer = peer

    def handler(self) -> grpc.GenericRpcHandler:
        """Return what `grpc.aio.Server.add_generic_rpc_handlers` takes."""
        method = grpc.unary_unary_rpc_method_handler(
            self.create_certificate,
            request_deserializer=IstioCertificateRequest.FromString,
            response_serializer=IstioCertificateResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE, {"CreateCertificate": method})

    async def create_certificate(
        self,
        request: IstioCertificateRequest,
        context: "grpc.aio.ServicerContext[IstioCertificateRequest, IstioCertificateResponse]",
    ) -> IstioCertificateResponse:
        """Answer one call; refusals become gRPC status codes and are logged."""
        peer = self._peer(context.peer())
        credentials = Credentials.of_call(
            peer.certificate, context.invocation_metadata() or (), peer.address
        )
        try:
            chain = self.issue(request, credentials)
        except (RhumbError, OSError) as error:
            code, metric = _verdict(error)
            self._metrics.count(metric)
            _log.warning(
                "certificate refused",
                extra={"code": code.name, "reason": str(error), "address": peer.address},
            )
            hint = getattr(error, "hint", "")
            await context.abort(code, f"{error} ({hint})" if hint else str(error))
            return IstioCertificateResponse()
        return IstioCertificateResponse(cert_chain=chain)

    def issue(self, request: IstioCertificateRequest, credentials: Credentials) -> list[str]:
        """Return the chain for a request, PEM: the leaf, intermediates, all trusted roots as the last.

        Raises UnauthenticatedError, ForbiddenError, RequestError; RhumbError and OSError when the CA
        itself cannot sign.
        """
        self._metrics.count("csr_count")
        now = self._clock.now()
        settings = self._authority.settings
        caller = authenticate(credentials, now=now, trust=settings.trust, tokens=self._tokens)
        asked = parse_request(request.csr)
        self._check_identity(asked, request, caller)
        life = life_of(
            timedelta(seconds=max(request.validity_duration, 0)),
            default=settings.workload_ttl,
            longest=settings.max_workload_ttl,
        )
        if caller.method is Method.JOIN_TOKEN:
            self._tokens.spend(caller.reference, asked.key_digest)
        identity = settings.trust.under_own_name(caller.identity)
        signer = self._authority.signing
        leaf = sign(signer, asked.key, Names.of(identity, asked.peer), now=now, life=life)
        self._authority.note_issued(signer, leaf.not_after)
        self._metrics.count("success_cert_issuance_count")
        self._note(caller, leaf, identity, credentials)
        return [leaf.pem, *(each.pem for each in signer.intermediates), self._authority.bundle.pem]

    def _check_identity(
        self, asked: Request, request: IstioCertificateRequest, caller: Principal
    ) -> None:
        wanted = [uri for uri in asked.uris if uri.startswith(SCHEME)]
        claim = MessageToDict(request.metadata).get(_IMPERSONATED)
        if claim:
            wanted.append(str(claim))
        trust = self._authority.settings.trust
        for uri in wanted:
            try:
                is_own = trust.is_same(SpiffeId.parse(uri), caller.identity)
            except RhumbError:
                is_own = False
            if not is_own:
                raise ForbiddenError(
                    f"{caller.identity} asks for a certificate of {uri}",
                    hint="a workload gets certificates for its own identity only: start it under that "
                    "name, or with a join token for the one it asks for",
                )

    def _note(
        self, caller: Principal, leaf: Certificate, identity: SpiffeId, credentials: Credentials
    ) -> None:
        _log.info(
            "certificate issued",
            extra={
                "identity": identity,
                "by": f"{caller.method} {caller.reference}",
                "serial": leaf.serial,
                "expires": leaf.not_after.isoformat(),
                "address": credentials.address,
            },
        )


def _verdict(error: Exception) -> tuple[grpc.StatusCode, str]:
    if isinstance(error, UnauthenticatedError):
        return grpc.StatusCode.UNAUTHENTICATED, "authentication_failure_count"
    if isinstance(error, ForbiddenError):
        return grpc.StatusCode.PERMISSION_DENIED, "id_extraction_err_count"
    if isinstance(error, RequestError):
        return grpc.StatusCode.INVALID_ARGUMENT, "csr_parsing_err_count"
    # Ours, not the caller's: an expired CA, a full disk. It may come again.
    return grpc.StatusCode.UNAVAILABLE, "csr_sign_err_count"


def tls_front(authority: CertificateAuthority, clock: Clock) -> TlsFront:
    """Return the TLS door for 15012: shows the CA's certificate, asks for the caller's.

    Bind the gRPC server to `front.backend` with `add_insecure_port`, start it, then `front.listen`.
    """
    return TlsFront(ServingCertificate(authority, clock).context)
