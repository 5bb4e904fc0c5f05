"""A real Envoy that moves between control planes: it is sent nothing again, and loses no request."""

import asyncio
import contextlib
from http import HTTPStatus
from pathlib import Path

import pytest
from tests.app.live_envoy import application, envoy, free_port
from tests.app.one_address import Address
from tests.app.test_virtual_hosts import (
    NODE,
    OK,
    Files,
    ask,
    first_answer,
    until,
)

from rhumb.base.tasks import Nursery
from rhumb.testing.control_plane import Running, running, settings

pytestmark = pytest.mark.envoy


def pushed(up: Running) -> int:
    """Return how many responses the one stream of a control plane was sent; -1 when it has none."""
    return next((stream.pushes for stream in up.plane.ads.streams), -1)


async def served(up: Running, kinds: frozenset[str]) -> None:
    """Wait until a control plane has the proxy, and knows all that it holds."""
    async with asyncio.timeout(15):
        while True:
            for _, rows in up.plane.ads.status():
                if kinds <= {row.type for row in rows if row.state == "SYNCED"}:
                    return
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("delta", [True, False])
def test_envoy_moves_and_is_sent_nothing_again(tmp_path: Path, delta: bool) -> None:
    kinds = frozenset({"CDS", "EDS", "LDS", "RDS"} | ({"VHDS"} if delta else set()))

    async def scenario() -> None:
        async with application() as app, contextlib.AsyncExitStack() as stack:
            files = Files(tmp_path / "config", app)
            port = free_port()
            for name in ("a", "b", "c"):
                files.service(name, port)
            wanted = settings(files.directory, tmp_path / "state")
            one = await stack.enter_async_context(running(wanted))
            other = await stack.enter_async_context(running(wanted))
            address = Address(lambda: (one.ports.xds, other.ports.xds))
            await stack.enter_async_context(address.open())
            await stack.enter_async_context(
                envoy(tmp_path / "envoy", address.port, NODE, delta=delta)
            )
            assert await first_answer(port, "a") == OK
            await served(one, kinds)
            nursery = Nursery("test")
            stack.push_async_callback(nursery.close)
            answers: set[tuple[int, str]] = set()
            nursery.start("asking", _ask_on(port, answers))

            await address.drop()
            await served(other, kinds)
            assert pushed(other) == 0
            files.route("a", "one")
            await until(port, "a", (HTTPStatus.OK, "one"), OK)
            await served(other, kinds)
            assert pushed(other) == 1

            await address.drop()
            await served(one, kinds)
            assert pushed(one) == 0
            # What has changed on the way is all that it is sent.
            await address.drop()
            files.route("a", "two")
            await until(port, "a", (HTTPStatus.OK, "two"), (HTTPStatus.OK, "one"))
            await served(other, kinds)
            assert pushed(other) == 1
            assert answers == {OK}

    asyncio.run(scenario())


async def _ask_on(port: int, answers: set[tuple[int, str]]) -> None:
    while True:
        answers.add(await ask(port, "b"))
