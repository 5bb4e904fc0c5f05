"""Two control planes, processes of their own, behind one address; one is killed in the middle of a push."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from tests.app.files import replace
from tests.app.one_address import Address

from rhumb.base.tasks import Nursery
from rhumb.testing.ads_client import connecting
from rhumb.testing.fake_envoy import APART, KINDS, METADATA, FakeEnvoy, Request, Response, sidecar
from rhumb.testing.waiting import until
from rhumb.testing.world import sends, service_entry

CLIENTS = 9
ROUNDS = 2


class Files:
    """The configuration that both read."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        for name in ("a", "b", "old-0"):
            self.service(name)
        self.route("a", "old-0")

    def service(self, name: str, address: str = "10.0.1.1") -> None:
        self._put(name, service_entry(name, address))

    def route(self, name: str, to: str) -> None:
        self._put(f"route-{name}", sends(name, to))

    def turn(self, number: int) -> None:
        """Add a service, send another one's requests to it, and remove where they went before."""
        self.service(f"old-{number + 1}", f"10.0.2.{number + 1}")
        self.route("a", f"old-{number + 1}")
        self.service("b", f"10.0.3.{number + 1}")
        (self.directory / f"old-{number}.yaml").unlink()

    def _put(self, name: str, text: str) -> None:
        replace(self.directory / f"{name}.yaml", text)


class Plane:
    """One `rhumb serve` that keeps its port when it is started again."""

    def __init__(self, config: Path, state: Path, log: Path) -> None:
        self.port = 0
        self._config, self._state, self._log = config, state, log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        command = (
            *(sys.executable, "-m", "rhumb", "serve", "--config", str(self._config)),
            *("--state", str(self._state), "--address", "127.0.0.1", "--secure-port", "0"),
            *("--xds-port", str(self.port), "--monitoring-port", "0", "--log-format", "json"),
        )
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(*command, stderr=log)
        async with asyncio.timeout(20):
            while not self._is_ready():
                assert self._process.returncode is None, self._log.read_text()
                await asyncio.sleep(0.02)

    def _is_ready(self) -> bool:
        for line in self._log.read_bytes().splitlines():
            with contextlib.suppress(msgspec.DecodeError):  # it may be half written
                said = msgspec.json.decode(line)
                if said["msg"] == "ready":
                    self.port = said["xds"]
                    return True
        return False

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()


@contextlib.asynccontextmanager
async def two(tmp_path: Path) -> AsyncIterator[tuple[list[Plane], Address, Files]]:
    """Run two over one configuration and one state."""
    files = Files(tmp_path / "config")
    planes = [Plane(files.directory, tmp_path / "state", tmp_path / f"log{n}") for n in range(2)]
    address = Address(lambda: [plane.port for plane in planes])
    try:
        for plane in planes:
            await plane.start()
        async with address.open():
            yield planes, address, files
    finally:
        for plane in planes:
            await plane.kill()


class Client(FakeEnvoy):
    """A proxy that calls back whenever it hears something."""

    def __init__(self, number: int, heard: Callable[[], None] = lambda: None) -> None:
        metadata = APART if number % 3 == 0 else METADATA
        super().__init__(sidecar(number), metadata, delta=number % 3 != 1)
        self.heard = heard
        self.dangled: list[str] = []
        """Routes to nowhere that it ever had."""

    def receive(self, response: Response) -> list[Request]:
        requests = super().receive(response)
        if self.delta:
            # Who returns with a full state does not say what it holds: what is gone meanwhile goes at once.
            self.dangled += self.dangling()
        self.heard()
        return requests

    @property
    def state(self) -> list[dict[str, bytes]]:
        """Return what it holds and asked for: a full state may bring more, which Envoy ignores."""
        return [
            {n: t for n, t in self.texts(kind).items() if n in self.names.get(kind, {n})}
            for kind in KINDS
        ]

    def sends_to(self, name: str) -> bool:
        return f"||{name}.example".encode() in b"".join(
            b"".join(t.values()) for t in self.state[3:]
        )


async def _stay(envoy: FakeEnvoy, address: Address) -> None:
    """Hold a stream; when it ends, come again with what is held."""
    while True:
        async with connecting(envoy, address.port) as link:
            while link.error is None:
                with contextlib.suppress(TimeoutError):
                    await link.ended()


async def _newcomer(number: int, plane: Plane, turn: int) -> list[dict[str, bytes]]:
    """Return what a client has that comes with nothing, once all of a turn has been read."""
    fresh = Client(number)

    def is_there(_: FakeEnvoy) -> bool:
        gone = f"old-{turn}.example" not in repr(fresh.state)
        return gone and fresh.sends_to(f"old-{turn + 1}") and not fresh.warming

    async with connecting(fresh, plane.port) as link:
        await link.wait(is_there)
        return fresh.state


async def _is_as_new(client: Client, plane: Plane, turn: int) -> None:
    number = int(client.node.id.split("~")[1].rpartition(".")[2])
    wanted = await _newcomer(number, plane, turn)
    await until(lambda: client.state == wanted)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("victim", [0, 1])
def test_one_that_is_killed_in_a_push_leaves_its_proxies_to_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, victim: int
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # for those that are killed

    async def scenario() -> None:
        heard = asyncio.Event()
        clients = [Client(number, heard.set) for number in range(1, CLIENTS + 1)]
        nursery = Nursery("test")
        async with two(tmp_path) as (planes, address, files):
            try:
                for client in clients:
                    nursery.start("client", _stay(client, address))
                await until(lambda: all(c.sends_to("old-0") and not c.warming for c in clients))
                for turn in range(ROUNDS):
                    killed = planes[(victim + turn) % 2]
                    left = planes[(victim + turn + 1) % 2]
                    heard.clear()
                    files.turn(turn)
                    await heard.wait()  # the first of them: the others are still to come
                    await killed.kill()
                    for client in clients:
                        await _is_as_new(client, left, turn)
                    assert [c.dangled for c in clients] == [[]] * CLIENTS
                    await killed.start()
            finally:
                await nursery.close()

    asyncio.run(scenario())
