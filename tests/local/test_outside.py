"""The way out of the mesh, and the ports that lead into it, while it runs."""

import asyncio
import contextlib
import http.client
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast

import dns.message
import dns.rcode
import dns.rdatatype
import pytest
from tests.local.mesh import Mesh, free_port, needs_namespaces, until

from rhumb.local import addresses, host
from rhumb.local.outside import HOST_NAME, Outside

pytestmark = pytest.mark.timeout(60)


# --- the sockets of the host process -------------------------------------------------------


@contextmanager
def asking(**options: list[tuple[str, int]]) -> Iterator[Outside]:
    """Give the asking end; the other is answered as the host process does it."""
    ours, theirs = socket.socketpair()
    answering = threading.Thread(target=host.serve, args=(theirs,))
    answering.start()
    with ours:
        yield Outside(ours, **options)
    answering.join(5)
    assert not answering.is_alive()
    theirs.close()


@pytest.mark.parametrize("allowed", [True, False])
def test_the_meshs_own_names_are_asked_of_nobody_else(allowed: bool) -> None:
    query = dns.message.make_query("gone.default.svc.cluster.local", "A").to_wire()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        outside = Outside(ours)
        outside.allowed = allowed
        for tcp in (False, True):
            found = asyncio.run(outside.resolve(query, tcp))
            assert found is not None
            assert dns.message.from_wire(found).rcode() is dns.rcode.NXDOMAIN
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)


def test_sockets_come_from_the_host_process_each_to_who_asked() -> None:
    async def run() -> None:
        with asking() as outside:
            outside.start()
            kinds = [
                (family, kind)
                for family in (socket.AF_INET, socket.AF_INET6)
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)
            ] * 5
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(outside.open(*each)) for each in kinds]
                tasks[3].cancel()
            for (family, kind), task in zip(kinds, tasks, strict=True):
                if not task.cancelled():
                    with task.result() as made:
                        assert (made.family, made.type) == (family, kind)
            asyncio.get_running_loop().remove_reader(outside.descriptor)

    asyncio.run(run())


class _Names(asyncio.DatagramProtocol):
    """Answers every query with 192.0.2.7."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = dns.message.make_response(dns.message.from_wire(data))
        name = answer.question[0].name
        answer.answer.append(dns.rrset.from_text(name, 5, "IN", "A", "192.0.2.7"))
        self.transport.sendto(answer.to_wire(), addr)


def test_names_are_asked_of_the_hosts_resolvers() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        server, _ = await loop.create_datagram_endpoint(_Names, local_addr=("127.0.0.1", 0))
        with asking(servers=[server.get_extra_info("sockname")[:2]]) as outside:
            outside.start()

            async def ask(name: str) -> str:
                query = dns.message.make_query(name, dns.rdatatype.A)
                answer = await outside.resolve(query.to_wire(), False)
                return str(dns.message.from_wire(answer).answer[0][0]) if answer else ""

            assert await ask("example.com") == "192.0.2.7"
            assert await ask(HOST_NAME) == addresses.HOST
            outside.allowed = False
            assert await ask("example.com") == ""
            loop.remove_reader(outside.descriptor)
        server.close()

    asyncio.run(run())


# --- a whole mesh --------------------------------------------------------------------------


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"outside {self.headers['host']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(certificate: Path | None = None) -> Iterator[int]:
    """Serve a page on the host's loopback; yield the port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificate")
    made = folder / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", f"/CN={HOST_NAME}"]
    command += ["-addext", f"subjectAltName=DNS:{HOST_NAME}"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(command, check=True, capture_output=True)
    made.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return made


ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: host}
spec:
  hosts: [%(host)s]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{number: %(port)d, name: http, protocol: HTTP}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: out}
spec:
  hosts: [out.example]
  gateways: [gw]
  http: [{route: [{destination: {host: %(host)s, port: {number: %(port)d}}}]}]
"""
FETCH = (
    "import sys, urllib.request as u; "
    "print(u.urlopen(sys.argv[1], timeout=5, cafile=sys.argv[2] if sys.argv[2:] else None).read().decode())"
)


def fetch(mesh: Mesh, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Get a page from inside a workload."""
    return mesh.command("exec", "client", "--", sys.executable, "-c", FETCH, *arguments)


@pytest.mark.e2e
@pytest.mark.netns
@needs_namespaces
class TestWayOut:
    def test_programs_reach_the_hosts_network_by_http(self, mesh: Mesh) -> None:
        with served() as port:
            done = fetch(mesh, f"http://{HOST_NAME}:{port}/")
            assert done.stdout == f"outside {HOST_NAME}:{port}\n", done.stderr

    def test_and_by_tls_end_to_end(self, mesh: Mesh, certificate: Path) -> None:
        with served(certificate) as port:
            done = fetch(mesh, f"https://{HOST_NAME}:{port}/", str(certificate))
            assert done.stdout == f"outside {HOST_NAME}:{port}\n", done.stderr

    def test_nobody_there_is_told_at_once(self, mesh: Mesh) -> None:
        done = fetch(mesh, f"http://{HOST_NAME}:{free_port()}/")
        assert done.returncode == 1
        assert "503" in done.stderr or "Connection" in done.stderr

    def test_a_service_entry_leads_out_of_the_gateway(self, mesh: Mesh) -> None:
        def page() -> bytes:
            connection = http.client.HTTPConnection("127.0.0.1", mesh.port, timeout=10)
            with contextlib.closing(connection):
                connection.request("GET", "/", headers={"host": "out.example"})
                return connection.getresponse().read()

        entry = mesh.home / "mesh" / "entry.yaml"
        with served() as port:
            entry.write_text(ENTRY % {"host": HOST_NAME, "port": port})
            until(lambda: page() == b"outside out.example")
        entry.unlink()

    def test_it_can_be_closed(self, mesh: Mesh) -> None:
        with served() as port:
            mesh.describe(lambda text: text + "outside: false\n")
            mesh.up()
            done = fetch(mesh, f"http://{addresses.HOST}:{port}/")
            assert done.returncode == 1
            assert "outside 100" not in done.stdout
            done = fetch(mesh, f"http://{HOST_NAME}:{port}/")
            assert done.returncode == 1
            mesh.describe()
            mesh.up()
            assert fetch(mesh, f"http://{HOST_NAME}:{port}/").returncode == 0


@pytest.mark.e2e
@pytest.mark.netns
@needs_namespaces
class TestPublishing:
    def test_a_port_more_needs_no_restart(self, mesh: Mesh) -> None:
        before = mesh.pids()
        more = free_port()
        old = mesh.port
        mesh.describe(lambda text: text.replace('publish: ["', f'publish: ["{more}:80", "'))
        mesh.up()
        assert mesh.pids() == before
        mesh.port = more
        assert mesh.get()["name"] == "web-v1"
        mesh.port = old
        assert mesh.get()["name"] == "web-v1"
        mesh.describe()
        mesh.up()
        assert mesh.pids() == before
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", more), 5)

    def test_a_taken_port_is_told_and_changes_nothing(self, mesh: Mesh) -> None:
        with served() as port:
            mesh.describe(lambda text: text.replace('publish: ["', f'publish: ["{port}:80", "'))
            done = mesh.command("up")
            assert done.returncode == 2
            assert f"127.0.0.1:{port}" in done.stderr
            assert f"publish another port in {mesh.file}" in done.stderr
        mesh.describe()
        assert mesh.get()["name"] == "web-v1"
