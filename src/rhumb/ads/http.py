"""A small HTTP server for monitoring: GET only, a thread of its own, answers made on the event loop.

The standard library's server: the pages are few and a full web stack would cost as much memory as
the rest of the process's libraries.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qsl, urlsplit

import msgspec

_log = logging.getLogger(__name__)

_PATIENCE_S = 30.0


class Reply(msgspec.Struct, frozen=True):
    """What to send back."""

    body: bytes
    content_type: str = "application/json"
    status: int = 200


Answer = Callable[[str, Mapping[str, str]], Reply]
"""(path, query) to a reply; called on the event loop."""
Probe = Callable[[], Reply]
"""A reply that must come even while the event loop is busy; called in the server's thread."""


@contextlib.asynccontextmanager
async def serving(
    address: str, port: int, answer: Answer, probes: Mapping[str, Probe]
) -> AsyncIterator[int]:
    """Serve while the block runs; yields the port. Raises OSError when the address is taken."""
    loop = asyncio.get_running_loop()

    async def on_loop(path: str, query: Mapping[str, str]) -> Reply:
        return answer(path, query)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version = "rhumb"
        sys_version = ""
        timeout: ClassVar[float | None] = _PATIENCE_S

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            probe = probes.get(url.path)
            query = dict(parse_qsl(url.query))
            reply = probe() if probe else _wait(on_loop(url.path, query), loop)
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, text: str, *args: object) -> None:
            _log.debug(text, *args)

    server = ThreadingHTTPServer((address, port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="monitoring", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()


def _wait(made: Awaitable[Reply], loop: asyncio.AbstractEventLoop) -> Reply:
    async def run() -> Reply:
        return await made

    try:
        return asyncio.run_coroutine_threadsafe(run(), loop).result(_PATIENCE_S)
    except TimeoutError:
        return Reply(b"the control plane is busy\n", "text/plain", 503)
    except Exception:  # noqa: BLE001 - one bad page must not end the connection without a word
        _log.exception("a monitoring page failed")
        return Reply(b"see the log of the control plane\n", "text/plain", 500)
