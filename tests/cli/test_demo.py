"""`rhumb demo` where the sample runs already, or does not start."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.test_main import run

from rhumb.base.errors import RhumbError
from rhumb.cli import demo
from rhumb.cli.printer import Exit
from rhumb.local import state, up

SAMPLE = Path(__file__).resolve().parents[2] / "samples" / "bookinfo" / "rhumb.yaml"


def _host(mesh: state.State) -> subprocess.Popen[bytes]:
    """Start what looks like a host process of a mesh."""
    argv = [sys.executable, "-c", "print(flush=True); input()", str(mesh.directory)]
    host = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert host.stdout is not None
    host.stdout.readline()  # it runs, and shows its arguments
    return host


def test_a_mesh_that_it_did_not_start_is_not_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    mesh = state.of(SAMPLE)
    mesh.make()
    (mesh.directory / state.CAPTURE).write_text("NONE\n")
    with _host(mesh) as host:
        try:
            (mesh.directory / state.PID).write_text(f"{host.pid}\n")
            done = run("demo", "--capture", "redirect", home=tmp_path)
            assert done.returncode == Exit.FAILED
            assert "the mesh runs with --capture none" in done.stderr
            assert host.poll() is None
            assert mesh.pid == host.pid
        finally:
            host.kill()


@pytest.fixture
def _signals() -> Iterator[None]:
    """Give back what the command takes for itself."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_signals")
@pytest.mark.parametrize("runs", [True, False])
def test_a_mesh_that_is_not_ready_is_left_to_be_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: bool
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    ended = list[state.State]()
    monkeypatch.setattr(up, "down", ended.append)
    mesh = state.of(SAMPLE)
    mesh.make()
    with _host(mesh) as host:

        def fails(*_: object, **__: object) -> None:
            if runs:
                (mesh.directory / state.PID).write_text(f"{host.pid}\n")
            raise RhumbError("the mesh is not ready in time")

        monkeypatch.setattr(demo, "start", fails)
        try:
            with pytest.raises(RhumbError, match="not ready"):
                demo.command.main([], standalone_mode=False)
        finally:
            host.kill()
    assert len(ended) == (0 if runs else 1)
