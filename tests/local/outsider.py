"""A server outside of the mesh, that tells how it was reached."""

import http.client
import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRWPair

_PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n"


class Outsider(socketserver.ThreadingTCPServer):
    """Takes a PROXY header, then TLS if it has a context, then tunnels; answers JSON over HTTP."""

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Visit)
        self.context = context
        self.names: dict[int, str | None] = {}
        if context:
            context.sni_callback = lambda made, name, _: self.names.update({id(made): name})

    @property
    def port(self) -> int:
        """Return where it listens."""
        return int(self.server_address[1])


@contextmanager
def outside(context: ssl.SSLContext | None = None) -> Iterator[Outsider]:
    """Serve on the host's loopback."""
    with Outsider(context) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Visit(socketserver.BaseRequestHandler):
    request: socket.socket

    def handle(self) -> None:
        server = self.server
        assert isinstance(server, Outsider)
        said: dict[str, object] = {}
        try:
            if version := _proxy_header(self.request):
                said["proxy"] = version
            stream = self.request
            if server.context:
                stream = made = server.context.wrap_socket(stream, server_side=True)
                said["sni"] = server.names.pop(id(made))
                if found := made.getpeercert():
                    said["client"] = [pair[1] for pair in found["subjectAltName"]]
            with stream, stream.makefile("rwb") as file:
                _answer_all(file, said)
        except OSError:
            pass  # who was not content with us


def _proxy_header(stream: socket.socket) -> str:
    start = stream.recv(len(_PROXY_V2), socket.MSG_PEEK | socket.MSG_WAITALL)
    if start == _PROXY_V2:
        length = stream.recv(16, socket.MSG_WAITALL)[14:]
        stream.recv(int.from_bytes(length), socket.MSG_WAITALL)
        return "V2"
    if not start.startswith(b"PROXY "):
        return ""
    while stream.recv(1) != b"\n":
        pass
    return "V1"


def _answer_all(file: BufferedRWPair, said: dict[str, object]) -> None:
    while line := file.readline():
        method, target, _ = line.decode().split()
        headers = http.client.parse_headers(file)
        if method == "CONNECT":
            said["tunnel"] = f"CONNECT {target}"
            file.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            body = json.dumps(said | {"path": target, "host": headers["host"]}).encode()
            start = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
            file.write(start.encode() + body)
        file.flush()
