"""Istio's metrics out of Envoy's text."""

from rhumb.agent.metrics import rewrite
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


def test_catch_alls_are_services_of_their_own() -> None:
    (got,) = lines(sample("source", "PassthroughCluster"))
    assert 'destination_service="PassthroughCluster"' in got
    assert 'destination_service_name="PassthroughCluster"' in got


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
