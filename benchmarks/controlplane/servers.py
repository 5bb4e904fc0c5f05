"""The servers that are measured, each a process of its own."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from benchmarks import processes


class Server:
    """A process and what it uses."""

    def __init__(
        self,
        process: "subprocess.Popen[str]",
        target: str,
        monitoring: str = "",
        secure: str = "",
        ca: Path = Path(),
    ) -> None:
        self.process = process
        self.target = target
        self.monitoring = monitoring
        """Base of the URLs of debug pages."""
        self.secure = secure
        """The TLS door."""
        self.ca = ca
        """Where its CA keeps its state."""

    @property
    def cpu_ms(self) -> float:
        """Return the milliseconds of CPU used so far."""
        return processes.cpu_seconds([self.process.pid]) * 1000

    @property
    def rss_mib(self) -> float:
        """Return the resident memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def say(self, line: str) -> None:
        """Give it an order."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def page(self, path: str) -> object:
        """Return a debug page."""
        with urllib.request.urlopen(f"{self.monitoring}{path}", timeout=10) as answer:
            return msgspec.json.decode(answer.read())


@contextmanager
def control_plane(config: Path, state: Path, *options: str, xds_port: int = 0) -> Iterator[Server]:
    """Run `rhumb serve` on a directory while the block runs, and print what it calls a defect of its own."""
    text = state / f"log-{time.monotonic_ns()}"
    with text.open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "rhumb", "serve", "--config", str(config)),
                *("--state", str(state), "--secure-port", "0", "--xds-port", str(xds_port)),
                *("--monitoring-port", "0", "--log-level", "info", "--log-format", "json"),
                *options,
            ],
            stdout=log,
            stderr=log,
            text=True,
        )
    try:
        found = _ports(process, text)
        yield Server(
            process,
            f"127.0.0.1:{found['xds']}",
            f"http://127.0.0.1:{found['monitoring']}",
            f"127.0.0.1:{found['secure']}",
            state / "ca",
        )
    finally:
        _end(process)
        for line in _defects(text):
            print(line, file=sys.stderr)


@contextmanager
def floor() -> Iterator[Server]:
    """Run the bare server while the block runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.controlplane.floor"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield Server(process, f"127.0.0.1:{process.stdout.readline().strip()}")
    finally:
        _end(process)


def _ports(process: "subprocess.Popen[str]", log: Path) -> dict[str, int]:
    for _ in range(600):
        for line in log.read_text().splitlines():
            with suppress(msgspec.DecodeError):
                said = msgspec.json.decode(line)
                if said.get("msg") == "ready":
                    return {name: int(said[name]) for name in ("xds", "monitoring", "secure")}
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError(f"rhumb serve did not start: {log.read_text()[-2000:]}")


def _defects(log: Path) -> Iterator[str]:
    """Yield what nobody but the log tells: configuration that proxies go without."""
    for line in log.read_text(errors="replace").splitlines():
        if '"defect: ' in line or "Traceback" in line:
            yield f"  the control plane says: {line[:2000]}"


def _end(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
