"""The signing service over real gRPC and TLS, as agents meet it."""

import asyncio
import logging
import socket
import ssl
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from google.protobuf.json_format import ParseDict

from rhumb.agent.ca_client import CaClient, RefusedError
from rhumb.agent.sds import KeyPair
from rhumb.base.clock import SystemClock
from rhumb.base.errors import RhumbError
from rhumb.ca.rotation import Phase
from rhumb.ca.settings import CaSettings
from rhumb.identity.authenticate import Credentials
from rhumb.identity.certificates import parse_chain
from rhumb.identity.trust import TrustBundle
from rhumb.protos.ca_pb2 import IstioCertificateRequest
from rhumb.testing.ca import RunningCa, running_ca

CLOCK = SystemClock()
CART = "spiffe://cluster.local/ns/shop/sa/cart"
VAULT = "spiffe://cluster.local/ns/bank/sa/vault"


def _key() -> tuple[ec.EllipticCurvePrivateKey, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    return key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _request(key: ec.EllipticCurvePrivateKey, uri: str = CART) -> str:
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
    builder = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(names, critical=True)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def _token(ca: RunningCa, account: str = "cart") -> str:
    return ca.tokens.create(namespace="shop", service_account=account, now=CLOCK.now())


def _client(ca: RunningCa) -> CaClient:
    return CaClient(ca.address, server_name="istiod.istio-system.svc")


async def _join(ca: RunningCa) -> KeyPair:
    key, secret = _key()
    chain = await _client(ca).issue(
        _request(key), life=timedelta(), roots=ca.authority.bundle.pem, token=_token(ca)
    )
    return KeyPair(secret, "".join(chain[:-1]))


def test_a_token_gets_a_certificate_and_that_certificate_the_next(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_ca(tmp_path, CLOCK) as ca:
            pair = await _join(ca)
            first = parse_chain(pair.chain)[0]
            assert str(first.identity) == CART
            assert timedelta(hours=23) < first.remaining(CLOCK.now()) <= timedelta(hours=24)
            key, _ = _key()
            chain = await _client(ca).issue(
                _request(key), life=timedelta(hours=2), roots=ca.authority.bundle.pem, pair=pair
            )
            leaf = parse_chain(chain[0])[0]
            assert str(leaf.identity) == CART
            assert leaf.remaining(CLOCK.now()) <= timedelta(hours=2)
            assert TrustBundle.parse(chain[-1]) == ca.authority.bundle
            assert ca.metrics["success_cert_issuance_count"] == 2

    asyncio.run(scenario())


def test_a_workload_that_asks_for_anothers_identity_is_refused_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with running_ca(tmp_path, CLOCK) as ca:
            pair, roots = await _join(ca), ca.authority.bundle.pem
            key, _ = _key()
            with pytest.raises(
                RefusedError, match=f"permission_denied: {CART} asks for a certificate of {VAULT}"
            ):
                await _client(ca).issue(
                    _request(key, VAULT), life=timedelta(), roots=roots, pair=pair
                )
            token = _token(ca)
            with pytest.raises(RefusedError, match="permission_denied"):
                await _client(ca).issue(
                    _request(key, VAULT), life=timedelta(), roots=roots, token=token
                )
            # The refused attempt has not spent the token.
            await _client(ca).issue(_request(key), life=timedelta(), roots=roots, token=token)
            assert ca.metrics["id_extraction_err_count"] == 2

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    refusals = [r for r in caplog.records if r.message == "certificate refused"]
    assert [r.__dict__["code"] for r in refusals] == ["PERMISSION_DENIED"] * 2
    assert VAULT in refusals[0].__dict__["reason"]
    assert refusals[0].__dict__["address"].startswith("127.0.0.1:")


def test_impersonation_is_not_offered(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_ca(tmp_path, CLOCK) as ca:
            request = IstioCertificateRequest(csr=_request(_key()[0]))
            ParseDict({"ImpersonatedIdentity": VAULT}, request.metadata)
            with pytest.raises(RhumbError, match="asks for a certificate of"):
                ca.service.issue(request, Credentials(authorization=f"Bearer {_token(ca)}"))

    asyncio.run(scenario())


def test_a_stolen_or_spent_token_is_refused_even_after_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with running_ca(tmp_path, CLOCK) as ca:
            token, (key, _) = _token(ca), _key()
            roots = ca.authority.bundle.pem
            for _ in range(2):  # the same key may repeat itself
                await _client(ca).issue(_request(key), life=timedelta(), roots=roots, token=token)
        async with running_ca(tmp_path, CLOCK) as ca:
            thief, _ = _key()
            with pytest.raises(RefusedError, match="used already, by another key"):
                await _client(ca).issue(_request(thief), life=timedelta(), roots=roots, token=token)
            assert ca.metrics["authentication_failure_count"] == 1

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert any(r.message == "certificate refused" for r in caplog.records)


def test_who_proves_nothing_gets_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_ca(tmp_path, CLOCK) as ca:
            roots = ca.authority.bundle.pem
            key, _ = _key()
            with pytest.raises(RefusedError, match="no certificate and no token"):
                await _client(ca).issue(_request(key), life=timedelta(), roots=roots)
            with pytest.raises(RefusedError, match="not a join token"):
                await _client(ca).issue(_request(key), life=timedelta(), roots=roots, token="guess")
            with pytest.raises(RefusedError, match="does not parse"):
                await _client(ca).issue("rubbish", life=timedelta(), roots=roots, token=_token(ca))
            with pytest.raises(RefusedError, match="longest allowed"):
                await _client(ca).issue(
                    _request(key), life=timedelta(days=1000), roots=roots, token=_token(ca)
                )

    asyncio.run(scenario())


def test_a_certificate_of_another_ca_does_not_pass_the_door(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            running_ca(tmp_path / "a", CLOCK) as ours,
            running_ca(tmp_path / "b", CLOCK) as theirs,
        ):
            foreign = await _join(theirs)
            with pytest.raises(RhumbError, match="unavailable"):
                await _client(ours).issue(
                    _request(_key()[0]),
                    life=timedelta(),
                    roots=ours.authority.bundle.pem,
                    pair=foreign,
                )
            with pytest.raises(
                RhumbError, match="unavailable"
            ):  # nor does our client trust their server
                await _client(theirs).issue(
                    _request(_key()[0]),
                    life=timedelta(),
                    roots=ours.authority.bundle.pem,
                    token="x",
                )

    asyncio.run(scenario())


def test_nobody_is_refused_while_the_root_is_rotated(tmp_path: Path) -> None:
    """Every renewal succeeds with only what the caller learned so far; old and new never fail to meet."""

    async def scenario() -> None:
        async with running_ca(tmp_path, CLOCK) as ca:
            now = CLOCK.now()
            awake, sleeper = await _join(ca), await _join(ca)
            roots = slept_roots = ca.authority.bundle.pem

            async def renew(pair: KeyPair, roots: str) -> tuple[KeyPair, str]:
                key, secret = _key()
                chain = await _client(ca).issue(
                    _request(key), life=timedelta(), roots=roots, pair=pair
                )
                return KeyPair(secret, "".join(chain[:-1])), chain[-1]

            ca.authority.rotate(now)
            awake, roots = await renew(awake, roots)
            ca.authority.advance(now)
            assert ca.authority.state.phase is Phase.SIGNING
            awake, roots = await renew(awake, roots)
            # Who slept since before the rotation still trusts the server, and learns the new root.
            _, learned = await renew(sleeper, slept_roots)
            assert len(TrustBundle.parse(learned).roots) == 2
            ca.authority.advance(now)
            awake, roots = await renew(awake, roots)
            assert len(TrustBundle.parse(roots).roots) == 1

    asyncio.run(scenario())


def test_a_disk_that_is_full_issues_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async def scenario() -> None:
        async with running_ca(tmp_path, CLOCK) as ca:
            token, roots, (key, _) = _token(ca), ca.authority.bundle.pem, _key()
            await _join(ca)  # so that the door has its certificate already
            with monkeypatch.context() as patch:
                patch.setattr("rhumb.base.files.os.fsync", full)
                with pytest.raises(RhumbError, match="No space"):
                    await _client(ca).issue(
                        _request(key), life=timedelta(), roots=roots, token=token
                    )
            await _client(ca).issue(_request(key), life=timedelta(), roots=roots, token=token)

    asyncio.run(scenario())


def test_the_door_takes_big_messages_and_rude_callers(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_ca(tmp_path, CLOCK) as ca:
            host, _, port = ca.address.rpartition(":")
            rude = [socket.create_connection((host, int(port))) for _ in range(20)]
            for index, connection in enumerate(rude):
                connection.sendall(b"GET / HTTP/1.1\r\n\r\n" if index % 2 else b"\x16")
                connection.close()
            await asyncio.wait_for(_join(ca), 10)
            credentials = grpc.ssl_channel_credentials(ca.authority.bundle.pem.encode())
            async with grpc.aio.secure_channel(ca.address, credentials) as channel:
                call = channel.unary_unary(
                    "/istio.v1.auth.IstioCertificateService/CreateCertificate"
                )
                big = IstioCertificateRequest(csr="x" * 3_000_000).SerializeToString()
                with pytest.raises(grpc.aio.AioRpcError) as refusal:
                    await call(big, metadata=(("authorization", f"Bearer {_token(ca)}"),))
                assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    asyncio.run(scenario())


def test_the_serving_certificate_is_renewed_for_the_next_handshake(tmp_path: Path) -> None:
    async def scenario() -> None:
        settings = CaSettings(
            directory=tmp_path, serving_names=("mesh.example",), serving_addresses=("127.0.0.1",)
        )
        async with running_ca(settings, CLOCK) as ca:
            first = await _shown(ca)
            assert await _shown(ca) == first
            assert parse_chain(first)[0].dns_names == ("mesh.example",)
            assert parse_chain(first)[0].addresses == ("127.0.0.1",)
            ca.authority.rotate(CLOCK.now())
            ca.authority.advance(CLOCK.now())
            ca.authority.advance(CLOCK.now())
            assert await _shown(ca) != first
            assert not list(ca.authority.store.serving.iterdir())  # no key stays on the disk

    asyncio.run(scenario())


async def _shown(ca: RunningCa) -> str:
    host, _, port = ca.address.rpartition(":")
    return await asyncio.to_thread(ssl.get_server_certificate, (host, int(port)))
