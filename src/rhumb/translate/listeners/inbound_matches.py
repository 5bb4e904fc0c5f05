"""Which connections an inbound port takes, by mutual TLS mode and protocol."""

import msgspec

from rhumb.ir.match import Transport
from rhumb.model.service import Protocol
from rhumb.snapshot.snapshot import MtlsMode

MTLS_HTTP = ("istio-http/1.0", "istio-http/1.1", "istio-h2")
"""ALPN by which Istio's proxies announce HTTP inside mutual TLS ..."""
MTLS_TCP = ("istio-peer-exchange", "istio")
"""... and anything else."""
MTLS_ANY = ("istio-peer-exchange", "istio", *MTLS_HTTP)
PLAIN_HTTP = ("http/1.0", "http/1.1", "h2c")
"""What the HTTP inspector finds in plain text."""


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of connection that is taken."""

    http: bool
    transport: Transport
    protocols: tuple[str, ...] = ()
    decrypts: bool = False
    """TLS ends here; False with TLS: it is handed to the application as it is."""


_STRICT_HTTP = (Offer(http=True, transport=Transport.TLS, decrypts=True),)
_STRICT_TCP = (Offer(http=False, transport=Transport.TLS, decrypts=True),)
_STRICT_AUTO = (
    Offer(http=True, transport=Transport.TLS, protocols=MTLS_HTTP, decrypts=True),
    *_STRICT_TCP,
)
_PLAIN_HTTP = (Offer(http=True, transport=Transport.RAW),)
_PLAIN_TCP = (Offer(http=False, transport=Transport.RAW),)
_PLAIN_AUTO = (
    Offer(http=True, transport=Transport.RAW, protocols=PLAIN_HTTP),
    *_PLAIN_TCP,
)
_APPLICATION_TLS = Offer(http=False, transport=Transport.TLS)
_PERMISSIVE_HTTP = (
    Offer(http=True, transport=Transport.TLS, protocols=MTLS_ANY, decrypts=True),
    *_PLAIN_HTTP,
)
_PERMISSIVE_TCP = (
    Offer(http=False, transport=Transport.TLS, protocols=MTLS_ANY, decrypts=True),
    _APPLICATION_TLS,
    *_PLAIN_TCP,
)
_PERMISSIVE_AUTO = (
    Offer(http=True, transport=Transport.TLS, protocols=MTLS_HTTP, decrypts=True),
    Offer(http=True, transport=Transport.RAW, protocols=PLAIN_HTTP),
    Offer(http=False, transport=Transport.TLS, protocols=MTLS_TCP, decrypts=True),
    *_PLAIN_TCP,
    _APPLICATION_TLS,
)

_HTTP = {
    MtlsMode.STRICT: _STRICT_HTTP,
    MtlsMode.PERMISSIVE: _PERMISSIVE_HTTP,
    MtlsMode.DISABLE: _PLAIN_HTTP,
}
_TCP = {
    MtlsMode.STRICT: _STRICT_TCP,
    MtlsMode.PERMISSIVE: _PERMISSIVE_TCP,
    MtlsMode.DISABLE: _PLAIN_TCP,
}
_AUTO = {
    MtlsMode.STRICT: _STRICT_AUTO,
    MtlsMode.PERMISSIVE: _PERMISSIVE_AUTO,
    MtlsMode.DISABLE: _PLAIN_AUTO,
}


def offers(mode: MtlsMode, protocol: Protocol) -> tuple[Offer, ...]:
    """Return what a port takes."""
    if protocol.is_http:
        return _HTTP[mode]
    return _AUTO[mode] if protocol is Protocol.AUTO else _TCP[mode]


def terminated(protocol: Protocol) -> Protocol:
    """Return what is inside once TLS ends: HTTPS carries HTTP, TLS carries TCP."""
    if protocol is Protocol.HTTPS:
        return Protocol.HTTP
    return Protocol.TCP if protocol is Protocol.TLS else protocol
