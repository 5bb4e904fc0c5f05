"""Several control planes over one state directory: one CA, whoever is faster."""

import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rhumb.ca.active import CertificateAuthority
from rhumb.ca.rotation import Phase
from rhumb.ca.serving import ServingCertificate
from rhumb.ca.settings import CaSettings
from rhumb.testing.clock import FakeClock

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def opened(directory: Path, root_ttl: timedelta = 3650 * DAY) -> CertificateAuthority:
    ca = CertificateAuthority(CaSettings(directory=directory, root_ttl=root_ttl))
    ca.open(NOW)
    return ca


def overtake(
    slow: CertificateAuthority,
    fast: CertificateAuthority,
    now: datetime,
    patch: pytest.MonkeyPatch,
) -> None:
    """Let both see the same thing due, and the fast one do it just before the slow one may."""
    locked = slow.store.locked

    @contextmanager
    def late() -> Iterator[None]:
        fast.refresh(now)
        with locked():
            yield

    with patch.context() as patched:
        patched.setattr(slow.store, "locked", late)
        slow.refresh(now)


def test_all_that_start_at_once_have_one_root(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: opened(tmp_path).bundle, range(4)))
    assert len({bundle.pem for bundle in found}) == 1


def test_a_step_of_a_rotation_is_taken_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    one.note_issued(one.signing, NOW + 9 * DAY)
    one.rotate(NOW)
    two.refresh(NOW)
    overtake(two, one, NOW + DAY, monkeypatch)
    # A second step would drop a root that certificates in use hang on.
    assert one.state.phase is two.state.phase is Phase.SIGNING
    assert one.bundle == two.bundle
    assert len(two.bundle.roots) == 2


def test_an_old_root_is_replaced_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = opened(tmp_path, 100 * DAY), opened(tmp_path, 100 * DAY)
    overtake(two, one, NOW + 81 * DAY, monkeypatch)
    assert one.state == two.state
    assert two.state.phase is Phase.TRUSTING
    assert "not refreshed" not in caplog.text


def test_each_shows_a_certificate_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    ca = CertificateAuthority(CaSettings(directory=tmp_path))
    ca.open(clock.now())
    one, two = ServingCertificate(ca, clock), ServingCertificate(ca, clock)
    load = ssl.SSLContext.load_cert_chain

    def late(context: ssl.SSLContext, file: str) -> None:
        """Let the other one make its own while this one's key is on the disk."""
        monkeypatch.undo()
        two.context()
        load(context, file)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", late)
    one.context()
    assert one.certificate is not None
    assert two.certificate is not None
    assert one.certificate != two.certificate
    assert list(ca.store.serving.iterdir()) == []
