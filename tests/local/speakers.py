"""Programs of the protocol tests, by the standard library and gRPC: servers, and clients that print JSON.

Run as `python speakers.py serve ADDRESS` or `python speakers.py CLIENT ARGUMENTS...`.
"""

import base64
import hashlib
import http.client
import json
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc

GREETING = b"220 the server speaks first\r\n"
_OP_REPLY = 1
_OP_QUERY = 2004
_WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Http(BaseHTTPRequestHandler):
    """Tells what it received; a WebSocket echoes one message."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.headers.get("Upgrade", "").lower() == "websocket":
            self._echo()
            return
        said = {
            "path": self.path,
            "version": self.request_version,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "tls": isinstance(self.connection, ssl.SSLSocket),
        }
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _echo(self) -> None:
        key = self.headers["Sec-WebSocket-Key"].encode() + _WEBSOCKET
        accept = base64.b64encode(hashlib.sha1(key, usedforsecurity=False).digest()).decode()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept)
        self.end_headers()
        _, size = self.rfile.read(2)
        mask = self.rfile.read(4)
        text = bytes(b ^ mask[i % 4] for i, b in enumerate(self.rfile.read(size & 0x7F)))
        self.wfile.write(bytes([0x81, len(text)]) + text)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


class First(socketserver.BaseRequestHandler):
    """Greets before anything was said, as mail and database servers do, then echoes a line."""

    def handle(self) -> None:
        self.request.sendall(GREETING)
        self.request.sendall(self.request.makefile("rb").readline())


class Echo(socketserver.BaseRequestHandler):
    """Echoes what comes."""

    def handle(self) -> None:
        while data := self.request.recv(4096):
            self.request.sendall(data)


class Mongo(socketserver.BaseRequestHandler):
    """Answers every query with `{ok: 1.0}`."""

    def handle(self) -> None:
        read = self.request.makefile("rb").read
        while len(head := read(16)) == 16:
            size, number, _, _ = struct.unpack("<iiii", head)
            read(size - 16)
            body = struct.pack("<iqii", 8, 0, 0, 1) + document(b"\x01ok\x00" + struct.pack("<d", 1))
            self.request.sendall(message(number + 1, number, _OP_REPLY, body))


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def document(elements: bytes) -> bytes:
    """Return a BSON document."""
    return struct.pack("<i", len(elements) + 5) + elements + b"\x00"


def message(number: int, answers: int, code: int, body: bytes) -> bytes:
    """Return a message of MongoDB's wire protocol."""
    return struct.pack("<iiii", len(body) + 16, number, answers, code) + body


def serve(host: str) -> None:
    """Serve all protocols, each on its port."""
    certificate = Path("server.pem")
    if not certificate.exists():
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-keyout", certificate, "-out", "cert.pem", "-days", "2", "-subj", "/CN=server.example.com"],
            check=True, capture_output=True,
        )  # fmt: skip
        certificate.write_bytes(certificate.read_bytes() + Path("cert.pem").read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    secure = ThreadingHTTPServer((host, 8443), Http)
    secure.socket = context.wrap_socket(secure.socket, server_side=True)
    servers = [
        ThreadingHTTPServer((host, 8100), Http),
        Server((host, 9000), First),
        Server((host, 9100), Echo),
        Server((host, 27017), Mongo),
        secure,
    ]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    rpc = grpc.server(ThreadPoolExecutor(4))
    rpc.add_generic_rpc_handlers((Rpc(),))
    rpc.add_insecure_port(f"{host}:7070")
    rpc.start()
    ThreadingHTTPServer((host, 8000), Http).serve_forever()


class Rpc(grpc.GenericRpcHandler):  # type: ignore[misc]  # gRPC has no types
    """Echoes bytes: one, many, or none with a status."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method == "/test.Echo/One":
            return grpc.unary_unary_rpc_method_handler(lambda request, _: request)
        if details.method == "/test.Echo/Many":
            return grpc.stream_stream_rpc_method_handler(self._many)
        return None

    def _many(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        for request in requests:
            if request == b"stop":
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as asked")
            yield request


def call(target: str) -> dict[str, object]:
    """Call all methods over gRPC."""
    with grpc.insecure_channel(target) as channel:
        one = channel.unary_unary("/test.Echo/One")(b"1", timeout=8)
        many = channel.stream_stream("/test.Echo/Many")
        found = list(many(iter([b"a", b"b", b"c"]), timeout=8))
        try:
            list(many(iter([b"stop"]), timeout=8))
            code = "OK"
        except grpc.RpcError as error:
            code = error.code().name
    return {"one": one.decode(), "many": [f.decode() for f in found], "code": code}


def grpc_web(host: str, port: str) -> dict[str, object]:
    """Call a method as browsers do, over HTTP/1.1."""
    connection = http.client.HTTPConnection(host, int(port), timeout=8)
    headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    body = b"\0" + struct.pack("!I", 3) + b"web"
    connection.request("POST", "/test.Echo/One", body, headers)
    answer = connection.getresponse()
    found = answer.read()
    connection.close()
    size = struct.unpack("!I", found[1:5])[0]
    trailers = found[5 + size + 5 :].decode().lower()
    return {
        "echo": found[5 : 5 + size].decode(),
        "type": answer.getheader("content-type"),
        "done": "grpc-status:0" in trailers.replace(" ", ""),
    }


def websocket(host: str, port: str) -> dict[str, object]:
    """Send one text message."""
    with socket.create_connection((host, int(port)), timeout=8) as made:
        key = base64.b64encode(b"0123456789abcdef").decode()
        made.sendall(
            f"GET /chat HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        file = made.makefile("rb")
        status = file.readline().decode().strip()
        while file.readline().strip():
            pass
        mask, text = b"\x01\x02\x03\x04", b"hello"
        masked = bytes(b ^ mask[i % 4] for i, b in enumerate(text))
        made.sendall(bytes([0x81, 0x80 | len(text)]) + mask + masked)
        _, size = file.read(2)
        return {"status": status, "echo": file.read(size).decode()}


def greeting(host: str, port: str) -> dict[str, object]:
    """Say nothing before the server did."""
    with socket.create_connection((host, int(port)), timeout=8) as made:
        file = made.makefile("rb")
        first = file.readline().decode()
        made.sendall(b"and I answer\n")
        return {"first": first, "echo": file.readline().decode()}


def echo(host: str, port: str) -> dict[str, object]:
    """Send bytes of no known protocol."""
    with socket.create_connection((host, int(port)), timeout=8) as made:
        made.sendall(b"\x00\x01\x02 neither HTTP nor TLS\n")
        return {"echo": made.makefile("rb").readline().decode("latin-1")}


def mongo(host: str, port: str) -> dict[str, object]:
    """Say hello in MongoDB's wire protocol, with the query that drivers begin with."""
    hello = document(b"\x10hello\x00" + struct.pack("<i", 1))
    query = struct.pack("<i", 0) + b"admin.$cmd\x00" + struct.pack("<ii", 0, -1) + hello
    with socket.create_connection((host, int(port)), timeout=8) as made:
        made.sendall(message(7, 0, _OP_QUERY, query))
        read = made.makefile("rb").read
        size, _, answers, code = struct.unpack("<iiii", read(16))
        read(size - 16)
    return {"answers": answers, "code": code}


def tls(host: str, port: str, name: str) -> dict[str, object]:
    """Speak TLS with a server name, and tell whose certificate came."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection((host, int(port)), timeout=8) as plain,
        context.wrap_socket(plain, server_hostname=name) as made,
    ):
        certificate = made.getpeercert(binary_form=True) or b""
        made.sendall(f"GET /tls HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        answer = made.makefile("rb").read().decode()
    return {"answer": answer.rpartition("\r\n")[2], "mine": b"server.example.com" in certificate}


def names(*asked: str) -> dict[str, object]:
    """Resolve names as any program does."""
    found: dict[str, object] = {}
    for name in asked:
        try:
            answers = socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)
            found[name] = sorted({str(a[4][0]) for a in answers})
        except socket.gaierror as error:
            found[name] = error.errno
    return found


def question(transport: str, name: str, kind: str) -> dict[str, object]:
    """Ask a server that is nowhere, over UDP or TCP."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    number = {"A": 1, "AAAA": 28}[kind]
    query = (
        struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", number, 1)
    )
    family = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, family) as made:
        made.settimeout(8)
        made.connect(("192.0.2.53", 53))
        if transport == "tcp":
            made.sendall(struct.pack("!H", len(query)) + query)
            answer = made.makefile("rb").read(2 + 12)[2:]
        else:
            made.sendall(query)
            answer = made.recv(4096)
    identity, flags, _, answers, _, _ = struct.unpack("!6H", answer[:12])
    return {"mine": identity == 7, "code": flags & 0xF, "answers": answers}


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
