"""A running CA on an ephemeral port, as the control plane serves it, and certificates without asking it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import grpc
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from prometheus_client.registry import CollectorRegistry

from rhumb.base.clock import Clock, SystemClock
from rhumb.base.tls_front import TlsFront
from rhumb.ca.active import CertificateAuthority
from rhumb.ca.authority import Authority
from rhumb.ca.metrics import CaMetrics
from rhumb.ca.server import CertificateService, tls_front
from rhumb.ca.settings import CaSettings
from rhumb.ca.sign import Names, sign
from rhumb.ca.tokens import TokenBook


class RunningCa(msgspec.Struct, frozen=True, eq=False):
    """What a test may want of it."""

    address: str
    authority: CertificateAuthority
    tokens: TokenBook
    metrics: CaMetrics
    front: TlsFront
    service: CertificateService


@asynccontextmanager
async def running_ca(settings: CaSettings | Path, clock: Clock) -> AsyncIterator[RunningCa]:
    """Serve a CA on 127.0.0.1 until the block ends."""
    if isinstance(settings, Path):
        settings = CaSettings(directory=settings)
    authority = CertificateAuthority(settings)
    authority.open(clock.now())
    tokens = TokenBook(authority.store.tokens)
    metrics = CaMetrics(CollectorRegistry(), authority, clock)
    front = tls_front(authority, clock)
    service = CertificateService(authority, tokens, clock=clock, metrics=metrics, peer=front.peer)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((service.handler(),))
    server.add_insecure_port(front.backend)
    await server.start()
    port = front.listen("127.0.0.1", 0)
    try:
        yield RunningCa(f"127.0.0.1:{port}", authority, tokens, metrics, front, service)
    finally:
        front.stop_accepting()
        await server.stop(None)
        await front.close()


def signed(authority: Authority, names: Names) -> tuple[bytes, bytes]:
    """Return a new key and a certificate for it, good for an hour; both PEM."""
    key, now = ec.generate_private_key(ec.SECP256R1()), SystemClock().now()
    leaf = sign(authority, key.public_key(), names, now=now, life=timedelta(hours=1))
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return secret, leaf.pem.encode()
