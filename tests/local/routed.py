"""A mesh for traffic: two versions of a service in two regions, a caller, and a gateway with TLS."""

import http.client
import json
import socket
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
from tests.local.certificates import Authority, secret, spki
from tests.local.mesh import SERVE, Json, Mesh, free_port

APP = (
    """
import json, os
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        asked = {k.lower(): ",".join(self.headers.get_all(k)) for k in self.headers}
        if "x-call" in asked:
            return self.call(asked)
        said = {"name": os.environ["NAME"], "path": self.path, "method": self.command, "headers": asked}
        sick = os.path.exists("sick-" + os.environ["NAME"])
        self.tell(503 if sick else int(asked.get("x-status", 200)), said)

    def call(self, asked):
        wanted = json.loads(asked["x-call"])
        connection = HTTPConnection(wanted["host"], wanted.get("port", 80), timeout=8)
        connection.request("GET", self.path, headers=wanted.get("headers", {}))
        got = connection.getresponse()
        self.tell(200, {"status": got.status, "headers": dict(got.getheaders()), "body": got.read().decode()})

    def tell(self, status, said):
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Own", "app")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_OPTIONS = do_POST = answer
"""
    + SERVE
)
DESCRIPTION = """
services:
  web:
    ports: [{{name: http, port: 80, targetPort: 8000}}]
    command: [{python}, {directory}/app.py]
    versions:
      v1: {{environment: {{NAME: web-v1}}, labels: {{istio-locality: east.1}}}}
      v2: {{environment: {{NAME: web-v2}}, labels: {{istio-locality: west.1}}}}
  client:
    ports: [{{name: http, port: 80, targetPort: 8001}}]
    command: [{python}, {directory}/app.py]
    environment: {{NAME: client}}
    labels: {{istio-locality: east.1}}
gateways:
  ingressgateway:
    publish: ["{port}:80", "{tls}:443", "{through}:15443"]
config: mesh
"""
NAMES = ("joe", "jane")
ROUTES = Path(__file__).with_name("traffic.yaml")


class Answer(msgspec.Struct):
    """What a client got."""

    status: int
    headers: dict[str, str]
    body: str

    @property
    def said(self) -> Json:
        """Return what the application says that it received."""
        found: Json = json.loads(self.body)
        return found


class Routed(Mesh):
    """Two versions of a service in two regions, a caller, and a gateway with TLS."""

    def __init__(self) -> None:
        super().__init__()
        self.tls_port, self.through = free_port(), free_port()
        self.authority = Authority("servers")
        self.clients = Authority("clients")
        (self.home / "app.py").write_text(APP)
        (self.home / "mesh" / "routes.yaml").unlink()
        self.joe, self.jane = (self.clients.files(self.home, n, f"{n}.example.com") for n in NAMES)
        known = Path(self.joe[0]).read_bytes()
        routes = ROUTES.read_text().replace("HOME", str(self.home)).replace("PIN", spki(known))
        (self.home / "mesh" / "gateway.yaml").write_text(routes)
        (self.home / "files").mkdir()
        self.authority.files(self.home / "files", "tls", "files.example.com")
        self.certify("one.example.com")
        certificate, key = self.authority.issue("*.many.example.com")
        ca = secret("many-cert-cacert", cacert=self.clients.pem)
        self.write("many.yaml", f"{secret('many-cert', cert=certificate, key=key)}---\n{ca}")
        revoked = self.clients.revoke(Path(self.jane[0]).read_bytes())
        server = {"cert": certificate, "key": key}
        both = secret("listed-cert", **server, cacert=self.clients.pem, crl=revoked)
        self.write("listed.yaml", both)
        self.file.write_text(
            DESCRIPTION.format(
                python=sys.executable,
                directory=self.home,
                port=self.port,
                tls=self.tls_port,
                through=self.through,
            )
        )

    def certify(self, name: str) -> None:
        """Write a new certificate for the host that SNI `one.example.com` leads to."""
        certificate, key = self.authority.issue(name, "one.example.com")
        self.write("one.yaml", secret("one-cert", tls_crt=certificate, tls_key=key))

    def ask(
        self,
        path: str = "/",
        *,
        host: str = "web.example.com",
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask the gateway in plain text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        return _ask(connection, path, host, method, headers)

    def call(self, path: str, host: str = "web", port: int = 80, **headers: str) -> Answer:
        """Let the client call a service of the mesh."""
        spelled = {name.replace("_", "-"): value for name, value in headers.items()}
        wanted = json.dumps({"host": host, "port": port, "headers": spelled})
        found = self.ask(path, host="client.example.com", headers={"x-call": wanted})
        if found.status != 200:  # the client had nobody to ask
            return found
        return msgspec.json.decode(found.body, type=Answer)

    def secure(self, name: str, *, certificate: tuple[str, str] | None = None) -> ssl.SSLSocket:
        """Connect to the gateway with TLS, SNI and the name to check being `name`."""
        context = ssl.create_default_context(cadata=self.authority.pem.decode())
        if certificate is not None:
            context.load_cert_chain(*certificate)
        plain = socket.create_connection(("127.0.0.1", self.tls_port), timeout=10)
        return context.wrap_socket(plain, server_hostname=name)


def _ask(
    connection: http.client.HTTPConnection,
    path: str,
    host: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    try:
        connection.request(method, path, headers={"Host": host, **(headers or {})})
        got = connection.getresponse()
        found = {name.lower(): value for name, value in got.getheaders()}
        return Answer(got.status, found, got.read().decode())
    finally:
        connection.close()


def over(made: ssl.SSLSocket, host: str, path: str = "/") -> Answer:
    """Ask on a connection that is there, and leave it open."""
    connection = http.client.HTTPConnection(host)
    connection.sock = made
    connection.request("GET", path, headers={"Host": host})
    got = connection.getresponse()
    return Answer(got.status, dict(got.getheaders()), got.read().decode())
