import asyncio
import shutil
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rhumb.base.errors import RhumbError
from rhumb.ca.active import CertificateAuthority
from rhumb.ca.authority import Authority, make_root
from rhumb.ca.bundle import keep_current
from rhumb.ca.rotation import Phase
from rhumb.ca.settings import CaSettings
from rhumb.ca.tokens import TokenBook
from rhumb.identity.trust import TrustBundle
from rhumb.testing.clock import FakeClock

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def _opened(
    directory: Path, *, cacerts: Path | None = None, root_ttl: timedelta = 3650 * DAY
) -> CertificateAuthority:
    ca = CertificateAuthority(CaSettings(directory=directory, cacerts=cacerts, root_ttl=root_ttl))
    ca.open(NOW)
    return ca


def _phase(ca: CertificateAuthority) -> Phase:
    return ca.state.phase


def _given(directory: Path) -> Authority:
    root = make_root(organization="given", now=NOW, life=3650 * DAY)
    directory.mkdir(exist_ok=True)
    for name, text in root.files().items():
        (directory / name).write_text(text)
    return root


def test_a_restart_finds_the_same_root(tmp_path: Path) -> None:
    assert _opened(tmp_path).bundle == _opened(tmp_path).bundle


def test_what_is_kept_is_its_owners_only(tmp_path: Path) -> None:
    _opened(tmp_path / "ca")
    modes = {
        stat.S_IMODE(p.stat().st_mode)
        for p in (tmp_path / "ca").rglob("*")
        if p.is_file() and p.name != "lock"
    }
    assert modes == {0o600}
    assert stat.S_IMODE((tmp_path / "ca").stat().st_mode) == 0o700


def test_a_rotation_that_another_process_began_is_taken_up(tmp_path: Path) -> None:
    server, operator = _opened(tmp_path), _opened(tmp_path)
    heard: list[TrustBundle] = []
    server.on_bundle(heard.append)
    server.note_issued(server.signing, NOW + DAY)
    old = server.signing.id

    operator.rotate(NOW)
    server.refresh(NOW)
    assert (server.state.phase, server.signing.id) == (Phase.TRUSTING, old)
    assert [len(b.roots) for b in heard] == [2]

    server.refresh(NOW + DAY)
    assert _phase(server) is Phase.SIGNING
    assert server.signing.id != old
    assert server.serving.id == old
    server.note_issued(server.signing, NOW + 2 * DAY)

    server.refresh(NOW + DAY + timedelta(hours=2))
    assert _phase(server) is Phase.STEADY
    assert [len(b.roots) for b in heard] == [2, 1]
    assert not (tmp_path / old).exists()
    operator.refresh(NOW + DAY)
    assert operator.signing.id == server.signing.id


def test_another_given_ca_is_rotated_to(tmp_path: Path) -> None:
    first, second = _given(tmp_path / "one"), _given(tmp_path / "two")
    ca = _opened(tmp_path / "ca", cacerts=tmp_path / "one")
    assert ca.signing.id == first.id
    again = _opened(tmp_path / "ca", cacerts=tmp_path / "two")
    assert (again.state.phase, again.signing.id) == (Phase.TRUSTING, first.id)
    assert second.certificate in again.bundle
    third = _opened(tmp_path / "ca", cacerts=tmp_path / "two")  # a restart in the middle goes on
    third.refresh(NOW + DAY)
    assert third.signing.id == second.id


def test_a_self_signed_root_is_rotated_before_its_end(tmp_path: Path) -> None:
    ca = _opened(tmp_path, root_ttl=100 * DAY)
    ca.refresh(NOW + 79 * DAY)
    assert _phase(ca) is Phase.STEADY
    ca.refresh(NOW + 81 * DAY)
    assert _phase(ca) is Phase.TRUSTING


def test_a_full_disk_leaves_what_is_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = _opened(tmp_path)
    before = ca.bundle
    ca.rotate(NOW)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("rhumb.base.files.os.fsync", full)
        ca.refresh(NOW + DAY)
        assert _phase(ca) is Phase.TRUSTING
        with pytest.raises(OSError, match="No space"):
            ca.note_issued(ca.signing, NOW + 9 * DAY)
    assert before.roots[0] in ca.bundle
    ca.refresh(NOW + DAY)
    assert _phase(ca) is Phase.SIGNING


def test_a_directory_that_is_gone_leaves_what_is_in_force(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ca = _opened(tmp_path / "ca")
    before = ca.bundle
    shutil.rmtree(tmp_path / "ca")
    ca.refresh(NOW + DAY)
    assert ca.bundle == before
    assert f"the CA in {tmp_path}/ca is gone" in str([vars(found) for found in caplog.records])
    with pytest.raises(RhumbError, match="is gone") as error:
        ca.note_issued(ca.signing, NOW + 9 * DAY)
    assert "restore it" in error.value.hint


def test_a_damaged_state_is_not_overwritten(tmp_path: Path) -> None:
    _opened(tmp_path)
    (tmp_path / "rotation.json").write_text("{")
    with pytest.raises(RhumbError, match="cannot read"):
        _opened(tmp_path)
    assert (tmp_path / "rotation.json").read_text() == "{"


def test_a_state_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RhumbError, match="state directory"):
        _opened(tmp_path / "file" / "ca")


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("rhumb.ca.store.fcntl.flock", refused)
    with pytest.raises(RhumbError, match=f"{tmp_path}: No locks available") as error:
        _opened(tmp_path)
    assert "must have locks" in error.value.hint


def test_a_disk_that_only_reads_does_not_end_who_keeps_it_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ca, clock = _opened(tmp_path), FakeClock(NOW)
    tokens = TokenBook(ca.store.tokens)
    tokens.create(namespace="shop", service_account="cart", now=NOW)

    async def wait(_: float) -> None:
        if clock.now() > NOW + DAY:
            raise asyncio.CancelledError
        clock.advance(DAY / 2)

    def refused(path: Path, **_: object) -> None:
        raise OSError(30, "Read-only file system", str(path))

    async def scenario() -> None:
        with pytest.raises(asyncio.CancelledError):
            await keep_current(ca, tokens, clock, wait=wait)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refused)
        asyncio.run(scenario())
    assert "expired join tokens not removed" in caplog.text
