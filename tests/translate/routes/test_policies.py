import pytest

from rhumb.base.durations import Duration
from rhumb.ir.match import TextKind, TextMatch
from rhumb.ir.policy import Abort, Delay, HashKind, HashPolicy
from rhumb.model.kinds.destination_rule import ConsistentHash, HttpCookie
from rhumb.model.kinds.virtual_service import (
    CorsPolicy,
    FaultAbort,
    FaultDelay,
    HttpFaultInjection,
    HttpRetry,
    HttpRoute,
    Percent,
    StringMatch,
)
from rhumb.translate.routes import policies


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(0.1, 1000), (0.0001, 1), (12.5, 125_000), (100.0, 1_000_000), (0.0, 0), (33.3333, 333_333)],
)
def test_percentages_are_exact(percent: float, expected: int) -> None:
    assert policies.per_million(percent) == expected


def test_an_omitted_percentage_is_none_of_the_requests() -> None:
    wanted = HttpFaultInjection(
        delay=FaultDelay(fixed_delay=Duration.parse("2s")), abort=FaultAbort(http_status=500)
    )
    found = policies.fault(wanted)
    assert found is not None
    assert found.delay == Delay(2000, 0)
    assert found.abort == Abort(0, http_status=500)


def test_the_old_integer_percentage_of_a_delay_counts() -> None:
    found = policies.fault(
        HttpFaultInjection(delay=FaultDelay(fixed_delay=Duration.parse("1s"), percent=50))
    )
    assert found is not None
    assert found.delay == Delay(1000, 500_000)


def test_grpc_statuses_are_known_by_name() -> None:
    abort = FaultAbort(grpc_status="UNAVAILABLE", percentage=Percent(value=100))
    found = policies.fault(HttpFaultInjection(abort=abort))
    assert found is not None
    assert found.abort == Abort(1_000_000, grpc_status=14)
    assert policies.grpc_code("no such") is None


def test_retries_by_default_go_elsewhere_and_with_a_hash_stay() -> None:
    default = policies.retry(None, hashed=False)
    assert default is not None
    assert (default.attempts, default.avoids_previous_hosts) == (2, True)
    assert default.on == (
        "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
    )
    hashed = policies.retry(None, hashed=True)
    assert hashed is not None
    assert not hashed.avoids_previous_hosts


def test_no_attempts_are_no_retries() -> None:
    assert policies.retry(HttpRetry(attempts=0), hashed=False) is None
    assert policies.inbound_retry(HttpRetry(attempts=0)) is None


def test_status_codes_among_the_conditions_are_told_apart() -> None:
    wanted = HttpRetry(attempts=3, retry_on="5xx, 429,503", per_try_timeout=Duration.parse("1s"))
    found = policies.retry(wanted, hashed=False)
    assert found is not None
    assert found.on == "5xx,retriable-status-codes"
    assert found.status_codes == (429, 503)
    assert found.per_try_timeout_ms == 1000


def test_mirrors_copy_everything_unless_told_otherwise() -> None:
    assert policies.mirror_share(HttpRoute()) == 1_000_000
    assert policies.mirror_share(HttpRoute(mirror_percent=0)) == 0
    assert policies.mirror_share(HttpRoute(mirror_percentage=Percent(value=0.5))) == 5000


def test_cors_origins_old_and_new() -> None:
    old = policies.cors(CorsPolicy(allow_origin=("a",)))
    new = policies.cors(CorsPolicy(allow_origin=("a",), allow_origins=(StringMatch(prefix="b"),)))
    assert old is not None
    assert new is not None
    assert old.origins == (TextMatch(TextKind.EXACT, "a"),)
    assert new.origins == (TextMatch(TextKind.PREFIX, "b"),)


def test_hash_keys() -> None:
    cookie = ConsistentHash(http_cookie=HttpCookie(name="u", ttl=Duration.parse("0s")))
    assert policies.hash_policy(cookie) == (HashPolicy(HashKind.COOKIE, "u", "", 0),)
    assert policies.hash_policy(ConsistentHash(use_source_ip=True)) == (
        HashPolicy(HashKind.SOURCE_IP),
    )
    assert policies.hash_policy(ConsistentHash()) == ()
    assert policies.hash_policy(None) == ()
