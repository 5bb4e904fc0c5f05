"""A whole control plane on free ports, for tests of what proxies and people see of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from rhumb.ads.settings import AdsSettings
from rhumb.app.control_plane import ControlPlane, Ports
from rhumb.app.settings import ServeSettings
from rhumb.base.clock import Clock, SystemClock
from rhumb.base.tasks import Nursery
from rhumb.ca.settings import CaSettings


class Running(msgspec.Struct, frozen=True, eq=False):
    """A control plane that is up."""

    plane: ControlPlane
    ports: Ports

    async def get(self, path: str) -> tuple[int, bytes]:
        """Ask a monitoring page; return status and body."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports.monitoring)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        raw = await reader.read()
        writer.close()
        head, _, body = raw.partition(b"\r\n\r\n")
        return int(head.split()[1]), body

    async def page(self, path: str) -> object:
        """Ask a monitoring page for its JSON."""
        status, body = await self.get(path)
        assert status == 200, body
        return msgspec.json.decode(body)


def settings(config: Path, state: Path, **ads: float) -> ServeSettings:
    """Return settings with free ports on loopback."""
    return ServeSettings(
        config=(config,),
        state=state,
        address="127.0.0.1",
        xds_port=0,
        secure_port=0,
        monitoring_port=0,
        ca=CaSettings(directory=state / "ca"),
        ads=msgspec.convert(ads, AdsSettings),
    )


@contextlib.asynccontextmanager
async def running(wanted: ServeSettings, clock: Clock | None = None) -> AsyncIterator[Running]:
    """Run a control plane while the block runs."""
    plane = ControlPlane(wanted, clock or SystemClock())
    up: asyncio.Future[Ports] = asyncio.get_running_loop().create_future()
    nursery = Nursery("test")
    task = nursery.start("control plane", plane.run(up.set_result))
    try:
        task.add_done_callback(lambda _: up.cancel())
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(up)
        if task.done():
            await task
        yield Running(plane, up.result())
    finally:
        await nursery.close()
