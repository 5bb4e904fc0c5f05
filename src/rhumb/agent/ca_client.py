"""Asks the CA for certificates over gRPC, with the server verified against pinned roots."""

from datetime import timedelta
from typing import Protocol

import grpc

from rhumb.agent.sds import KeyPair
from rhumb.base.errors import RhumbError
from rhumb.protos.ca_pb2 import IstioCertificateRequest, IstioCertificateResponse

_METHOD = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
_REFUSALS = frozenset(
    (
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.INVALID_ARGUMENT,
    )
)


class RefusedError(RhumbError):
    """The CA was reached and said no: asking again in the same way is no use."""


class Signer(Protocol):
    """What a CertificateKeeper needs of a CA."""

    async def issue(
        self,
        request: str,
        *,
        life: timedelta,
        roots: str,
        pair: KeyPair | None = None,
        token: str = "",
    ) -> tuple[str, ...]:
        """Send a signing request (PEM), proved by key and certificate or by a join token.

        roots: PEM that the CA's server is verified against. Returns PEM texts: the leaf,
        intermediates, and all roots as the last one. Raises RefusedError; RhumbError when the CA
        cannot be reached or cannot sign now.
        """
        ...


class CaClient:
    """Istio's CreateCertificate; a connection for each call, since calls are hours apart."""

    def __init__(self, address: str, *, server_name: str, timeout_s: float = 10.0) -> None:
        """Take HOST:PORT, and the DNS name that the server's certificate must carry."""
        self._address = address
        self._server_name = server_name
        self._timeout_s = timeout_s

    async def issue(
        self,
        request: str,
        *,
        life: timedelta,
        roots: str,
        pair: KeyPair | None = None,
        token: str = "",
    ) -> tuple[str, ...]:
        """Send a signing request; see Signer."""
        credentials = grpc.ssl_channel_credentials(
            roots.encode(),
            pair.key.encode() if pair else None,
            pair.chain.encode() if pair else None,
        )
        options = (
            ("grpc.ssl_target_name_override", self._server_name),
            ("grpc.default_authority", self._server_name),
            ("grpc.enable_http_proxy", 0),
            # Another identity's connection must never be taken over.
            ("grpc.use_local_subchannel_pool", 1),
        )
        message = IstioCertificateRequest(csr=request, validity_duration=int(life.total_seconds()))
        metadata = (("authorization", f"Bearer {token}"),) if token else None
        try:
            async with grpc.aio.secure_channel(self._address, credentials, options) as channel:
                call = channel.unary_unary(
                    _METHOD,
                    request_serializer=IstioCertificateRequest.SerializeToString,
                    response_deserializer=IstioCertificateResponse.FromString,
                )
                answer = await call(message, timeout=self._timeout_s, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise self._explained(error) from error
        return tuple(answer.cert_chain)

    def _explained(self, error: grpc.aio.AioRpcError) -> RhumbError:
        text = f"CA at {self._address}: {error.code().name.lower()}: {error.details()}"
        if error.code() in _REFUSALS:
            return RefusedError(text)
        hint = "is the control plane up, and the root certificate its own?"
        return RhumbError(text, hint=hint if error.code() is grpc.StatusCode.UNAVAILABLE else "")
