"""Dumps of a real Envoy, shortened, against what was looked at and accepted; and an Envoy that answers."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from rhumb.base.errors import RhumbError
from rhumb.cli import main
from rhumb.cli.proxies import clusters, dump, listeners, routes, secrets
from rhumb.cli.proxies.compare import differences
from rhumb.cli.proxies.origins import Cited, cell, config_path, nth
from rhumb.testing import golden

DUMPS = Path(__file__).with_name("dumps")
FILES = DUMPS / "mesh.yaml"


def run(*arguments: str, text: str = "") -> Result:
    return CliRunner().invoke(main.cli, ["pc", *arguments], input=text)


def of(name: str, *arguments: str) -> str:
    result = run(arguments[0], "-f", str(DUMPS / f"{name}.json"), *arguments[1:])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_tables_of_dumps(bless: bool) -> None:
    actual = {}
    for name in ("productpage", "ingressgateway"):
        for what in ("listeners", "routes", "clusters", "endpoints"):
            actual[f"{name}.{what}.txt"] = of(name, what)
        actual[f"{name}.bootstrap.txt"] = of(name, "bootstrap", "-o", "short")
    actual["productpage.listeners-few.txt"] = of("productpage", "listeners", "--verbose=false")
    actual["productpage.routes-few.txt"] = of("productpage", "routes", "--verbose=false")
    actual["productpage.statuses.txt"] = of("productpage.clusters", "endpoints")
    golden.check(DUMPS, actual, bless=bless)


def test_origins_of_files_name_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DUMPS)
    said = of("productpage", "routes", "--name", "9080", "--config", "mesh.yaml")
    line = (
        FILES.read_text().splitlines().index("  - match: [{headers: {end-user: {exact: jason}}}]")
    )
    assert f"VirtualService default/reviews (mesh.yaml:{line + 1})" in said
    said = of("productpage", "endpoints", "--address", "100.64.0.3", "--config", "mesh.yaml")
    assert said.count("WorkloadEntry default/reviews-v1 (mesh.yaml:") == 2
    said = of("ingressgateway", "listeners", "--port", "80", "--config", "mesh.yaml")
    assert "Gateway default/bookinfo-gateway (mesh.yaml:" in said
    said = of("productpage", "clusters", "--subset", "v2", "--config", "mesh.yaml")
    assert "Service default/reviews (mesh.yaml:" in said
    assert "DestinationRule default/reviews (mesh.yaml:" in said


def first_column(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines()[1:]]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("listeners", "--port", "9080"), ["0.0.0.0"] * 2),
        (("listener", "--address", "100.65.0.3"), ["100.65.0.3"]),
        (("l", "--type", "tcp"), ["100.65.0.3"] + ["0.0.0.0"] * 2),
        (("clusters", "--fqdn", "reviews.default.svc.cluster.local", "--subset", "v1"),
         ["reviews.default.svc.cluster.local"]),
        (("c", "--direction", "inbound"), ["9080"]),
        (("cluster", "--port", "3306"), ["db.default.svc.cluster.local"]),
        (("endpoints", "--address", "100.64.0.5"), ["100.64.0.5:3306"]),
        (("ep", "--cluster", "outbound|9080|v2|reviews.default.svc.cluster.local"),
         ["100.64.0.4:9080"]),
        (("endpoint", "--port", "3306", "--status", "healthy"), ["100.64.0.5:3306"]),
        (("endpoint", "--port", "3306", "--status", "unhealthy"), []),
        (("r", "--name", "nothing"), []),
    ],
)  # fmt: skip
def test_filters(arguments: tuple[str, ...], expected: list[str]) -> None:
    assert first_column(of("productpage", *arguments)) == expected


def test_statuses_say_what_envoy_found_out() -> None:
    assert first_column(of("productpage.clusters", "eds", "--status", "unhealthy")) == [
        "100.64.0.5:3306"
    ]
    ejected = [line for line in of("productpage.clusters", "eds").splitlines() if "FAILED" in line]
    assert all(line.startswith("100.64.0.4:9080") for line in ejected)
    assert len(ejected) == 2


@pytest.mark.parametrize("what", ["listeners", "routes", "clusters", "endpoints", "secrets", "all"])
def test_raw_forms_are_what_envoy_said(what: str) -> None:
    found = json.loads(of("productpage", what, "-o", "json"))
    assert found
    assert yaml.safe_load(of("productpage", what, "-o", "yaml")) == found


def test_bootstrap_is_json_as_a_rule() -> None:
    assert json.loads(of("productpage", "bootstrap"))["bootstrap"]["node"]["id"].startswith("side")


def test_all_tables_one_after_the_other() -> None:
    said = of("productpage", "all")
    heads = [
        line.split("  ")[0] for line in said.splitlines() if line.isupper() or "  TYPE" in line
    ]
    assert heads[0] == "SERVICE FQDN"
    assert {"ADDRESSES", "NAME", "ENDPOINT", "RESOURCE NAME"} <= {
        line.split("  ")[0] for line in said.splitlines()
    }


def test_standard_input_is_read_once() -> None:
    text = (DUMPS / "productpage.json").read_text()
    for what in ("all", "endpoints"):
        assert run(what, "-f", "-", text=text).stdout == of("productpage", what)


def test_what_translate_prints_is_a_dump_too(tmp_path: Path) -> None:
    made = tmp_path / "made.json"
    node = json.dumps(dump.parse((DUMPS / "productpage.json").read_bytes(), "x").node)
    result = CliRunner().invoke(
        main.cli, ["translate", "-f", str(FILES), "--node", "-"], input=node
    )
    made.write_text(result.stdout)
    found = run("routes", "-f", str(made), "--name", "9080")
    assert "VirtualService default/reviews" in found.stdout
    assert found.stdout == of("productpage", "routes", "--name", "9080")


def test_what_is_no_dump_says_how_to_make_one(tmp_path: Path) -> None:
    for text in ("", "[]", "{}", "a: b"):
        file = tmp_path / "x"
        file.write_text(text)
        result = run("routes", "-f", str(file))
        assert isinstance(result.exception, RhumbError)
        assert "config_dump" in result.exception.hint


@pytest.mark.parametrize("arguments", [[], ["a", "-f", "b"], ["a", "--proxy-admin", "b:1"]])
def test_one_proxy_is_to_be_named(arguments: list[str]) -> None:
    result = run("routes", *arguments)
    assert isinstance(result.exception, RhumbError)
    assert "NAME.NAMESPACE" in result.exception.hint


def test_a_file_has_no_loggers() -> None:
    result = run("log", "-f", str(DUMPS / "productpage.json"))
    assert isinstance(result.exception, RhumbError)


class _Admin(BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        if self.path.startswith("/logging"):
            body = b"active loggers:\n  admin: warning\n  http: debug\n"
        elif self.path.startswith("/clusters"):
            body = (DUMPS / "productpage.clusters.json").read_bytes()
        else:
            body = (DUMPS / "productpage.json").read_bytes()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def envoy() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Admin", (_Admin,), {"asked": asked}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_loggers_are_shown_and_set() -> None:
    with envoy() as (address, asked):
        shown = run("log", "--proxy-admin", address)
        assert "http: debug" in shown.stdout
        found = run("log", "--proxy-admin", address, "-o", "json")
        assert json.loads(found.stdout) == {"admin": "warning", "http": "debug"}
        run("log", "--proxy-admin", address, "--level", "http:debug,redis:off")
        run("log", "--proxy-admin", address, "--level", "info,http:trace")
        run("log", "--proxy-admin", address, "--reset")
        wrong = run("log", "--proxy-admin", address, "--level", "http:loud")
    assert asked == [
        "POST /logging",
        "POST /logging",
        "POST /logging?paths=http:debug,redis:off",
        "POST /logging?level=info",
        "POST /logging?paths=http:trace",
        "POST /logging?level=warning",
    ]
    assert wrong.exit_code == 2
    assert '"loud" is none of' in wrong.stderr


def test_an_envoy_anywhere_and_no_control_plane() -> None:
    with envoy() as (address, asked):
        found = run("ep", "--proxy-admin", address, "--control-plane", "127.0.0.1:1")
    assert "100.64.0.4:9080      HEALTHY       FAILED" in found.stdout
    assert "no files and lines" in found.stderr
    assert asked[0] == "GET /clusters?format=json"
    found = run("routes", "--proxy-admin", "127.0.0.1:1")
    assert isinstance(found.exception, RhumbError)
    assert "no Envoy answers" in str(found.exception)


# Parts


def test_matches_of_chains_and_routes() -> None:
    tls = {
        "filter_chain_match": {
            "server_names": ["a", "b"],
            "transport_protocol": "tls",
            "application_protocols": ["h2"],
            "prefix_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}],
            "destination_port": 443,
        },
        "filters": [{"typed_config": {"@type": "x.TcpProxy", "weighted_clusters": {
            "clusters": [{"name": "a", "weight": 1}, {"name": "b", "weight": 3}]}}}],
    }  # fmt: skip
    found = {"name": "x", "address": {"pipe": {"path": "/run/x"}}, "filter_chains": [tls]}
    assert list(listeners.rows([found], {})) == [
        (
            "/run/x",
            "0",
            "SNI: a,b; Trans: tls; App: h2; Addr: 10.0.0.0/8:443",
            "Cluster: a (1), b (3)",
            "-",
        )
    ]
    for match, expected in (
        ({"prefix": "/a"}, "/a*"),
        ({"path": "/a"}, "/a"),
        ({"path_separated_prefix": "/a"}, "/a[/*]"),
        ({"safe_regex": {"regex": "a.*"}}, "regex a.*"),
        ({"prefix": "/", "headers": [{"name": "x", "present_match": True}]}, "/* x"),
        (
            {"prefix": "/", "headers": [
                {"name": "x", "string_match": {"prefix": "a"}, "invert_match": True}]},
            "/* x!=a*",
        ),
        (
            {"prefix": "/", "query_parameters": [
                {"name": "q", "string_match": {"safe_regex": {"regex": "a|b"}}}]},
            "/* q~a|b",
        ),
    ):  # fmt: skip
        assert routes.match({"match": match}) == expected


def test_names_of_clusters() -> None:
    assert clusters.Name.parse("outbound|80|v1|a.b") == clusters.Name("a.b", 80, "v1", "outbound")
    assert clusters.Name.parse("outbound_.80_.v1_.a.b").subset == "v1"
    assert clusters.Name.parse("x|y") == clusters.Name("x|y")


def test_origins_that_do_not_fit_are_not_told() -> None:
    cited = [Cited("Gateway", "a", "b")]
    assert nth([cited], 0, 2) == []
    assert nth([cited], 0, 1) == cited
    assert cell(cited * 4) == "Gateway a/b, Gateway a/b, + 2 more"
    path = "/apis/networking.istio.io/v1alpha3/namespaces/a/destination-rule/b"
    metadata = {"metadata": {"filter_metadata": {"istio": {"config": path}}}}
    assert config_path(metadata) == ("destination-rule", "a", "b")
    assert cell([], metadata) == "DestinationRule a/b"
    assert cell([], {}) == "-"


def test_secrets_tell_how_long_they_are_valid() -> None:
    found = dump.parse((DUMPS / "productpage.json").read_bytes(), "x").secrets
    root, chain = secrets.rows(found, {}, datetime(2026, 11, 21, 12, tzinfo=UTC))
    assert root[:4] == ("ROOTCA", "CA", "ACTIVE", "true")
    assert chain[:4] == ("default", "Cert Chain", "ACTIVE", "true")
    assert chain[7] == "cluster.local"
    later = list(secrets.rows(found, {}, datetime(2030, 1, 1, tzinfo=UTC)))
    assert [row[3] for row in later] == ["true", "false"]
    broken = dump.Secret(name="x", state="WARMING", value={"tls_certificate": {
        "certificate_chain": {"inline_bytes": "!"}}})  # fmt: skip
    (row,) = secrets.rows([broken], {}, datetime(2030, 1, 1, tzinfo=UTC))
    assert row[:4] == ("x", "Cert Chain", "WARMING", "false")


def test_a_difference_between_envoy_and_the_control_plane() -> None:
    envoy_has = dump.parse((DUMPS / "productpage.json").read_bytes(), "x")
    meant = dump.parse((DUMPS / "productpage.json").read_bytes(), "x")
    assert not any(differences(envoy_has, meant).values())
    static = {"agent", "prometheus_stats", "xds-grpc"}
    meant.clusters = [c for c in meant.clusters if c["name"] not in static]
    assert not any(differences(envoy_has, meant).values())
    gone = meant.clusters.pop()
    (table,) = (each for each in meant.routes if each.get("name") == "9080")
    meant.routes = [dict(table, ignore_port_in_host_matching=False)]
    found = differences(envoy_has, meant)
    assert f"+++ envoy {gone['name']}" in found["clusters"]
    assert any("ignore_port" in line for line in found["routes"])
    assert not found["listeners"]


def test_virtual_hosts_that_came_by_themselves_go_by_their_own_names() -> None:
    envoy_has = dump.parse((DUMPS / "productpage.json").read_bytes(), "x")
    meant = dump.parse((DUMPS / "productpage.json").read_bytes(), "x")
    (table,) = (each for each in envoy_has.routes if each.get("name") == "9080")
    hosts = dump.mappings(table["virtual_hosts"])
    apart = [dict(host, name=f"9080/{host['name']}") for host in reversed(hosts)]
    envoy_has.routes = [dict(table, virtual_hosts=apart, vhds={})]
    meant.routes = [table]
    assert not differences(envoy_has, meant)["routes"]
    known = {"9080": {"reviews.default.svc.cluster.local:9080": [[Cited("A", "b", "c")]] * 2}}
    found = list(routes.rows(envoy_has.routes, known))
    assert [row[1] for row in found] == sorted(str(row[1]) for row in found)
    assert [row[5] for row in found if row[1].startswith("reviews")] == ["A b/c"] * 2
