"""A machine of its own for `rhumb agent`: `python -m tests.cli.machine NAME` runs one piece there.

The agent's ports are fixed, so each piece has a network of its own; and it is an interpreter of its own,
since one with threads can make no namespaces.
"""

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from pyroute2 import IPRoute

from rhumb.local import linux

SECONDS = 30.0
_MNT_DETACH = 2


class Machine:
    """A control plane, and agents beside it, all as processes."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.config = home / "config"
        self.config.mkdir()
        self._processes: list[subprocess.Popen[str]] = []
        self._serve = self._start(
            "serve", "--config", str(self.config), "--state", str(home / "state")
        )
        self.until(
            lambda: '"ready"' in self.said(self._serve) or "  ready" in self.said(self._serve)
        )
        (home / "roots.pem").write_text(self.ask("ca", "show", "-o", "pem"))

    def close(self) -> None:
        """Kill what is left."""
        for process in self._processes:
            process.kill()
            process.wait()
        for pid in self.envoys():
            os.kill(pid, signal.SIGKILL)

    def ask(self, *arguments: str) -> str:
        """Run a command to its end and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "rhumb", *arguments, "--state", str(self.home / "state")],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        )
        return done.stdout

    def token(self, *options: str) -> Path:
        """Make a join token for shop/cart."""
        path = self.home / f"token-{time.monotonic_ns()}"
        make = ("ca", "token", "create", "--namespace", "shop", "--service-account", "cart")
        path.write_text(self.ask(*make, *options))
        return path

    def agent(
        self, token: Path | None, *, account: str = "cart", name: str = "a"
    ) -> "subprocess.Popen[str]":
        """Start an agent with a gateway's Envoy."""
        options = ["--control-plane", "127.0.0.1:15012", "--roots", str(self.home / "roots.pem")]
        options += ["--join-token", str(token)] if token else []
        options += ["--namespace", "shop", "--service-account", account, "--address", "127.0.0.1"]
        return self._start(
            "agent", "--gateway", *options, "--directory", str(self.home / name), name=name
        )

    def _start(self, *arguments: str, name: str = "serve") -> "subprocess.Popen[str]":
        with (self.home / f"{name}.log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "rhumb", *arguments], stderr=log, text=True
            )
        process.__dict__["log"] = log.name
        self._processes.append(process)
        return process

    def said(self, process: "subprocess.Popen[str]") -> str:
        """Return what a process has told on standard error."""
        return Path(process.__dict__["log"]).read_text()

    def until(self, true: Callable[[], object]) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + SECONDS
        while not true():
            if time.monotonic() > deadline:
                logs = "".join(p.read_text()[-3000:] for p in self.home.glob("*.log"))
                raise TimeoutError(f"it does not come true; {logs}")
            time.sleep(0.02)

    def ready(self) -> bool:
        """Tell whether the agent's Envoy is ready for traffic."""
        with suppress(urllib.error.URLError, OSError):
            url = "http://127.0.0.1:15020/healthz/ready"
            return bool(urllib.request.urlopen(url, timeout=5).status == 200)
        return False

    def envoys(self) -> list[int]:
        """Return the Envoys of this machine's agents."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                where = (path / "cwd").readlink()
                if (
                    where.is_relative_to(self.home)
                    and b"envoy.json" in (path / "cmdline").read_bytes()
                ):
                    found.append(int(path.name))
        return found


def end(machine: Machine, process: "subprocess.Popen[str]", number: signal.Signals) -> None:
    """Ask a process to end; it must do so in order."""
    process.send_signal(number)
    assert process.wait(SECONDS) == 0, machine.said(process)


def a_signal_ends_agent_and_envoy(machine: Machine) -> None:
    token = machine.token()
    for number in (signal.SIGTERM, signal.SIGINT):
        agent = machine.agent(token)  # the second time it has its certificate
        machine.until(machine.ready)
        assert len(machine.envoys()) == 1
        end(machine, agent, number)
        assert machine.envoys() == []


ROUTE = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: shop}
spec: {servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: all, namespace: shop}
spec:
  hosts: ["*"]
  gateways: [gw]
  http: [{route: [{destination: {host: slow.example, port: {number: 80}}}]}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: slow, namespace: shop}
spec:
  hosts: [slow.example]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: %d}}]
"""


def what_is_in_flight_ends_before_the_agent_does(machine: Machine) -> None:
    asked, go_on = threading.Event(), threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/slow":
                asked.set()
                go_on.wait(SECONDS)
            self.send_response(200)
            self.send_header("content-length", "4")
            self.end_headers()
            self.wfile.write(b"done")

        def log_message(self, *_: object) -> None:
            pass

    def get(path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:8080{path}", timeout=SECONDS) as answer:
            body: bytes = answer.read()
            return body

    def answers() -> bool:
        with suppress(OSError):
            return get("/") == b"done"
        return False

    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server, ThreadPoolExecutor() as pool:
        pool.submit(server.serve_forever)
        (machine.config / "route.yaml").write_text(ROUTE % server.server_address[1])
        agent = machine.agent(machine.token())
        machine.until(answers)
        slow = pool.submit(get, "/slow")
        machine.until(asked.is_set)
        agent.send_signal(signal.SIGTERM)
        machine.until(lambda: not machine.ready())
        assert get("/") == b"done", "who has not heard is served all the same"
        assert agent.poll() is None
        assert not slow.done()
        go_on.set()
        assert slow.result(SECONDS) == b"done"
        assert agent.wait(SECONDS) == 0, machine.said(agent)
        server.shutdown()
    assert machine.envoys() == []


def a_killed_agent_leaves_what_the_next_one_takes_over(machine: Machine) -> None:
    agent = machine.agent(machine.token())
    machine.until(machine.ready)
    (left,) = machine.envoys()
    agent.kill()
    agent.wait()
    second = machine.agent(None)
    machine.until(lambda: machine.ready() and machine.envoys() not in ([], [left]))
    assert len(machine.envoys()) == 1
    end(machine, second, signal.SIGTERM)
    assert machine.envoys() == []


def an_expired_token(machine: Machine) -> None:
    token = machine.token("--ttl", "1ms")
    agent = machine.agent(token)
    machine.until(lambda: "no certificate yet" in machine.said(agent))
    told = machine.said(agent)
    assert "expired at 2" in told
    assert "rhumb ca token create" in told, told
    end(machine, agent, signal.SIGTERM)


def nothing_to_prove_an_identity_with(machine: Machine) -> None:
    agent = machine.agent(None)
    assert agent.wait(SECONDS) == 2
    told = machine.said(agent)
    assert f"error: {machine.home / 'a'} holds no certificate, and there is no --join-token" in told
    assert "rhumb ca token create --namespace shop --service-account cart" in told
    (machine.home / "roots.pem").write_text("these are no certificates")
    agent = machine.agent(machine.token(), name="b")
    assert agent.wait(SECONDS) == 2
    told = machine.said(agent)
    assert f"error: --roots {machine.home / 'roots.pem'}: " in told
    assert "rhumb ca show -o pem" in told


def a_stolen_token(machine: Machine) -> None:
    token = machine.token()
    agent = machine.agent(token)
    machine.until(machine.ready)
    end(machine, agent, signal.SIGTERM)
    thief = machine.agent(token, name="thief")
    machine.until(lambda: "no certificate yet" in machine.said(thief))
    told = machine.said(thief)
    assert "has been used already, by another key" in told
    assert "it was stolen" in told, told
    end(machine, thief, signal.SIGTERM)


def anothers_identity(machine: Machine) -> None:
    agent = machine.agent(machine.token(), account="vault")
    machine.until(lambda: "no certificate yet" in machine.said(agent))
    told = machine.said(agent)
    assert "spiffe://cluster.local/ns/shop/sa/vault" in told
    assert "/cart asks for a certificate of spiffe://cluster.local/ns/shop/sa/vault" in told
    assert "join token for the one it asks for" in told, told
    end(machine, agent, signal.SIGTERM)
    plane = (machine.home / "serve.log").read_text()
    assert "/cart asks for a certificate of spiffe://cluster.local/ns/shop/sa/vault" in plane


def a_disk_that_is_full(machine: Machine) -> None:
    directory = machine.home / "a"
    directory.mkdir()
    with disk(directory, "256k"):
        on_a_full_disk(machine, directory / "junk")


@contextmanager
def disk(directory: Path, size: str) -> Iterator[None]:
    """Let a directory be a disk of its own."""
    linux.mount("tmpfs", str(directory), "tmpfs", data=f"size={size}")
    try:
        yield
    finally:
        ctypes.CDLL(None).umount2(str(directory).encode(), _MNT_DETACH)


def on_a_full_disk(machine: Machine, junk: Path) -> None:
    with suppress(OSError), junk.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    agent = machine.agent(machine.token())
    machine.until(lambda: "No space left on device" in machine.said(agent))
    assert f"device: '{junk.with_name('sds')}/" in machine.said(agent)
    plane = (machine.home / "serve.log").read_text()
    assert plane.count("certificate issued") == 1
    assert agent.poll() is None
    junk.unlink()
    machine.until(machine.ready)
    plane = (machine.home / "serve.log").read_text()
    assert plane.count("certificate issued") == 1  # what was issued had been kept
    end(machine, agent, signal.SIGTERM)


def two_agents_on_one_machine(machine: Machine) -> None:
    first = machine.agent(machine.token())
    machine.until(machine.ready)
    second = machine.agent(machine.token(), name="b")
    assert second.wait(SECONDS) == 2
    told = machine.said(second)
    assert "error: cannot listen on 0.0.0.0:15020: process " in told, told
    assert f"process {first.pid} (" in told
    assert "Traceback" not in told
    assert len(machine.envoys()) == 1
    end(machine, first, signal.SIGTERM)


WORKS: Mapping[str, Callable[[Machine], None]] = {
    work.__name__: work
    for work in (
        a_signal_ends_agent_and_envoy,
        what_is_in_flight_ends_before_the_agent_does,
        a_killed_agent_leaves_what_the_next_one_takes_over,
        an_expired_token,
        nothing_to_prove_an_identity_with,
        a_stolen_token,
        anothers_identity,
        a_disk_that_is_full,
        two_agents_on_one_machine,
    )
}


@contextmanager
def machine() -> Iterator[Machine]:
    """Make one in a directory of its own; nothing is left of it."""
    with tempfile.TemporaryDirectory(prefix="m") as home:
        made = Machine(Path(home))
        try:
            yield made
        finally:
            made.close()


def main(name: str) -> None:
    """Become root of new user, network and mount namespaces, and run one piece."""
    uid, gid = os.geteuid(), os.getegid()
    linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNET | linux.CLONE_NEWNS)
    linux.map_user(0, uid, 0, gid)
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    with IPRoute() as route:
        route.link("set", index=route.link_lookup(ifname="lo")[0], state="up")
    with machine() as made:
        WORKS[name](made)


if __name__ == "__main__":
    main(sys.argv[1])
