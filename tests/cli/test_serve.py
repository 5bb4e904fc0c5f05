"""`rhumb serve` as a process: signals, kill -9, ports in use, bad settings."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rhumb.testing.ads_client import connecting
from rhumb.testing.fake_envoy import EDS, RDS, FakeEnvoy

CONFIG = """
apiVersion: v1
kind: Service
metadata: {{name: reviews}}
spec:
  clusterIP: 10.96.0.10
  selector: {{app: reviews}}
  ports: [{{name: http, port: 9080}}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: reviews-1}}
spec: {{address: {address}, labels: {{app: reviews}}}}
"""
NODE = "sidecar~10.0.0.1~client-1.default~default.svc.cluster.local"


class Serving:
    """One `rhumb serve`; its ports stay the same when it is started again."""

    def __init__(self, directory: Path) -> None:
        self.config = directory / "config"
        self.config.mkdir()
        self.state = directory / "state"
        self.write("10.0.0.2")
        self.ports: dict[str, int] = {}
        self.process: subprocess.Popen[str] | None = None

    def write(self, address: str) -> None:
        (self.config / "mesh.yaml").write_text(CONFIG.format(address=address))

    def command(self, **ports: int) -> list[str]:
        known = self.ports | ports
        return [
            *(sys.executable, "-m", "rhumb", "serve", "--config", str(self.config)),
            *("--state", str(self.state), "--address", "127.0.0.1", "--log-format", "json"),
            *("--xds-port", str(known.get("xds", 0))),
            *("--secure-port", str(known.get("secure", 0))),
            *("--monitoring-port", str(known.get("monitoring", 0))),
        ]

    def start(self) -> None:
        self.process = subprocess.Popen(self.command(), stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        seen = []
        for line in self.process.stderr:
            seen.append(line)
            said = json.loads(line)
            if said["msg"] == "ready":
                self.ports = {name: said[name] for name in ("xds", "secure", "monitoring")}
                return
        raise AssertionError(f"it ended: {seen}")

    def stop(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(10)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


@pytest.fixture
def serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # for those that are killed
    made = Serving(tmp_path)
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.process.kill()
            made.process.wait()
        if made.process is not None and made.process.stderr is not None:
            made.process.stderr.close()


def has_routes(client: FakeEnvoy) -> bool:
    return "9080" in client.held.get(RDS, {})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_and_well_even_with_a_stream_open(
    serving: Serving, number: signal.Signals
) -> None:
    async def scenario() -> None:
        client = FakeEnvoy(NODE)
        async with connecting(client, serving.ports["xds"]) as link:
            await link.wait(has_routes)
            assert await asyncio.to_thread(serving.stop, number) == 0
            error = await link.ended()
            assert "shutting down" in (error.details() or "")

    serving.start()
    asyncio.run(scenario())


def test_after_kill_9_a_client_gets_what_changed_and_no_more(serving: Serving) -> None:
    client = FakeEnvoy(NODE)

    async def scenario(expected: str) -> None:
        async with connecting(client, serving.ports["xds"]) as link:
            await link.wait(lambda e: any(expected.encode() in t for t in e.texts(EDS).values()))
            await link.wait(has_routes)

    serving.start()
    asyncio.run(scenario("10.0.0.2"))
    serving.stop(signal.SIGKILL)
    serving.write("10.0.0.3")
    client.responses.clear()
    serving.start()
    asyncio.run(scenario("10.0.0.3"))
    cluster = "outbound|9080||reviews.default.svc.cluster.local"
    assert [(kind, names) for kind, names, _ in client.responses] == [(EDS, (cluster,))]


def test_a_port_in_use_and_a_missing_path_are_errors_with_a_hint(serving: Serving) -> None:
    serving.start()
    again = subprocess.run(
        serving.command(secure=0, monitoring=0), capture_output=True, text=True, timeout=20
    )
    assert again.returncode == 2
    assert f"error: cannot listen on 127.0.0.1:{serving.ports['xds']}: process" in again.stderr
    assert "hint: stop it, or choose another port with --xds-port" in again.stderr
    assert "Traceback" not in again.stderr
    with contextlib.suppress(FileNotFoundError):
        serving.config.rename(serving.config.with_name("elsewhere"))
    missing = subprocess.run(
        serving.command(xds=0, secure=0, monitoring=0), capture_output=True, text=True, timeout=20
    )
    assert missing.returncode == 2
    assert f"error: configuration path {serving.config} does not exist" in missing.stderr


@pytest.mark.parametrize("words", [(), ("ca", "init")])
def test_a_disk_that_takes_nothing_is_an_error_that_names_the_file(
    serving: Serving, words: tuple[str, ...]
) -> None:
    rhumb = (sys.executable, "-m", "rhumb")
    command = [*rhumb, *words, "--state", str(serving.state)] if words else serving.command()
    done = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *command],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {serving.state}/ca/")
    assert "File too large\nhint: " in done.stderr
