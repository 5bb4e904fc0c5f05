"""The ports of the control plane: gRPC over TLS and over loopback, each with what is served there."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterable
from datetime import datetime

import grpc
import msgspec

from rhumb.ads.server import Context, Identify
from rhumb.ads.settings import AdsSettings
from rhumb.ads.stream import Caller
from rhumb.base.clock import Clock
from rhumb.base.listeners import port_taken
from rhumb.base.tls_front import TlsFront
from rhumb.identity.authenticate import Credentials, NoTokens, authenticate
from rhumb.identity.certificates import parse_der
from rhumb.identity.trust import TrustDomains

_GRACE_S = 1.0


class Address(msgspec.Struct, frozen=True):
    """Where to listen, and the option that says so."""

    host: str
    port: int
    option: str


def server(settings: AdsSettings, handlers: Iterable[grpc.GenericRpcHandler]) -> grpc.aio.Server:
    """Return a gRPC server with bounds on what clients may do."""
    options = [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_metadata_size", 64 << 10),
        ("grpc.keepalive_time_ms", _ms(settings.keepalive_s)),
        ("grpc.keepalive_timeout_ms", _ms(settings.keepalive_timeout_s)),
        ("grpc.max_connection_age_ms", _ms(settings.max_connection_age_s)),
        ("grpc.max_connection_age_grace_ms", _ms(settings.max_connection_grace_s)),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.so_reuseport", 0),
        # A ping for what was read, to size windows for large requests; there are none.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.enable_channelz", 0),  # 1.5 KB for each connection, and nobody asks
        # Beyond these, gRPC refuses calls at random that come faster than they are begun.
        ("grpc.server.max_pending_requests", settings.max_streams),
        ("grpc.server.max_pending_requests_hard_limit", settings.max_streams),
    ]
    made = grpc.aio.server(options=options)
    made.add_generic_rpc_handlers(tuple(handlers))
    return made


@contextlib.asynccontextmanager
async def secure(made: grpc.aio.Server, front: TlsFront, at: Address) -> AsyncIterator[int]:
    """Serve behind a TLS front while the block runs; yields the port.

    Raises RhumbError when the port is taken.
    """
    made.add_insecure_port(front.backend)
    await made.start()
    try:
        try:
            port = front.listen(at.host, at.port)
        except OSError as error:
            raise port_taken(at.host, at.port, error.strerror or str(error), at.option) from None
        yield port
    finally:
        front.stop_accepting()
        await asyncio.shield(made.stop(_GRACE_S))
        await front.close()


@contextlib.asynccontextmanager
async def plaintext(made: grpc.aio.Server, at: Address) -> AsyncIterator[int]:
    """Serve without TLS while the block runs; yields the port.

    Raises RhumbError when the port is taken.
    """
    try:
        # Tried here first: gRPC prints what it thinks of it, and tells callers little.
        family = socket.AF_INET6 if ":" in at.host else socket.AF_INET
        socket.create_server((at.host, at.port), family=family).close()
        host = f"[{at.host}]" if family is socket.AF_INET6 else at.host
        port = made.add_insecure_port(f"{host}:{at.port}")
    except (OSError, RuntimeError) as error:
        raise port_taken(at.host, at.port, str(error), at.option) from None
    await made.start()
    try:
        yield port
    finally:
        await asyncio.shield(made.stop(_GRACE_S))


def identify(front: TlsFront, trust: TrustDomains, clock: Clock) -> Identify:
    """Return what turns a call into a proved caller: by its certificate, and nothing else."""

    def prove(context: Context) -> Caller:
        peer = front.peer(context.peer())
        proved = authenticate(
            Credentials.of_call(peer.certificate, (), peer.address),
            now=clock.now(),
            trust=trust,
            tokens=NoTokens(),
        )
        return Caller(
            identity=str(proved.identity),
            namespace=proved.identity.namespace,
            service_account=proved.identity.service_account,
            issued=_text(parse_der(peer.certificate).not_before),
            expires=_text(proved.expires),
            address=peer.address,
        )

    return prove


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
