"""What the four services of Bookinfo share: a small HTTP server, a client, faults on demand.

Standard library only. Nothing here knows of a mesh: a service listens on plain HTTP, calls others
by name, and passes on the headers that make one trace of one page.

Every service answers besides its own paths:

  GET    /health         200, or 503 when it has been told to be ill
  GET    /admin/stats    how many requests it has answered, by status, and works at
  GET    /admin/faults   what it has been told, as JSON
  POST   /admin/faults   {"status": 503, "delay": 2.5, "every": 2, "healthy": false}, each optional:
                         answer with this status, wait so many seconds before answering, do so for
                         every n-th request only, say so at /health
  DELETE /admin/faults   all is well again

The same JSON in the file that the environment variable BOOKINFO_FAULTS names has the same effect,
for as long as the file is there.
"""

import argparse
import http.client
import json
import os
import signal
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

FORWARDED = (
    "x-request-id",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "b3",
    "traceparent",
    "tracestate",
    "baggage",
    "x-ot-span-context",
    "x-cloud-trace-context",
    "grpc-trace-bin",
    "authorization",
    "end-user",
    "user-agent",
)
"""Headers of an incoming request that go out with every request made for it."""

DRAIN_S = 5.0
"""How long requests in progress may take to end after the order to stop."""


@dataclass(frozen=True)
class Request:
    """One incoming request."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    def forwarded(self) -> dict[str, str]:
        """Return the headers to send along with every request made for this one."""
        return {name: self.headers[name] for name in FORWARDED if name in self.headers}

    def form(self) -> dict[str, str]:
        """Return the fields of a posted form."""
        return {k: v[0] for k, v in parse_qs(self.body.decode(errors="replace")).items()}


@dataclass(frozen=True)
class Response:
    """One answer."""

    status: int = 200
    body: bytes = b""
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def as_json(value: object, status: int = 200) -> Response:
    """Answer with a JSON document on one line."""
    return Response(status, f"{json.dumps(value, ensure_ascii=False)}\n".encode())


NOT_FOUND = as_json({"error": "not found"}, 404)


class Faults:
    """What the service has been told to do wrong."""

    def __init__(self, file: str) -> None:
        self._file = Path(file) if file else None
        self._posted: dict[str, object] = {}
        self._lock = threading.Lock()
        self._count = 0

    def current(self) -> dict[str, object]:
        """Return the faults in force; the file wins over what was posted."""
        if self._file is not None:
            try:
                found = json.loads(self._file.read_text() or "{}")
            except (OSError, ValueError):
                found = None
            if isinstance(found, dict):
                return found
        return self._posted

    def post(self, faults: dict[str, object]) -> None:
        """Replace what was posted before."""
        self._posted = faults

    def is_healthy(self) -> bool:
        """Tell what /health should say."""
        return self.current().get("healthy", True) is not False

    def strike(self) -> Response | None:
        """Wait, and return the wrong answer, if that is what this request should get."""
        faults = self.current()
        status, delay = _number(faults, "status"), _number(faults, "delay")
        if not status and not delay:
            return None
        with self._lock:
            self._count += 1
            turn = self._count
        if turn % max(int(_number(faults, "every")), 1):
            return None
        time.sleep(delay)
        return as_json({"error": "told to fail"}, int(status)) if status else None


def _number(faults: Mapping[str, object], name: str) -> float:
    value = faults.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


class Client:
    """Calls other services; keeps connections, as any sensible program does.

    HTTP_PROXY is honoured, as most programs do.
    """

    def __init__(self, base: str, timeout: float) -> None:
        """Take `http://HOST[:PORT]`, and how many seconds an answer may take."""
        url = urlsplit(base)
        self._host, self._port = url.hostname or base, url.port or 80
        self._timeout = timeout
        proxy = os.environ.get("http_proxy") or os.environ.get("HTTP_PROXY") or ""
        self._proxy = urlsplit(proxy) if proxy else None
        self._idle: deque[http.client.HTTPConnection] = deque()

    def get(self, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Return status and body; status 0 when there was no answer, or none in time."""
        while self._idle:
            try:
                return self._ask(self._idle.pop(), path, headers)
            except IndexError:
                break
            except ConnectionError:
                continue  # the other side had closed the idle connection; a GET may be repeated
            except (OSError, http.client.HTTPException):
                return 0, b""
        try:
            return self._ask(self._connection(), path, headers)
        except (OSError, http.client.HTTPException):
            return 0, b""

    def _connection(self) -> http.client.HTTPConnection:
        if self._proxy is not None:
            return http.client.HTTPConnection(
                self._proxy.hostname or "", self._proxy.port or 80, timeout=self._timeout
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)

    def _ask(
        self, connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        authority = self._host if self._port == 80 else f"{self._host}:{self._port}"
        target = f"http://{authority}{path}" if self._proxy is not None else path
        try:
            connection.request("GET", target, headers={"Host": authority, **headers})
            answer = connection.getresponse()
            body = answer.read()
        except BaseException:
            connection.close()
            raise
        if answer.will_close:
            connection.close()
        else:
            self._idle.append(connection)
        return answer.status, body


Answer = Callable[[Request], Response]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "_Server"

    def _handle(self) -> None:
        server = self.server
        with server.working():
            length = int(self.headers.get("content-length") or 0)
            url = urlsplit(self.path)
            request = Request(
                method=self.command,
                path=url.path.rstrip("/") or "/",
                query=parse_qs(url.query),
                headers={k.lower(): v for k, v in self.headers.items()},
                body=self.rfile.read(length) if length else b"",
            )
            response = server.answer(request)
            self._send(response, closing=server.stopping)

    do_GET = do_POST = do_DELETE = do_HEAD = _handle  # noqa: N815 - http.server's names

    def _send(self, response: Response, *, closing: bool) -> None:
        self.send_response(response.status)
        self.send_header("content-type", response.kind)
        self.send_header("content-length", str(len(response.body)))
        for name, value in response.headers.items():
            self.send_header(name, value)
        if closing:
            self.send_header("connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, address: tuple[str, int], answer: Answer) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._answer = answer
        self._faults = Faults(os.environ.get("BOOKINFO_FAULTS", ""))
        self._answered: Counter[int] = Counter()
        self._idle = threading.Condition()
        self._busy = 0
        self.stopping = False
        super().__init__(address, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing when a caller has gone away."""

    def answer(self, request: Request) -> Response:
        """Return the answer to a request, with the faults in force."""
        if request.path == "/health":
            healthy = self._faults.is_healthy()
            return as_json({"status": "healthy" if healthy else "ill"}, 200 if healthy else 503)
        if request.path.startswith("/admin/"):
            return self._administer(request)
        response = self._faults.strike() or self._answer(request)
        with self._idle:
            self._answered[response.status] += 1
        return response

    def _administer(self, request: Request) -> Response:
        if request.path == "/admin/stats":
            counts = {str(status): n for status, n in sorted(self._answered.items())}
            return as_json({"requests": counts, "in_progress": self._busy})
        if request.path != "/admin/faults":
            return NOT_FOUND
        if request.method == "DELETE":
            self._faults.post({})
        elif request.method == "POST":
            try:
                wanted = json.loads(request.body)
            except ValueError:
                wanted = None
            if not isinstance(wanted, dict):
                return as_json({"error": "send a JSON object"}, 400)
            self._faults.post(wanted)
        return as_json(self._faults.current())

    @contextmanager
    def working(self) -> Iterator[None]:
        """Count a request while it is answered."""
        with self._idle:
            self._busy += 1
        try:
            yield
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def drain(self) -> None:
        """Stop accepting, and wait for the requests in progress."""
        self.stopping = True
        self.shutdown()
        with self._idle:
            _ = self._idle.wait_for(lambda: not self._busy, DRAIN_S)


def arguments(name: str) -> argparse.ArgumentParser:
    """Return the options that all services have."""
    parser = argparse.ArgumentParser(description=f"The {name} service of Bookinfo.")
    parser.add_argument(
        "--host", default=os.environ.get("HOST", "0.0.0.0"), help="address to listen on"
    )
    parser.add_argument(
        "--port", type=int, default=int(os.environ.get("PORT", "9080")), help="port to listen on"
    )
    return parser


def serve(name: str, options: argparse.Namespace, answer: Answer) -> None:
    """Answer requests until SIGTERM or SIGINT; then finish what is in progress."""
    server = _Server((options.host, options.port), answer)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
    )
    thread.start()
    print(f"{name} listens on {options.host}:{server.server_address[1]}", flush=True)
    _ = stop.wait()
    server.drain()
    server.server_close()
