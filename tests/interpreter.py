"""A piece of a test in an interpreter of its own: one with threads can make no namespaces."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_PATIENCE_S = 10.0


def run(module: str, piece: str, *, seconds: float) -> None:
    """Run `python -m MODULE PIECE`; what it prints to standard error says why it failed.

    Its temporary files go with it, even those of processes that it killed.
    """
    # Below /tmp: a socket's path has 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="rm", dir="/tmp") as home:
        argv = ["env", f"TMPDIR={home}", sys.executable, "-m", module, piece]
        with subprocess.Popen(argv, cwd=_ROOT, stderr=subprocess.PIPE, text=True) as process:
            try:
                _, told = process.communicate(timeout=seconds)
            finally:
                if process.poll() is None:
                    _end(process)
    assert process.returncode == 0, told


def _end(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGINT)  # it ends what it has started
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
