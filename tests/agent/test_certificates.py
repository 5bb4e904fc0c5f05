"""The keeper of a workload's certificate, with a clock that is held still."""

import asyncio
import logging
import stat
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from rhumb.agent import sds
from rhumb.agent.ca_client import CaClient, RefusedError
from rhumb.agent.certificates import CertificateKeeper
from rhumb.agent.sds import KeyPair
from rhumb.base.clock import SystemClock
from rhumb.base.errors import RhumbError
from rhumb.ca.authority import Authority, make_root
from rhumb.ca.sign import Names, parse_request, sign
from rhumb.identity.certificates import parse_chain
from rhumb.identity.spiffe import SpiffeId
from rhumb.identity.trust import TrustBundle
from rhumb.testing.ca import running_ca
from rhumb.testing.clock import FakeClock

CART = SpiffeId.of("cluster.local", "shop", "cart")
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Enough(BaseException):
    """Ends a keeper that would run for ever."""


class FakeCa:
    """Signs whatever is asked, by the keeper's own clock; its roots and moods can be changed."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.authority: Authority = make_root(organization="test", now=clock.now(), life=900 * DAY)
        self.errors: list[Exception] = []
        self.proofs: list[str] = []
        self.keys: list[str] = []
        self.identity = CART
        self.skew = timedelta()

    async def issue(
        self,
        request: str,
        *,
        life: timedelta,
        roots: str,
        pair: KeyPair | None = None,
        token: str = "",
    ) -> tuple[str, ...]:
        self.proofs.append("certificate" if pair else f"token {token}")
        asked = parse_request(request)
        self.keys.append(asked.key_digest)
        if self.errors:
            raise self.errors.pop(0)
        now = self.clock.now() + self.skew
        leaf = sign(
            self.authority,
            asked.key,
            Names.of(self.identity, asked.peer),
            now=now,
            life=life or DAY,
        )
        return (leaf.pem, self.authority.roots.pem)


class Bench:
    """A keeper, its CA and its clock; `run` lets a given time pass."""

    def __init__(self, directory: Path, *, token: str = "t1") -> None:
        self.clock = FakeClock()
        self.ca = FakeCa(self.clock)
        self.sleeps: list[float] = []
        self.directory = directory
        self.keeper = self.made(token)
        self.at_sleep: Callable[[], None] = lambda: None

    def made(self, token: str, peer: str = "") -> CertificateKeeper:
        return CertificateKeeper(
            identity=CART,
            peer=peer,
            directory=self.directory,
            signer=self.ca,
            roots=self.ca.authority.roots.pem,
            join_token=token,
            clock=self.clock,
            draw=lambda: 0.5,
            sleep=self._sleep,
        )

    def _sleep(self, seconds: float) -> Awaitable[None]:
        self.sleeps.append(seconds)
        self.at_sleep()
        if self.clock.monotonic() >= self._until:
            raise Enough
        return self.clock.sleep(seconds)

    def run(self, time: timedelta) -> None:
        self._until = self.clock.monotonic() + time.total_seconds()
        with pytest.raises(Enough):
            asyncio.run(self.keeper.run())

    def written(self) -> KeyPair:
        found = sds.read_pair(self.directory)
        assert found is not None
        return found


def test_the_first_certificate_by_token_the_next_by_certificate(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "sds")
    bench.run(timedelta(days=3))
    # Half of a life of 24 h (and the 2 min before its beginning) each.
    assert bench.ca.proofs == ["token t1"] + ["certificate"] * 6
    assert len(set(bench.ca.keys)) == 7  # a new key each time
    assert max(bench.sleeps) == 30.0
    status = bench.keeper.status
    assert status.failures == 0
    assert status.not_after is not None
    assert HOUR * 11 < status.not_after - bench.clock.now() <= DAY
    assert bench.keeper.expiry_seconds() == (status.not_after - bench.clock.now()).total_seconds()


def test_what_is_written_is_private_and_fits_together(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "sds")
    bench.run(HOUR)
    pair = bench.written()
    leaf = parse_chain(pair.chain)[0]
    assert leaf.identity == CART
    assert load_pem_private_key(pair.key.encode(), None) is not None
    assert sds.read_roots(tmp_path / "sds") == bench.ca.authority.roots.pem
    assert {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "sds").iterdir()} == {0o600}
    assert stat.S_IMODE((tmp_path / "sds").stat().st_mode) == 0o700


def test_a_restart_uses_what_is_there(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(HOUR)
    serial = bench.keeper.status.serial
    bench.keeper = bench.made(token="")
    bench.run(HOUR)
    assert bench.keeper.status.serial == serial
    assert bench.ca.proofs == ["token t1"]


@pytest.mark.parametrize(
    "damage", ["{", '{"resources":[]}', '{"resources":[{"@type":"x","name":"y"}]}']
)
def test_a_damaged_file_is_replaced(tmp_path: Path, damage: str) -> None:
    bench = Bench(tmp_path)
    (tmp_path / sds.CERTIFICATE_FILE).write_text(damage)
    bench.run(HOUR)
    assert parse_chain(bench.written().chain)[0].identity == CART


def test_a_workload_that_is_called_otherwise_now_asks_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "sds")
    bench.run(HOUR)
    for peer in ("cart-v2;shop;cart;v2", "cart-v2;shop;cart;v2"):
        bench.keeper = bench.made("", peer)
        bench.run(HOUR)
        assert parse_chain(bench.written().chain)[0].peer == peer
    assert bench.ca.proofs == ["token t1", "certificate"]


def test_a_ca_that_is_away_is_asked_again_with_backoff_and_the_same_key(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.ca.errors = [RhumbError("away")] * 10
    bench.run(HOUR)
    waits = bench.sleeps[:10]
    assert waits == sorted(waits)
    assert 0.25 <= waits[0] <= 0.5
    assert waits[-1] <= 30
    assert len(set(bench.ca.keys)) == 1  # the token is bound to the first key that it meets
    assert bench.keeper.status.failures == 0


def test_no_certificate_expires_silently(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(tmp_path, token="t1")
    bench.run(HOUR)
    bench.ca.errors = [RhumbError("away")] * 100_000
    with caplog.at_level(logging.WARNING):
        bench.run(timedelta(hours=24))
    words = [r.getMessage() for r in caplog.records]
    assert words[0] == "certificate not renewed, trying again"
    assert "certificate not renewed and about to expire" in words
    assert words[-1].startswith("CERTIFICATE EXPIRED")
    assert bench.keeper.status.failures > 100
    left = bench.keeper.expiry_seconds()
    assert left is not None
    assert left < 0
    bench.ca.errors = []
    bench.run(HOUR)  # an expired certificate proves nothing; the token does
    assert bench.ca.proofs[-1] == "token t1"
    assert bench.keeper.status.failures == 0


def test_without_certificate_and_token_the_hint_says_what_to_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path, token="")
    bench.run(timedelta(minutes=1))
    assert bench.ca.proofs == []
    assert "no join token" in bench.keeper.status.last_error
    assert "rhumb ca token create" in caplog.records[0].__dict__["hint"]


def test_a_full_disk_costs_the_ca_no_further_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    bench.run(HOUR)
    before = bench.written()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("rhumb.base.files.os.fsync", full)
        bench.run(timedelta(hours=13))
        assert len(bench.ca.proofs) == 2
        assert bench.written() == before  # whole, as it was
        assert "No space" in bench.keeper.status.last_error
    bench.run(timedelta(minutes=1))
    assert len(bench.ca.proofs) == 2
    assert bench.written() != before
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize("jump", [timedelta(hours=13), timedelta(days=30)])
def test_a_clock_that_jumps_ahead_renews_within_one_check(tmp_path: Path, jump: timedelta) -> None:
    bench = Bench(tmp_path)
    bench.run(HOUR)
    bench.clock.jump(jump)
    bench.run(timedelta(seconds=31))
    assert len(bench.ca.proofs) == 2
    assert (bench.keeper.expiry_seconds() or 0) > 0


def test_a_clock_that_goes_back_before_the_certificate_renews_within_one_check(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path)
    bench.run(HOUR)
    bench.clock.jump(-2 * DAY)
    bench.run(timedelta(seconds=31))
    assert len(bench.ca.proofs) == 2


def test_a_clock_that_is_simply_wrong_does_not_hammer_the_ca(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path)
    bench.ca.skew = -10 * DAY
    bench.run(HOUR)
    assert len(bench.ca.proofs) <= 61
    assert any("set the clock" in r.getMessage() for r in caplog.records)


def test_a_token_for_another_workload_is_of_no_use(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.ca.identity = SpiffeId.of("cluster.local", "bank", "vault")
    bench.run(timedelta(minutes=1))
    assert (
        "this workload is spiffe://cluster.local/ns/shop/sa/cart" in bench.keeper.status.last_error
    )
    assert not (tmp_path / sds.CERTIFICATE_FILE).exists()


def test_roots_are_replaced_as_they_are_distributed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(HOUR)
    other = make_root(organization="test", now=bench.clock.now(), life=DAY).roots
    both = TrustBundle.parse(bench.keeper.roots).plus(other)
    bench.keeper.update_roots(both.pem)
    assert TrustBundle.parse(sds.read_roots(tmp_path)) == both
    with pytest.raises(RhumbError):
        bench.keeper.update_roots("nothing")
    assert TrustBundle.parse(sds.read_roots(tmp_path)) == both


def test_a_refused_certificate_falls_back_to_the_token(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(HOUR)
    bench.ca.errors = [RefusedError("a new CA stands here")]
    bench.run(timedelta(hours=12))
    assert bench.ca.proofs == ["token t1", "certificate", "token t1"]


def test_many_keepers_in_one_process_against_a_real_ca(tmp_path: Path) -> None:
    """Over real gRPC: each gets its own identity, and renews it with its own certificate."""

    async def scenario() -> None:
        clock = SystemClock()
        async with running_ca(tmp_path / "ca", clock) as ca:
            client = CaClient(ca.address, server_name="istiod.istio-system.svc")
            keepers = [
                CertificateKeeper(
                    identity=SpiffeId.of("cluster.local", "shop", f"app-{n}"),
                    directory=tmp_path / f"app-{n}",
                    signer=client,
                    roots=ca.authority.bundle.pem,
                    join_token=ca.tokens.create(
                        namespace="shop", service_account=f"app-{n}", now=clock.now()
                    ),
                )
                for n in range(7)
            ]
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(keeper.run()) for keeper in keepers]
                for keeper in keepers:
                    await asyncio.wait_for(keeper.wait_ready(), 20)
                for task in tasks:
                    task.cancel()
            written = [sds.read_pair(tmp_path / f"app-{n}") for n in range(7)]
            names = [str(parse_chain(pair.chain)[0].identity) for pair in written if pair]
            assert names == [f"spiffe://cluster.local/ns/shop/sa/app-{n}" for n in range(7)]
            assert ca.metrics["success_cert_issuance_count"] == 7

    asyncio.run(scenario())
