"""A small mesh for tests: two services that echo what they receive, and a gateway."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from rhumb.local import linux
from rhumb.local.programs import inherited_environment

Json = dict[str, Any]

SERVE = """
    def log_message(self, *_):
        pass

class Server(ThreadingHTTPServer):
    request_queue_size = 128

Server((os.environ["HOST"], int(os.environ["PORT"])), Echo).serve_forever()
"""
"""The end of an application: what follows the methods of its class Echo."""

APP = (
    """
import json, os, time, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.startswith("/call/"):
            with urllib.request.urlopen("http://" + self.path[6:], timeout=10) as answer:
                body = answer.read()
        elif self.path == "/health" and os.path.exists("sick-" + os.environ["NAME"]):
            return self.send_error(503)
        else:
            while self.path.endswith("/wait") and os.path.exists("wait"):
                open("waiting", "w").close()
                time.sleep(0.01)
            said = {"name": os.environ["NAME"], "pid": os.getpid(), "uid": os.getuid(),
                    "headers": {k.lower(): v for k, v in self.headers.items()}}
            body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
"""
    + SERVE
)

DESCRIPTION = """
services:
  web:
    ports: [{{name: http, port: 8000}}]
    command: [{python}, {directory}/app.py]
    versions:
      v1: {{environment: {{NAME: web-v1}}}}
      v2: {{environment: {{NAME: web-v2}}}}
  client:
    ports: [{{name: http, port: 8001}}]
    command: [{python}, {directory}/app.py]
    environment: {{NAME: client}}
gateways:
  ingressgateway:
    publish: ["{port}:80"]
config: mesh
"""

GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web}
spec:
  host: web
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
"""

ROUTES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge}
spec:
  hosts: ["*"]
  gateways: [gw]
  http:
    - match: [{uri: {prefix: /call/}}]
      route: [{destination: {host: client, port: {number: 8001}}}]
    - route:
        - {destination: {host: web, subset: v1}, weight: %d}
        - {destination: {host: web, subset: v2}, weight: %d}
"""

UNPRIVILEGED = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")

needs_namespaces = pytest.mark.skipif(
    bool(linux.reason_without_namespaces()), reason=linux.reason_without_namespaces()
)
WHOLE_MESH = (pytest.mark.e2e, pytest.mark.netns, needs_namespaces)
"""Marks of tests that start one."""


class Mesh:
    """One local mesh in a directory of its own; leaving the context ends it, whatever happened."""

    def __init__(self, *, prefix: Sequence[str] = ()) -> None:
        # Below /tmp: a socket's path has 107 bytes at most.
        self.home = Path(tempfile.mkdtemp(prefix="rm", dir="/tmp"))
        self.marker = f"mesh-{uuid.uuid4().hex}"
        self.port = free_port()
        self.file = self.home / "rhumb.yaml"
        self._prefix = tuple(prefix)
        self._namespaces: set[str] = set()
        (self.home / "mesh").mkdir()
        (self.home / "app.py").write_text(APP)
        (self.home / "mesh" / "gateway.yaml").write_text(GATEWAY)
        self.route(100, 0)
        self.describe()
        if prefix:
            for path in (self.home, *self.home.rglob("*")):
                os.chown(path, 65534, 65534)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.command("down", "-f", str(self.file))
        left = self.processes()
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.home, ignore_errors=True)

    def describe(self, change: Callable[[str], str] = str) -> None:
        """Write rhumb.yaml."""
        text = DESCRIPTION.format(python=sys.executable, directory=self.home, port=self.port)
        self.file.write_text(change(text))

    def route(self, first: int, second: int) -> None:
        """Write the VirtualService with weights of web's versions."""
        self.write("routes.yaml", ROUTES % (first, second))

    def write(self, name: str, text: str) -> None:
        """Write a file of the configuration, whole at once."""
        new = self.home / "new.yaml"
        new.write_text(text)
        new.replace(self.home / "mesh" / name)

    @property
    def environment(self) -> dict[str, str]:
        """Variables of commands; all processes of the mesh inherit the marker."""
        return {
            **inherited_environment(),
            "XDG_STATE_HOME": str(self.home / "s"),
            "HOME": str(self.home),
            "RHUMB_TEST_MARKER": self.marker,
        }

    def argv(self, *arguments: str) -> list[str]:
        """Return a command line of rhumb."""
        return [*self._prefix, sys.executable, "-m", "rhumb", *arguments]

    def command(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a rhumb command."""
        return subprocess.run(
            self.argv(*arguments),
            env=self.environment,
            cwd=self.home,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=50,
        )

    def up(self) -> Self:
        """Start it; fails with all that was said."""
        done = self.command("up")
        assert done.returncode == 0, done.stderr + self.logs()
        self.processes()  # learns the namespace
        return self

    def logs(self) -> str:
        """Return the last words of every log."""
        logs = sorted((self.home / "s").glob("rhumb/*/**/*.log"))
        return "".join(f"\n--- {p.name}\n{p.read_text()[-2000:]}" for p in logs)

    def status(self) -> Json:
        """Return what `rhumb ps` knows."""
        done = self.command("ps", "-f", str(self.file), "-o", "json")
        assert done.returncode == 0, done.stderr
        found: Json = json.loads(done.stdout)
        return found

    def pids(self) -> dict[str, dict[str, int | None]]:
        """Return the processes of each workload, as numbered inside."""
        return {row["name"]: row["pids"] for row in self.status()["workloads"]}

    def get(self, path: str = "/") -> Json:
        """Ask through the gateway; anything but 200 fails."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        assert answer.status == 200, f"{answer.status} {body!r}"
        found: Json = json.loads(body)
        return found

    @property
    def host(self) -> int:
        """Return the host process."""
        (path,) = (self.home / "s" / "rhumb").glob("*/host.pid")
        return int(path.read_text())

    @property
    def states(self) -> list[Path]:
        """Return what is left in the directory of states."""
        return sorted((self.home / "s" / "rhumb").glob("*"))

    def processes(self) -> list[int]:
        """Return every process of this mesh that lives.

        By the marker in its variables, and by the process namespace of those that have it: Envoys
        get variables of their own.
        """
        marked = [pid for pid in everyone() if self._is_marked(pid)]
        self._namespaces |= {space for pid in marked if (space := _namespace(pid))}
        self._namespaces -= {_namespace(os.getpid())}
        return marked + [
            pid for pid in everyone() if pid not in marked and _namespace(pid) in self._namespaces
        ]

    def _is_marked(self, pid: int) -> bool:
        found = b""
        for name in ("environ", "cmdline"):
            try:
                found += Path(f"/proc/{pid}/{name}").read_bytes()
            except OSError:
                continue
        return self.marker.encode() in found or f"{self.home}/".encode() in found

    def outside(self, inner: int) -> int:
        """Return the number that we know a process of the mesh by."""
        for pid in self.processes():
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                numbers = line.split()
                if numbers[0] == "NSpid:" and len(numbers) > 2 and int(numbers[-1]) == inner:
                    return pid
        raise LookupError(f"no process {inner} in the mesh")


class Load:
    """Requests one after the other, each on a connection of its own, until it is told to stop."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.names: list[str] = []
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.names.append(str(self.mesh.get()["name"]))
            except (OSError, AssertionError, http.client.HTTPException) as error:
                self.failures.append(f"{type(error).__name__}: {error}")

    @contextmanager
    def running(self) -> Iterator["Load"]:
        """Run while the block does."""
        self._thread.start()
        try:
            self.more(5)
            yield self
        finally:
            self._stop.set()
            self._thread.join()

    def more(self, count: int) -> None:
        """Wait until so many further requests have been answered."""
        wanted = len(self.names) + count
        until(lambda: len(self.names) >= wanted)


def until(true: Callable[[], object], *, seconds: float = 20.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it does not come true"
        time.sleep(0.02)


def _namespace(pid: int) -> str:
    """Return the process namespace of a process, "" when it is gone."""
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return ""


def everyone() -> Iterator[int]:
    """Yield the processes of this machine that are no zombies."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state = path.read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z" and int(path.parent.name) != os.getpid():
            yield int(path.parent.name)


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
