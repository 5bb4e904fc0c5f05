"""A mesh without namespaces: proxies on loopback, programs that are told where to listen and call."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.local.mesh import Load, Mesh, until

from rhumb.local import control, linux

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]

TCP = """
import os, socketserver

class Name(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.readline().upper())

socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer((os.environ["HOST"], int(os.environ["PORT"])), Name).serve_forever()
"""
SPEAK = """
import os, socket
address = os.environ["DB_SERVICE_HOST"], int(os.environ["DB_SERVICE_PORT"])
with socket.create_connection(address, timeout=5) as connection:
    connection.sendall(b"hello\\n")
    print(connection.makefile().readline(), end="")
"""
DATABASE = """\
  db:
    ports: [{{name: tcp, port: 7000}}]
    command: [{python}, {directory}/tcp.py]
gateways:
"""
STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec: {mtls: {mode: STRICT}}
"""
# What a `user.max_*_namespaces` says in a user namespace holds for those below it.
WITHOUT_NAMESPACES = """
import os, sys
from pathlib import Path
from rhumb.local import linux
uid, gid = os.geteuid(), os.getegid()
linux.unshare(linux.CLONE_NEWUSER)
linux.map_user(uid, uid, gid, gid)
Path("/proc/sys/user", sys.argv[1]).write_text(sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])
"""


class Bare(Mesh):
    """A mesh with a TCP service besides, which captures nothing."""

    said = ""

    def describe(self, change: Callable[[str], str] = str) -> None:
        (self.home / "tcp.py").write_text(TCP)
        database = DATABASE.format(python=sys.executable, directory=self.home)
        super().describe(lambda text: change(text.replace("gateways:\n", database)))

    def up(self, capture: str = "none") -> "Bare":
        done = self.command("up", "--capture", capture)
        assert done.returncode == 0, done.stderr + self.logs()
        self.said = done.stderr
        return self


class Forbidden(Bare):
    """A mesh whose commands may not make namespaces, or not so many."""

    limit = "max_user_namespaces", "0"

    def argv(self, *arguments: str) -> list[str]:
        plain = super().argv(*arguments)
        return [sys.executable, "-c", WITHOUT_NAMESPACES, *self.limit, *plain]


@pytest.fixture(scope="module")
def mesh() -> Iterator[Bare]:
    """One mesh for tests that leave it as it was."""
    with Bare() as made:
        yield made.up()


@pytest.fixture
def fresh() -> Iterator[Bare]:
    with Bare() as made:
        yield made.up()


def test_it_says_what_is_lost(mesh: Bare) -> None:
    assert "captures nothing" in mesh.said
    assert "$HTTP_PROXY" in mesh.said


def test_the_gateway_answers(mesh: Bare) -> None:
    assert mesh.get()["name"] == "web-v1"
    assert mesh.status()["capture"] == "none"


@pytest.mark.parametrize("name", ["web", "web.default", "web.default.svc.cluster.local"])
def test_programs_call_through_two_sidecars_with_mutual_tls(mesh: Bare, name: str) -> None:
    found = mesh.get(f"/call/{name}:8000/")
    assert found["name"].startswith("web-")
    certificate = found["headers"]["x-forwarded-client-cert"]
    assert "URI=spiffe://cluster.local/ns/default/sa/client" in certificate
    assert "By=spiffe://cluster.local/ns/default/sa/web" in certificate


def test_strict_mutual_tls_keeps_plain_callers_out(mesh: Bare) -> None:
    (port,) = next(r["ports"] for r in mesh.status()["workloads"] if r["name"] == "web-v1").values()
    plain = ["curl", "-s", "-m", "5", "-o", "/dev/null", f"http://127.0.0.1:{port}/"]
    assert subprocess.run(plain, timeout=20).returncode == 0
    policy = mesh.home / "mesh" / "strict.yaml"
    policy.write_text(STRICT)
    try:
        until(lambda: subprocess.run(plain, timeout=20).returncode != 0)
        assert mesh.get("/call/web:8000/")["name"].startswith("web-")
    finally:
        policy.unlink()
    until(lambda: subprocess.run(plain, timeout=20).returncode == 0)


@pytest.mark.skipif(sys.platform != "linux", reason="a single loopback address")
def test_tcp_services_are_called_at_the_address_that_variables_tell(mesh: Bare) -> None:
    done = mesh.command("exec", "client", "--", sys.executable, "-c", SPEAK)
    assert (done.stdout, done.stderr) == ("HELLO\n", "")


def test_weights_change_under_load(mesh: Bare) -> None:
    with Load(mesh).running() as load:
        mesh.route(0, 100)
        until(lambda: load.names[-1] == "web-v2", seconds=10)
        load.more(50)
        mesh.route(100, 0)
        until(lambda: load.names[-1] == "web-v1", seconds=10)
    assert load.failures == []


def test_up_again_is_harmless(mesh: Bare) -> None:
    before = mesh.pids(), mesh.status()["control_plane"], mesh.host
    mesh.up()
    mesh.up("auto")  # what runs, stays
    assert (mesh.pids(), mesh.status()["control_plane"], mesh.host) == before


def test_a_running_mesh_does_not_change_its_ground(mesh: Bare) -> None:
    done = mesh.command("up", "--capture", "redirect")
    assert done.returncode == 2
    assert "runs with --capture none" in done.stderr


def test_the_world_outside_is_reached_by_name(mesh: Bare) -> None:
    class Outside(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"outside")

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Outside) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            url = f"http://localhost:{server.server_port}/"
            ask = ("curl", "-s", "-m", "10", "--noproxy", "", url)
            done = mesh.command("exec", "client", "--", *ask)
        finally:
            server.shutdown()
    assert done.stdout == "outside"


def test_exec_runs_beside_the_workload(mesh: Bare) -> None:
    done = mesh.command("exec", "client", "--", "sh", "-c", "pwd; echo $PORT $HOST; exit 7")
    assert done.returncode == 7
    assert done.stdout.splitlines()[0] == str(mesh.home)
    assert re.fullmatch(r"\d+ 127\.0\.0\.1", done.stdout.splitlines()[1])


def test_run_adds_a_workload_until_it_ends(mesh: Bare) -> None:
    script = f"NAME=web-v9 exec {sys.executable} {mesh.home}/app.py"
    process = subprocess.Popen(
        mesh.argv("run", "--service", "web", "--version", "v9", "--", "sh", "-c", script),
        env=mesh.environment,
        cwd=mesh.home,
    )
    try:
        until(lambda: "web-v9" in {str(mesh.get("/call/web:8000/")["name"]) for _ in range(5)})
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    finally:
        process.kill()
        process.wait()
    until(lambda: "web-v9" not in mesh.pids())
    assert not list((mesh.home / "s").glob("rhumb/*/generated/*web-v9*"))


def test_every_proxy_is_synced(mesh: Bare) -> None:
    until(lambda: mesh.command("status").returncode == 0)
    rows = json.loads(mesh.command("status", "-o", "json").stdout)
    assert isinstance(rows, list | dict)


def test_two_meshes_side_by_side(mesh: Bare) -> None:
    with Bare() as second:
        second.up()
        second.route(0, 100)
        until(lambda: second.get()["name"] == "web-v2")
        assert mesh.get()["name"] == "web-v1"
        assert second.get("/call/web:8000/")["name"].startswith("web-")
        assert second.command("down", "-f", str(second.file)).returncode == 0
        assert second.processes() == []
    assert mesh.get()["name"] == "web-v1"


def test_only_what_changed_restarts(fresh: Bare) -> None:
    before, plane = fresh.pids(), fresh.status()["control_plane"]
    fresh.describe(lambda text: text.replace("NAME: web-v1", "NAME: web-one"))
    fresh.up()
    after = fresh.pids()
    assert {name for name in after if after[name] != before[name]} == {"web-v1"}
    assert fresh.status()["control_plane"] == plane
    until(lambda: fresh.get()["name"] == "web-one")


def test_down_leaves_nothing(fresh: Bare) -> None:
    assert len(fresh.processes()) > 8
    assert fresh.command("down").returncode == 0
    assert fresh.processes() == []
    assert fresh.states == []


def test_what_a_killed_mesh_leaves_ends_with_the_next_command(fresh: Bare) -> None:
    # A program's own child: nothing but its variables tells that it belongs here.
    child = f"{sys.executable} -c 'import time; time.sleep(600)' & wait"
    server = f"command: [{sys.executable}, {fresh.home}/tcp.py]"
    fresh.describe(lambda text: text.replace(server, f"command: {json.dumps(child)}"))
    fresh.up()
    os.kill(fresh.host, signal.SIGKILL)
    until(lambda: len(fresh.processes()) == 1)
    assert fresh.command("down").returncode == 0
    assert fresh.processes() == []
    assert fresh.states == []


def test_a_killed_supervisor_takes_everything_along(fresh: Bare) -> None:
    os.kill(fresh.status()["pid"], signal.SIGKILL)
    until(lambda: not fresh.processes())
    fresh.up()
    assert fresh.get()["name"] == "web-v1"


@pytest.mark.skipif(
    bool(linux.reason_without_namespaces()), reason="needs a user namespace to forbid them in"
)
def test_without_namespaces_the_mesh_falls_back_and_says_so() -> None:
    with Forbidden() as mesh:
        refused = mesh.command("up", "--capture", "redirect")
        assert refused.returncode == 2
        assert "namespaces" in refused.stderr
        assert "--capture none" in refused.stderr
        mesh.up("auto")
        assert "notice: no namespaces here: unshare" in mesh.said
        assert "captures nothing" in mesh.said
        assert mesh.get("/call/web:8000/")["name"].startswith("web-")
        assert mesh.command("down").returncode == 0
        assert mesh.processes() == []


@pytest.mark.skipif(
    bool(linux.reason_without_namespaces()), reason="needs a user namespace to forbid them in"
)
def test_what_namespaces_lack_is_found_when_the_mesh_starts() -> None:
    with Forbidden() as mesh:
        mesh.limit = "max_net_namespaces", "1"  # the mesh's own, and none for a workload
        refused = mesh.command("up", "--capture", "redirect")
        assert refused.returncode == 2
        assert "namespaces lack what a mesh needs" in refused.stderr
        assert "--capture none" in refused.stderr
        assert mesh.processes() == []
        mesh.up("auto")
        assert "notice: no namespaces here: this machine's namespaces lack" in mesh.said
        assert mesh.get("/call/web:8000/")["name"].startswith("web-")


# --- Bookinfo ------------------------------------------------------------------------------


class Bookinfo(Bare):
    """The sample, copied."""

    def __init__(self) -> None:
        super().__init__()
        samples = Path(__file__).parents[2] / "samples" / "bookinfo"
        text = (samples / "rhumb.yaml").read_text()
        text = text.replace("${BOOKINFO_HTTP_PORT:-8080}", str(self.port))
        text = re.sub(r".*BOOKINFO_HTTPS_PORT.*\n", "", text)
        self.file.write_text(text.replace("${PYTHON:-python3}", sys.executable))
        for path in (self.home / "mesh").iterdir():
            path.unlink()
        for path in (samples / "mesh").glob("*.yaml"):
            (self.home / "mesh" / path.name).write_text(path.read_text())
        (self.home / "apps").symlink_to(samples / "apps")
        self.scenarios = samples / "scenarios"

    def page(self) -> str:
        asked = subprocess.run(
            ["curl", "-s", "-m", "10", f"http://127.0.0.1:{self.port}/productpage"],
            capture_output=True,
            text=True,
            timeout=20,
        )
        return asked.stdout


def test_bookinfo_without_capture() -> None:
    with Bookinfo() as mesh:
        mesh.up()

        def version() -> str:
            found = re.search(r"served by\D*(v\d)", mesh.page())
            return found.group(1) if found else ""

        until(lambda: version() != "")
        until(lambda: {version() for _ in range(9)} == {"v1", "v2", "v3"})
        for file in (mesh.scenarios / "all-v1").glob("*.yaml"):
            (mesh.home / "mesh" / file.name).write_text(file.read_text())
        until(lambda: version() == "v1")
        assert [version() for _ in range(30)] == ["v1"] * 30
        assert 'class="error"' not in mesh.page()
        (socket,) = (mesh.home / "s").glob("rhumb/*/control.sock")
        metrics = control.call(socket, {"do": "metrics"})["metrics"]
        assert isinstance(metrics, dict)
        (received, *_) = (
            line
            for line in metrics["reviews-v1.default"].splitlines()
            if line.startswith("istio_requests_total{") and 'reporter="destination"' in line
        )
        assert 'connection_security_policy="mutual_tls"' in received
        assert 'source_workload="productpage-v1"' in received
        assert 'source_principal="spiffe://cluster.local/ns/default/sa/productpage"' in received
