"""The Bookinfo scenarios through real Envoys in real namespaces."""

from pathlib import Path

import pytest

from rhumb.local import linux
from rhumb.local.check import run as check

SAMPLES = Path(__file__).resolve().parents[2] / "samples" / "bookinfo"


@pytest.mark.e2e
@pytest.mark.netns
@pytest.mark.envoy
@pytest.mark.timeout(300)
@pytest.mark.skipif(bool(linux.reason_without_namespaces()), reason="no user namespaces")
def test_every_scenario_shows_what_it_claims(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A socket's path is short: the state must not stand below pytest's long directories.
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("s")))
    lines: list[str] = []
    assert check.run(SAMPLES, lines.append), "\n".join(lines)
