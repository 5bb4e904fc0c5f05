"""`rhumb up` that is not let finish."""

import signal
import subprocess

import pytest
from tests.local.mesh import WHOLE_MESH, Mesh, until

pytestmark = [*WHOLE_MESH, pytest.mark.timeout(60)]


@pytest.mark.parametrize("capture", ["redirect", "none"])
def test_ctrl_c_while_it_starts_leaves_nothing(capture: str) -> None:
    with Mesh() as mesh:
        process = subprocess.Popen(
            mesh.argv("up", "--capture", capture),
            env=mesh.environment,
            cwd=mesh.home,
            stderr=subprocess.DEVNULL,
        )
        try:
            until(lambda: list((mesh.home / "s" / "rhumb").glob("*/host.pid")))
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
        finally:
            process.kill()
            process.wait()
        assert mesh.processes() == []
        assert mesh.states == []
