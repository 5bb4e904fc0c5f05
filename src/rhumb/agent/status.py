"""The agent's own small HTTP server (15020): readiness, metrics, the order to stop.

A GET with no body, answered once for each connection, is all it speaks.
"""

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping

import msgspec

_log = logging.getLogger(__name__)

_REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
_SECONDS = 10.0
_HEAD_LIMIT = 16 * 1024


class Reply(msgspec.Struct, frozen=True):
    """What to send back."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


class Asked(msgspec.Struct, frozen=True):
    """The request line, and who sent it."""

    method: str
    path: str
    local: bool
    """Sent from a loopback address."""


Handler = Callable[[], Awaitable[Reply]]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Who may ask, and who answers."""

    handler: Handler
    method: str = "GET"
    local_only: bool = False


def parse(head: bytes, *, local: bool) -> Asked | None:
    """Read the request line; None when it is not HTTP/1."""
    line = head.partition(b"\r\n")[0].decode("latin-1")
    parts = line.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1.") or not parts[1].startswith("/"):
        return None
    return Asked(parts[0], parts[1].partition("?")[0], local)


async def answer(asked: Asked | None, routes: Mapping[str, Route]) -> Reply:
    """Find the route and call it; a failing handler is answered with 500 and logged."""
    if asked is None:
        return Reply(400, b"not an HTTP/1 request\n")
    route = routes.get(asked.path)
    if route is None:
        return Reply(404, f"there is {', '.join(sorted(routes))}\n".encode())
    if asked.method != route.method and not (asked.method == "HEAD" and route.method == "GET"):
        return Reply(405, f"{asked.path} takes {route.method}\n".encode())
    if route.local_only and not asked.local:
        return Reply(403, b"only from this machine\n")
    try:
        return await route.handler()
    except Exception:  # noqa: BLE001 - one bad scrape must not end the server
        _log.exception("a request to the agent failed", extra={"path": asked.path})
        return Reply(500, b"see the agent's log\n")


def spell(reply: Reply, *, with_body: bool) -> bytes:
    """Write the reply as HTTP/1.1; the connection ends with it."""
    head = (
        f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Unknown')}\r\n"
        f"content-type: {reply.content_type}\r\ncontent-length: {len(reply.body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + (reply.body if with_body else b"")


async def serve(listening: socket.socket, routes: Mapping[str, Route]) -> asyncio.Server:
    """Serve on a listening socket until the server is closed."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                asked = parse(head, local=_is_local(writer))
                reply = await answer(asked, routes)
                writer.write(spell(reply, with_body=asked is None or asked.method != "HEAD"))
                await writer.drain()
        except (
            OSError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
            asyncio.CancelledError,
        ):
            pass  # it left, was too slow, sent too much, or we are closing
        finally:
            writer.close()

    return await asyncio.start_server(connected, sock=listening, limit=_HEAD_LIMIT)


def _is_local(writer: asyncio.StreamWriter) -> bool:
    peer = writer.get_extra_info("peername")
    try:
        return ipaddress.ip_address(peer[0]).is_loopback
    except (ValueError, TypeError, IndexError):
        return False
