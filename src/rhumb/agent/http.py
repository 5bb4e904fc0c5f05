"""One HTTP request to something beside us: admin interface, application, probe.

The standard library reads the answer; only the socket is ours, because it must be made inside a
namespace and may carry a mark.
"""

import asyncio
import http.client
import io
import socket
import ssl
from collections.abc import Mapping

import msgspec

from rhumb.agent import netns

MAX_BODY = 10 * 1024 * 1024
"""Bytes; what Istio's agent takes at most from one metrics endpoint."""


class Answer(msgspec.Struct, frozen=True):
    """Status, body, and the media type."""

    status: int
    body: bytes
    content_type: str = ""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request goes, and from which namespace."""

    host: str
    """IPv4 or IPv6 address; "localhost" is 127.0.0.1."""
    port: int
    enter: netns.Enter = netns.here
    mark: int = 0
    tls: ssl.SSLContext | None = None


def unverified() -> ssl.SSLContext:
    """Return TLS that takes any certificate: of the application beside us, as probes and scrapers do."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def connect(target: Target) -> socket.socket:
    """Open a TCP connection; the caller closes it.

    Raises OSError.
    """
    host = "127.0.0.1" if target.host == "localhost" else target.host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = netns.open_socket(target.enter, family, socket.SOCK_STREAM, mark=target.mark)
    try:
        await asyncio.get_running_loop().sock_connect(made, (host, target.port))
    except BaseException:
        made.close()
        raise
    return made


async def request(
    target: Target,
    path: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    timeout: float = 5.0,  # noqa: ASYNC109 - one limit for connecting, sending and reading
    limit: int = MAX_BODY,
) -> Answer:
    """Send one request and read the whole answer, within `timeout` seconds.

    Raises OSError (TimeoutError among them) when there is no answer, ValueError when it is not
    HTTP or its body is longer than `limit` bytes.
    """
    async with asyncio.timeout(timeout):
        made = await connect(target)
        name = None if target.tls is None else target.host
        reader, writer = await asyncio.open_connection(
            sock=made, ssl=target.tls, server_hostname=name
        )
        try:
            writer.write(_head(target, method, path, headers or {}))
            await writer.drain()
            raw = await _read(reader, limit)
        finally:
            writer.close()
    return _parse(raw, method, limit)


def _head(target: Target, method: str, path: str, headers: Mapping[str, str]) -> bytes:
    host = f"[{target.host}]" if ":" in target.host else target.host
    fields = {"host": f"{host}:{target.port}", "user-agent": "rhumb-agent", "accept": "*/*"}
    fields |= {name.lower(): value for name, value in headers.items()}
    fields["connection"] = "close"
    if method == "POST":
        fields["content-length"] = "0"
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a line break in a request's path or header")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


async def _read(reader: asyncio.StreamReader, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := await reader.read(65536):
        parts.append(part)
        size += len(part)
        if size > limit + 65536:
            raise ValueError(f"the answer is longer than {limit} bytes")
    return b"".join(parts)


class _Kept:
    """What http.client wants for a socket: bytes that have already arrived."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def makefile(self, *_: object) -> io.BytesIO:
        return io.BytesIO(self._raw)


def _parse(raw: bytes, method: str, limit: int) -> Answer:
    response = http.client.HTTPResponse(_Kept(raw), method=method)  # type: ignore[arg-type]  # it wants makefile
    try:
        response.begin()
        body = response.read(limit + 1)
    except http.client.HTTPException as error:
        raise ValueError(f"not an HTTP answer: {error!r}") from error
    if len(body) > limit:
        raise ValueError(f"the answer is longer than {limit} bytes")
    return Answer(response.status, body, response.headers.get("content-type", ""))
