"""Who is calling: a peer certificate or a join token becomes a Principal. Looks nothing up by itself."""

import enum
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

import msgspec

from rhumb.base.errors import RhumbError
from rhumb.identity.certificates import parse_der
from rhumb.identity.spiffe import SpiffeId
from rhumb.identity.trust import TrustDomains

_BEARER = "bearer "


class UnauthenticatedError(RhumbError):
    """The caller proved no identity; the text says what was wrong with each proof offered."""


class Method(enum.StrEnum):
    """How an identity was proved."""

    CERTIFICATE = "certificate"
    JOIN_TOKEN = "join-token"  # noqa: S105 - the name of a method


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller brought with a call.

    certificate: DER of the peer's leaf, whose chain the TLS stack has verified; b"" for none.
    authorization: the `authorization` header as sent; "" for none.
    """

    certificate: bytes = b""
    authorization: str = ""
    address: str = ""
    """Where the call came from, for logs."""

    @classmethod
    def of_call(
        cls, certificate: bytes, metadata: Iterable[tuple[str, str | bytes]], address: str = ""
    ) -> "Credentials":
        """Take the proofs from a gRPC call: verified peer certificate and invocation metadata."""
        said = [
            value for key, value in metadata if key == "authorization" and isinstance(value, str)
        ]
        return cls(
            certificate=certificate,
            authorization=said[0] if len(said) == 1 else "",
            address=address,
        )


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """A proved identity."""

    identity: SpiffeId
    method: Method
    reference: str
    """Serial number of the certificate, or id of the join token: safe to log."""
    expires: datetime
    """When the proof ends; a stream that was opened with it should not outlive it by much."""


class TokenGrant(msgspec.Struct, frozen=True, kw_only=True):
    """What a valid join token stands for."""

    id: str
    namespace: str
    service_account: str
    expires: datetime


class TokenVerifier(Protocol):
    """Checks join tokens; implemented by rhumb.ca.tokens."""

    def verify(self, token: str, now: datetime) -> TokenGrant:
        """Return what the token grants, without spending it.

        Raises UnauthenticatedError when it is unknown, expired or spent.
        """
        ...


class NoTokens:
    """For doors that take certificates only, such as xDS."""

    def verify(self, token: str, now: datetime) -> TokenGrant:
        """Refuse every token."""
        raise UnauthenticatedError(
            "join tokens are not accepted here", hint="get a certificate from the CA first"
        )


def authenticate(
    credentials: Credentials,
    *,
    now: datetime,
    trust: TrustDomains,
    tokens: TokenVerifier,
) -> Principal:
    """Turn what a caller brought into a Principal: certificate first, then token (Istio's order).

    Raises UnauthenticatedError with the reason when nothing proves an identity.
    """
    reasons: list[str] = []
    hint = "present a mesh certificate, or `authorization: Bearer JOIN_TOKEN`"
    if credentials.certificate:
        try:
            return _by_certificate(credentials.certificate, now, trust)
        except RhumbError as error:
            reasons.append(str(error))
    if credentials.authorization:
        try:
            return _by_token(credentials.authorization, now, trust, tokens)
        except RhumbError as error:
            reasons.append(str(error))
            hint = error.hint or hint
    raise UnauthenticatedError("; ".join(reasons) or "no certificate and no token", hint=hint)


def _by_certificate(der: bytes, now: datetime, trust: TrustDomains) -> Principal:
    certificate = parse_der(der)
    if certificate.is_authority:
        raise RhumbError("the certificate is an authority's, not a workload's")
    if not certificate.is_valid(now):
        raise RhumbError(
            f"the certificate's life is {certificate.not_before} to {certificate.not_after}, not now"
        )
    identity = certificate.identity
    if not trust.trusts(identity):
        raise RhumbError(f"trust domain {identity.trust_domain} is not of this mesh ({trust.own})")
    return Principal(
        identity=identity,
        method=Method.CERTIFICATE,
        reference=certificate.serial,
        expires=certificate.not_after,
    )


def _by_token(header: str, now: datetime, trust: TrustDomains, tokens: TokenVerifier) -> Principal:
    if not header.lower().startswith(_BEARER):
        raise RhumbError("the authorization header is not `Bearer TOKEN`")
    grant = tokens.verify(header[len(_BEARER) :].strip(), now)
    return Principal(
        identity=SpiffeId.of(trust.own, grant.namespace, grant.service_account),
        method=Method.JOIN_TOKEN,
        reference=grant.id,
        expires=grant.expires,
    )
