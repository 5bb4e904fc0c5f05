"""Bookinfo by itself, without a mesh: real processes on ephemeral ports."""

import http.client
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from rhumb.cli.validate import command as validate
from rhumb.local.topology import load

HOME = Path(__file__).parents[2] / "samples" / "bookinfo"
APPS = HOME / "apps"
SCENARIOS = sorted(p.name for p in (HOME / "scenarios").iterdir())
SORRY = "Sorry, product {} are currently unavailable for this book."


class Service:
    """One running program."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self.process = process
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, path: str, method: str = "GET", body: str | None = None, **headers: str
    ) -> tuple[int, str, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(
                method, path, body, {k.replace("_", "-"): v for k, v in headers.items()}
            )
            answer = connection.getresponse()
            return (
                answer.status,
                answer.read().decode(),
                {k.lower(): v for k, v in answer.getheaders()},
            )
        finally:
            connection.close()

    def told(self, **faults: object) -> None:
        assert self.ask("/admin/faults", "POST", json.dumps(faults))[0] == 200


@contextmanager
def _run(program: str, *options: str, **environment: str) -> Iterator[Service]:
    argv = [sys.executable, str(APPS / program), "--host", "127.0.0.1", "--port", "0", *options]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            yield Service(process, int(process.stdout.readline().rpartition(":")[2]))
        finally:
            process.kill()


@contextmanager
def _bookinfo(version: str = "v3") -> Iterator[dict[str, Service]]:
    with ExitStack() as stack:
        ratings = stack.enter_context(_run("ratings.py"))
        details = stack.enter_context(_run("details.py"))
        reviews = stack.enter_context(
            _run("reviews.py", "--version", version, "--ratings", ratings.url)
        )
        page = stack.enter_context(
            _run(
                "productpage.py",
                *("--details", details.url, "--reviews", reviews.url, "--ratings", ratings.url),
            )
        )
        yield {"page": page, "details": details, "reviews": reviews, "ratings": ratings}


@pytest.mark.parametrize(("version", "stars"), [("v1", ""), ("v2", "black"), ("v3", "red")])
def test_the_page_shows_the_book_and_the_stars_of_its_version(version: str, stars: str) -> None:
    with _bookinfo(version) as services:
        status, page, headers = services["page"].ask("/productpage")
    assert status == 200
    assert headers["content-type"].startswith("text/html")
    assert "William Shakespeare" in page
    assert f'data-version="{version}"' in page
    assert page.count('class="stars') == (2 if stars else 0)
    assert f'class="stars {stars}"' in page or not stars


def test_the_api_answers_as_istios_sample_does() -> None:
    with _bookinfo() as services:
        page = services["page"]
        assert json.loads(page.ask("/api/v1/products")[1])[0]["id"] == 0
        assert json.loads(page.ask("/api/v1/products/0")[1])["author"] == "William Shakespeare"
        found = json.loads(page.ask("/api/v1/products/0/reviews")[1])
        assert [r["rating"] for r in found["reviews"]] == [
            {"stars": 5, "color": "red"},
            {"stars": 4, "color": "red"},
        ]
        ratings = services["ratings"]
        assert json.loads(ratings.ask("/ratings/0")[1]) == {
            "id": 0,
            "ratings": {"Reviewer1": 5, "Reviewer2": 4},
        }
        assert ratings.ask("/ratings/0", "POST", '{"Reviewer1": 1}')[0] == 200
        assert json.loads(page.ask("/api/v1/products/0/ratings")[1])["ratings"] == {"Reviewer1": 1}
        for service, path, status in (
            ("details", "/details/x", 400),
            ("details", "/nothing", 404),
            ("ratings", "/ratings/x", 400),
            ("reviews", "/reviews/0/1", 404),
            ("page", "/api/v1/products/0/prices", 404),
        ):
            assert services[service].ask(path)[0] == status


def test_a_service_that_fails_costs_its_own_panel_only() -> None:
    with _bookinfo() as services:
        page = services["page"]
        services["ratings"].told(status=503)
        found = page.ask("/productpage")[1]
        assert found.count("Ratings service is currently unavailable") == 2
        assert "William Shakespeare" in found
        services["reviews"].told(status=500)
        assert SORRY.format("reviews") in page.ask("/productpage")[1]
        assert page.ask("/api/v1/products/0/reviews")[0] == 500
        services["details"].process.kill()
        _ = services["details"].process.wait()
        status, found, _ = page.ask("/productpage")
        assert status == 200
        assert SORRY.format("details") in found
        assert SORRY.format("reviews") in found


def test_faults_by_request_and_by_file(tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    with _run("details.py", BOOKINFO_FAULTS=str(file)) as details:
        details.told(status=503, every=2)
        assert [details.ask("/details/0")[0] for _ in range(6)] == [200, 503] * 3
        assert json.loads(details.ask("/admin/stats")[1])["requests"] == {"200": 3, "503": 3}
        assert details.ask("/admin/faults", "DELETE")[0] == 200
        assert details.ask("/details/0")[0] == 200
        assert details.ask("/health")[0] == 200
        file.write_text('{"healthy": false}')
        assert details.ask("/health")[0] == 503
        assert details.ask("/details/0")[0] == 200
        file.unlink()
        assert details.ask("/health")[0] == 200
        assert details.ask("/admin/faults", "POST", "rubbish")[0] == 400


def test_signing_in_and_out() -> None:
    with _bookinfo() as services:
        page = services["page"]
        status, _, headers = page.ask("/login", "POST", "username=jason%0d%0aX-Evil:+1")
        assert (status, headers["location"]) == (302, "/productpage")
        cookie = headers["set-cookie"].split(";")[0]
        assert cookie == "bookinfo-user=jasonX-Evil1"
        assert "Sign out" in page.ask("/productpage", cookie="bookinfo-user=jason")[1]
        assert "&lt;b&gt;" in page.ask("/productpage", cookie="bookinfo-user=%3Cb%3E")[1]
        assert "Max-Age=0" in page.ask("/logout")[2]["set-cookie"]


def test_tracing_headers_and_the_user_go_all_the_way() -> None:
    heard: dict[str, str] = {}

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.update({k.lower(): v for k, v in self.headers.items()})
            self.send_response(503)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    sent = {
        "x-request-id": "r",
        "x-b3-traceid": "t",
        "x-b3-spanid": "s",
        "x-b3-sampled": "1",
        "b3": "b",
        "traceparent": "p",
        "tracestate": "q",
        "user-agent": "phone",
    }
    with HTTPServer(("127.0.0.1", 0), Listener) as server, ExitStack() as stack:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        _ = stack.callback(thread.join)
        _ = stack.callback(server.shutdown)
        ratings = f"http://127.0.0.1:{server.server_address[1]}"
        reviews = stack.enter_context(_run("reviews.py", "--version", "v2", "--ratings", ratings))
        page = stack.enter_context(
            _run("productpage.py", "--details", ratings, "--reviews", reviews.url)
        )
        assert page.ask("/productpage", cookie="bookinfo-user=jason", other="x", **sent)[0] == 200
    assert {name: heard[name] for name in sent} == sent
    assert heard["end-user"] == "jason"
    assert "other" not in heard


def test_a_request_in_progress_survives_the_order_to_stop() -> None:
    with _run("details.py") as details:
        details.told(delay=0.5)
        answers: list[int] = []
        thread = threading.Thread(target=lambda: answers.append(details.ask("/details/0")[0]))
        thread.start()
        while json.loads(details.ask("/admin/stats")[1])["in_progress"] < 2:  # itself is one
            pass
        details.process.send_signal(signal.SIGTERM)
        assert details.process.wait(10) == 0
        thread.join(10)
        assert answers == [200]


def test_the_traffic_generator_counts_what_came_back() -> None:
    with _bookinfo("v2") as services:
        services["ratings"].told(status=503, every=2)
        url = services["page"].url + "/productpage"
        argv = [
            sys.executable,
            str(APPS / "traffic.py"),
            url,
            "--rate",
            "0",
            "--json",
            "--concurrency",
            "2",
        ]
        done = subprocess.run([*argv, "--count", "100"], capture_output=True, text=True, timeout=20)
        found = json.loads(done.stdout)
        assert (found["requests"], found["failed"], done.returncode) == (100, 0, 0)
        assert found["versions"] == {"v2": 100}
        assert found["panels"] == {"no ratings": 50}
        services["page"].told(status=503)
        done = subprocess.run([*argv, "--count", "10"], capture_output=True, text=True, timeout=20)
        assert json.loads(done.stdout)["failed"] == 10
        assert done.returncode == 1


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_is_accepted_and_adds_only(scenario: str) -> None:
    paths = ["-f", str(HOME / "mesh"), "-f", str(HOME / "scenarios" / scenario)]
    result = CliRunner().invoke(validate, [*paths, "-o", "json"])
    findings = json.loads(result.stdout)
    assert result.exit_code == 0, findings
    # One of them shows an old spelling, which works and warns.
    assert len(findings) == (1 if scenario == "outlier" else 0), findings
    names = [
        (doc.split("kind: ")[1].split()[0], doc.split("name: ")[1].split()[0])
        for folder in ("mesh", f"scenarios/{scenario}")
        for file in sorted((HOME / folder).glob("*.yaml"))
        for doc in file.read_text().split("\n---\n")
    ]
    assert len(names) == len(set(names))


def test_no_scenario_lies_over_what_is_always_in_force() -> None:
    """Its files are copied into mesh/, and removed from there by name."""
    always = {p.name for p in (HOME / "mesh").iterdir()}
    assert not always & {p.name for s in SCENARIOS for p in (HOME / "scenarios" / s).iterdir()}


def test_every_scenario_is_described() -> None:
    text = (HOME / "README.md").read_text()
    assert [s for s in SCENARIOS if f"| `{s}` |" not in text] == []


def test_the_mesh_file_is_what_the_page_says() -> None:
    mesh = load(HOME / "rhumb.yaml", {})
    assert {w.name for w in mesh.workloads} == {
        *("productpage-v1", "details-v1", "reviews-v1", "reviews-v2", "reviews-v3", "ratings-v1"),
        "ingressgateway",
    }
    published = [p for w in mesh.workloads for p in w.publish]
    assert [(p.address, p.host_port, p.port) for p in published] == [
        ("127.0.0.1", 8080, 80),
        ("127.0.0.1", 8443, 443),
    ]


def test_the_certificate_script_makes_a_secret_that_is_accepted(tmp_path: Path) -> None:
    secret = tmp_path / "secret.yaml"
    argv = [sys.executable, str(HOME / "certs.py"), str(tmp_path / "tls"), "--secret", str(secret)]
    _ = subprocess.run(argv, check=True, capture_output=True)
    assert {p.name for p in (tmp_path / "tls").iterdir()} == {"ca.crt", "tls.crt", "tls.key"}
    assert (tmp_path / "tls" / "tls.key").stat().st_mode & 0o077 == 0
    assert CliRunner().invoke(validate, ["-f", str(secret)]).exit_code == 0
