"""Requests of cases, sent from where this runs: python -m tests.corpora.traffic.caller.

Reads a JSON list of cases' requests, and prints for each the list of its answers: `{"error"}` or
`{"status", "headers", "body"}`.
"""

import base64
import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import dns.message
import dns.query
import dns.rdatatype
from tests.corpora.traffic.echo import MAGIC

Json = dict[str, Any]


def main(asked: Json) -> list[Json]:
    """Send the requests; `asked` is a case's `request` with `dial`, `nameserver` and `namespace`."""
    found = []
    for _ in range(asked["count"]):
        try:
            found.append(_SCHEMES[asked["scheme"]](asked))
        except (OSError, http.client.HTTPException, ValueError) as error:
            found.append({"error": f"{type(error).__name__}: {error}"})
    return found


def _dns(asked: Json) -> Json:
    name, _, settings = asked["address"].partition("?")
    said = dict(parse_qsl(settings))
    server: str = said.get("server") or asked["nameserver"]
    ask = dns.query.tcp if said.get("protocol") == "tcp" else dns.query.udp
    found = []
    for kind in ("A", "AAAA"):
        answer = ask(dns.message.make_query(name, kind), server, timeout=3)
        found += [r.address for s in answer.answer for r in s if hasattr(r, "address")]
    if not found:
        raise OSError(f"no such host: {name}")
    return {"status": 200, "headers": [], "body": json.dumps(sorted(found))}


def resolve(asked: Json, name: str) -> list[str]:
    """Ask the name server as libc would, search domains first."""
    for candidate in (*(f"{name}.{tail}" for tail in asked["search"]), name):
        query = dns.message.make_query(candidate.rstrip("."), "A")
        answer = dns.query.udp(query, asked["nameserver"], timeout=3)
        found = [r.address for s in answer.answer for r in s if r.rdtype == dns.rdatatype.A]
        if found:
            return sorted(found)
    return []


def _connect(asked: Json) -> socket.socket:
    host, port = asked["dial"]
    try:
        socket.inet_aton(host)
    except OSError:
        addresses = resolve(asked, host)
        if not addresses:
            raise OSError(f"no such host: {host}") from None
        host = addresses[0]
    made = socket.create_connection((host, port), timeout=asked["timeout_ms"] / 1000)
    if asked["scheme"] == "https" or asked.get("tls"):
        return _secure(asked, made)
    return made


def _secure(asked: Json, plain: socket.socket) -> ssl.SSLSocket:
    said = asked.get("tls") or {}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if said.get("ca_cert"):
        context.load_verify_locations(cadata=said["ca_cert"])
        context.verify_mode = ssl.CERT_REQUIRED
    if said.get("cert"):
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(said["cert"] + "\n" + said["key"])
            file.flush()
            context.load_cert_chain(file.name)
    alpn = said.get("alpn") or ["http/1.1"]
    context.set_alpn_protocols(alpn)
    name = said.get("sni") or asked["http"].get("host", "").partition(":")[0]
    return context.wrap_socket(plain, server_hostname=name or None)


def _http(asked: Json) -> Json:
    said = asked["http"]
    if said.get("http2"):
        return _curl(asked)
    # Written by hand: the path goes out byte for byte, and no header that the case does not have.
    lines = [f"{said.get('method') or 'GET'} {said['path'] or '/'} HTTP/1.1"]
    lines.append(f"Host: {said.get('host') or _authority(asked)}")
    lines += [f"{key}: {value}" for key, value in _headers(said)]
    with _connect(asked) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        answer = http.client.HTTPResponse(connection, method=said.get("method") or "GET")
        answer.begin()
        body = answer.read().decode("latin-1")
    target = answer.getheader("location")
    if target and said.get("follow_redirects"):
        return _follow(asked, target)
    return {"status": answer.status, "headers": answer.getheaders(), "body": body}


def _follow(asked: Json, target: str) -> Json:
    url = urlsplit(target)
    path = url.path + (f"?{url.query}" if url.query else "")
    said = {**asked["http"], "path": path, "host": url.netloc or asked["http"].get("host")}
    dial = [url.hostname, url.port or 80] if url.hostname else asked["dial"]
    return _http({**asked, "dial": dial, "http": {**said, "follow_redirects": False}})


def _headers(said: Json) -> list[tuple[str, str]]:
    return [
        (key, value)
        for key, values in (said.get("headers") or {}).items()
        for value in ([values] if isinstance(values, str) else values)
        if key.lower() != "host"
    ]


def _authority(asked: Json) -> str:
    return f"{asked['address']}:{asked['port']}"


def _curl(asked: Json) -> Json:
    said = asked["http"]
    host, port = asked["dial"]
    if not host.replace(".", "").isdigit():
        host = (resolve(asked, host) or [host])[0]
    name = (asked.get("tls") or {}).get("sni") or (said.get("host") or host).partition(":")[0]
    argv = ["curl", "-sS", "-k", "--path-as-is", "--request-target", said["path"] or "/", "-D", "-"]
    argv += ["-X", said.get("method") or "GET", "--max-time", str(asked["timeout_ms"] / 1000)]
    argv += ["--http2" if asked["scheme"] == "https" else "--http2-prior-knowledge"]
    argv += ["--connect-to", f"::{host}:{port}", "-H", f"Host: {said.get('host') or name}"]
    for key, value in _headers(said):
        argv += ["-H", f"{key}: {value}"]
    argv.append(f"{asked['scheme']}://{name}:{port}/")
    done = subprocess.run(argv, capture_output=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.decode().strip())
    head, _, body = done.stdout.decode("latin-1").partition("\r\n\r\n")
    lines = head.split("\r\n")
    headers = [tuple(x.partition(": ")[::2]) for x in lines[1:]]
    return {"status": int(lines[0].split()[1]), "headers": headers, "body": body}


def _tcp(asked: Json) -> Json:
    with _connect(asked) as connection:
        file = connection.makefile("rb")
        if asked.get("server_first") and file.readline() != MAGIC:
            raise OSError("the server did not speak first")
        connection.sendall((asked.get("message") or "hello").encode() + b"\n")
        line = file.readline()
    if not line:
        raise OSError("closed before an answer")
    return {"status": 200, "headers": [], "body": line.decode("latin-1")}


def _websocket(asked: Json) -> Json:
    text = (asked.get("message") or "hello").encode()
    with _connect(asked) as connection:
        key = base64.b64encode(os.urandom(16)).decode()
        host = asked["http"].get("host") or _authority(asked)
        connection.sendall(
            f"GET {asked['http'].get('path') or '/'} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        file = connection.makefile("rb")
        status = int(file.readline().split()[1])
        headers = []
        while line := file.readline().strip():
            headers.append(tuple(line.decode().split(": ", 1)))
        if status != 101:
            return {"status": status, "headers": headers, "body": ""}
        connection.sendall(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)
        answer = file.read(2 + len(text))
        if answer[2:] != text:
            raise OSError("no echo")
    return {"status": 200, "headers": headers, "body": answer[2:].decode()}


def _grpc(asked: Json) -> Json:
    import grpc  # noqa: PLC0415 - slow to load, and seldom needed

    host, port = asked["dial"]
    if not host.replace(".", "").isdigit():
        host = (resolve(asked, host) or [host])[0]
    options = [("grpc.default_authority", asked["http"].get("host") or _authority(asked))]
    metadata = [(key.lower(), value) for key, value in _headers(asked["http"])]
    with grpc.insecure_channel(f"{host}:{port}", options) as channel:
        call = channel.unary_unary("/proto.EchoTestService/Echo")
        try:
            answer, done = call.with_call(
                b"\x0a\x05hello", timeout=asked["timeout_ms"] / 1000, metadata=metadata
            )
        except grpc.RpcError as error:
            code = error.code()
            headers = [(str(k), str(v)) for k, v in error.initial_metadata() or ()]
            return {
                "error": f"{code.name}: {error.details()}",
                "grpc": code.value[0],
                "headers": headers,
            }
    body = answer[answer.index(b"{") :].decode()
    headers = [(str(k), str(v)) for k, v in (*done.initial_metadata(), *done.trailing_metadata())]
    return {"status": 200, "grpc": 0, "headers": headers, "body": body}


_SCHEMES = {
    "http": _http,
    "https": _http,
    "grpc": _grpc,
    "tcp": _tcp,
    "ws": _websocket,
    "dns": _dns,
}

if __name__ == "__main__":
    print(json.dumps([main(asked) for asked in json.load(sys.stdin)]))
