"""Every protocol through two real sidecars: declared, sniffed, by SNI, the server speaking first; and names."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.local.mesh import WHOLE_MESH, Json, Mesh, until

pytestmark = [*WHOLE_MESH, pytest.mark.timeout(90)]

SECURE = "secure.example.com"
SPEAKERS = Path(__file__).with_name("speakers.py")
DESCRIPTION = """
services:
  server:
    ports:
    - {{name: http, port: 8000}}
    - {{name: grpc, port: 7070}}
    - {{name: grpc-web, port: 7071, targetPort: 7070}}
    - {{name: auto, port: 8100}}
    - {{name: tcp-first, port: 9000}}
    - {{name: other, port: 9100}}
    - {{name: mongo, port: 27017}}
    - {{name: tls, port: 8443}}
    command: {python} speakers.py serve $HOST
    probe: {{tcpSocket: {{port: 8000}}, periodSeconds: 1}}
  client:
    ports: [{{name: http, port: 8001}}]
    command: [{python}, -m, http.server, "8001"]
gateways:
  egress:
    publish: ["{port}:80"]
config: mesh
"""
CONFIG = """
apiVersion: v1
kind: Service
metadata: {name: each}
spec:
  clusterIP: None
  selector: {app: server}
  ports: [{name: tcp, port: 9000}]
---
apiVersion: v1
kind: Service
metadata: {name: alias}
spec: {type: ExternalName, externalName: server.default.svc.cluster.local}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wild}
spec:
  hosts: ["*.wild.example.com"]
  resolution: NONE
  ports: [{number: 8443, name: tls, protocol: TLS}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: wild}
spec:
  hosts: ["*.wild.example.com"]
  tls:
  - match: [{port: 8443, sniHosts: [a.wild.example.com]}]
    route: [{destination: {host: server, port: {number: 8443}}}]
"""

SECURED = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: %(name)s}
spec:
  host: %(name)s.example.com
  trafficPolicy:
    portLevelSettings:
    - {port: {number: %(port)d}, tls: {mode: SIMPLE, insecureSkipVerify: true}}
"""
SECURED_PORTS = (("secure", 80), ("gated", 443))

OUTSIDE = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside}
spec:
  hosts: [secure.example.com]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports:
  - {number: 80, name: http, protocol: HTTP, targetPort: 8443}
  - {number: 443, name: tls, protocol: TLS, targetPort: 8443}
  endpoints: [{address: ADDRESS}]
"""

EGRESS = """
apiVersion: v1
kind: Service
metadata: {name: egress}
spec: {clusterIP: 100.127.0.9, selector: {istio: egress}, ports: [{name: https, port: 443}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: egress}
spec: {address: GATEWAY, labels: {istio: egress}, serviceAccount: egress}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: gated}
spec:
  hosts: [gated.example.com]
  resolution: STATIC
  ports:
  - {number: 80, name: http, protocol: HTTP}
  - {number: 443, name: https, protocol: HTTPS, targetPort: 8443}
  endpoints: [{address: ADDRESS}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gated}
spec:
  selector: {istio: egress}
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: [gated.example.com]
    tls: {mode: ISTIO_MUTUAL}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: to-egress}
spec:
  host: egress
  subsets:
  - name: gated
    trafficPolicy:
      portLevelSettings:
      - {port: {number: 443}, tls: {mode: ISTIO_MUTUAL, sni: gated.example.com}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: gated}
spec:
  hosts: [gated.example.com]
  gateways: [mesh, gated]
  http:
  - match: [{gateways: [mesh], port: 80}]
    route: [{destination: {host: egress, subset: gated, port: {number: 443}}}]
  - match: [{gateways: [gated], port: 443}]
    route: [{destination: {host: gated.example.com, port: {number: 443}}}]
    headers: {request: {set: {x-through: egress}}}
"""
ALONE = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: alone}
spec:
  workloadSelector: {labels: {app: client}}
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}
  egress: [{hosts: ["*/*"]}]
"""


class Spoken(Mesh):
    """A client, and a server of all protocols."""

    def __init__(self) -> None:
        super().__init__()
        shutil.copy(SPEAKERS, self.home / "speakers.py")
        (self.home / "mesh" / "routes.yaml").unlink()
        (self.home / "mesh" / "gateway.yaml").write_text(CONFIG)
        self.file.write_text(DESCRIPTION.format(python=sys.executable, port=self.port))

    def up(self) -> "Spoken":
        """Start it, then let the server be one outside the mesh too."""
        super().up()
        at = {row["name"]: row["address"] for row in self.status()["workloads"]}
        secured = [SECURED % {"name": name, "port": port} for name, port in SECURED_PORTS]
        text = "---".join((OUTSIDE, EGRESS, *secured)).replace("ADDRESS", at["server-v1"])
        self.write("outside.yaml", text.replace("GATEWAY", at["egress"]))
        return self

    def inside(self, *command: str, workload: str = "client") -> str:
        """Run a command beside a sidecar."""
        done = self.command("exec", "-f", str(self.file), workload, "--", *command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}{self.logs()}"
        return done.stdout

    def say(self, client: str, *arguments: str) -> Json:
        """Run a client of speakers.py."""
        found: Json = json.loads(self.inside(sys.executable, "speakers.py", client, *arguments))
        return found

    def curl(self, *arguments: str) -> Json:
        """Ask with curl, and read the answer."""
        found: Json = json.loads(self.inside("curl", "-s", "-m", "8", *arguments))
        return found

    def counted(self, workload: str, *words: str) -> float:
        """Return the sum of the counters whose line has all words, as Prometheus would read them."""
        page = "http://127.0.0.1:15020/stats/prometheus"
        lines = self.inside("curl", "-s", page, workload=workload).splitlines()
        wanted = (line for line in lines if all(word in line for word in words))
        return sum(float(line.rpartition(" ")[2]) for line in wanted if not line.startswith("#"))


@pytest.fixture(scope="module")
def mesh() -> Iterator[Spoken]:
    with Spoken() as made:
        made.up()
        # Healthy, and known to be so beside the client.
        until(lambda: "path" in made.inside("curl", "-s", "-m", "3", "http://server:8000/"))
        until(lambda: isinstance(made.say("names", SECURE)[SECURE], list))
        yield made


def test_http_one_and_two_reach_the_application_over_mtls(mesh: Spoken) -> None:
    for option in ("--http1.1", "--http2-prior-knowledge", "--http2"):
        found = mesh.curl(option, "http://server:8000/x")
        assert found["path"] == "/x"
        assert "/sa/client" in found["headers"]["x-forwarded-client-cert"]


def test_http_of_1996_is_sent_away_unless_it_is_enabled(mesh: Spoken) -> None:
    assert "426 Upgrade Required" in mesh.inside("curl", "-s0i", "http://server:8000/")


def test_a_port_that_declares_nothing_speaks_http_and_anything_else(mesh: Spoken) -> None:
    found = mesh.curl("http://server:8100/sniffed")
    assert "/sa/client" in found["headers"]["x-forwarded-client-cert"]
    assert "neither HTTP nor TLS" in mesh.say("echo", "server", "9100")["echo"]
    secured = ("istio_tcp_connections_opened_total", 'connection_security_policy="mutual_tls"')
    until(lambda: mesh.counted("server", *secured) > 0)


def test_websocket(mesh: Spoken) -> None:
    found = mesh.say("websocket", "server", "8000")
    assert found == {"status": "HTTP/1.1 101 Switching Protocols", "echo": "hello"}
    assert mesh.say("websocket", "server", "8100")["echo"] == "hello"


def test_grpc_unary_and_streaming(mesh: Spoken) -> None:
    expected = {"one": "1", "many": ["a", "b", "c"], "code": "FAILED_PRECONDITION"}
    assert mesh.say("call", "server:7070") == expected
    assert mesh.say("call", "server.default.svc.cluster.local:7070") == expected


def test_browsers_call_grpc(mesh: Spoken) -> None:
    found = mesh.say("grpc_web", "server", "7071")
    assert found == {"echo": "web", "type": "application/grpc-web+proto", "done": True}


def test_a_server_that_speaks_first_is_heard(mesh: Spoken) -> None:
    expected = {"first": "220 the server speaks first\r\n", "echo": "and I answer\n"}
    assert mesh.say("greeting", "server", "9000") == expected
    assert mesh.say("greeting", "each", "9000") == expected


def test_mongodb_is_understood_and_counted(mesh: Spoken) -> None:
    assert mesh.say("mongo", "server", "27017") == {"answers": 7, "code": 1}
    until(lambda: mesh.counted("client", "envoy_mongo_", "op_query{") > 0)


@pytest.mark.parametrize(
    ("address", "port", "name"),
    [
        ("server", "8443", "server"),
        (SECURE, "443", SECURE),
        # An address that nobody has: the server name alone says where it goes.
        ("192.0.2.1", "8443", "a.wild.example.com"),
    ],
)
def test_tls_passes_untouched(mesh: Spoken, address: str, port: str, name: str) -> None:
    found = mesh.say("tls", address, port, name)
    assert found["mine"], "another certificate came"
    assert json.loads(found["answer"])["tls"]


def test_the_sidecar_adds_tls_for_a_service_outside(mesh: Spoken) -> None:
    found = mesh.curl("http://secure.example.com/origin")
    assert found["tls"]
    assert found["path"] == "/origin"
    assert found["headers"]["host"] == "secure.example.com"


def test_an_egress_gateway_adds_tls_for_a_service_outside(mesh: Spoken) -> None:
    found = mesh.curl("http://gated.example.com/gated")
    assert found["tls"]
    assert found["headers"]["x-through"] == "egress"
    assert found["headers"]["host"] == "gated.example.com"


def test_only_the_registry_may_be_called_where_a_sidecar_says_so(mesh: Spoken) -> None:
    def code(address: str) -> str:
        asked = f"curl -s -m 2 -o /dev/null -w '%{{http_code}}' {address} || true"
        return mesh.inside("sh", "-c", asked)

    assert code("http://192.0.2.7/") == "000", "nobody is there, but it may be tried"
    mesh.write("alone.yaml", ALONE)
    try:
        until(lambda: code("http://192.0.2.7/") == "502")
        assert code("http://server:8000/") == "200"
    finally:
        (mesh.home / "mesh" / "alone.yaml").unlink()
    until(lambda: code("http://192.0.2.7/") == "000")


def test_names(mesh: Spoken) -> None:
    asked = (
        "server",
        "server.default",
        "server.default.svc.cluster.local",
        "alias",
        "each",
        "secure.example.com",
        "nobody",
        "nobody.default.svc.cluster.local",
    )
    found = mesh.say("names", *asked)
    (address,) = found["server"]
    assert found["server.default"] == found["server.default.svc.cluster.local"] == [address]
    assert found["alias"] == [address]
    assert found["each"] != [address]
    (instance,) = found["each"]
    assert found["secure.example.com"][0].startswith("240.240.")
    assert not isinstance(found["nobody"], list)
    assert not isinstance(found["nobody.default.svc.cluster.local"], list)
    workload = next(w["name"] for w in mesh.status()["workloads"] if w["name"].startswith("server"))
    assert mesh.say("names", f"{workload}.each")[f"{workload}.each"] == [instance]
    assert address in mesh.inside("getent", "hosts", "server")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_questions_to_any_server_are_answered_by_the_sidecar(mesh: Spoken, transport: str) -> None:
    asked = {
        kind: mesh.say("question", transport, name, kind)
        for kind, name in (("A", "server.default.svc.cluster.local"), ("AAAA", "server.default"))
    }
    assert asked["A"]["code"] == asked["AAAA"]["code"] == 0
    assert (asked["A"]["answers"], asked["AAAA"]["answers"]) == (1, 0)
    gone = mesh.say("question", transport, "gone.default.svc.cluster.local", "A")
    assert (gone["code"], gone["answers"]) == (3, 0)
