"""Garbage is collected on the event loop's thread, whoever leaves it."""

import asyncio
import gc
import threading
from functools import partial

import pytest

from rhumb.base import garbage
from rhumb.base.garbage import collect_here
from rhumb.testing.waiting import until


class Knot:
    """Refers to itself, so that only a collection ends it; tells on which thread that was."""

    def __init__(self, ended: list[int]) -> None:
        self.itself = self
        self.ended = ended

    def __del__(self) -> None:
        self.ended.append(threading.get_ident())


def leave_knots(ended: list[int]) -> None:
    for _ in range(10 * gc.get_threshold()[0]):
        Knot(ended)


def is_taken_to_stay(one: Knot) -> bool:
    return all(each is not one for each in gc.get_objects())


def test_knots_of_other_threads_end_on_the_loops() -> None:
    ended: list[int] = []

    async def main() -> None:
        collecting = asyncio.ensure_future(collect_here(0.01))
        await asyncio.sleep(0)
        await asyncio.to_thread(leave_knots, ended)
        await until(lambda: len(ended) >= 10 * gc.get_threshold()[0])
        collecting.cancel()
        await asyncio.wait([collecting])

    asyncio.run(main())
    assert set(ended) == {threading.get_ident()}


@pytest.mark.parametrize(("grown", "rounds"), [(1.5, 1 << 40), (1 << 40, 5)])
def test_what_was_taken_to_stay_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch, grown: float, rounds: int
) -> None:
    """Once it has become much, or in time."""
    monkeypatch.setattr(garbage, "_GROWN", grown)
    monkeypatch.setattr(garbage, "_ALL_EVERY", rounds)
    monkeypatch.setattr(garbage, "_OLDER_EVERY", 1)
    ended: list[int] = []

    async def main() -> None:
        collecting = asyncio.ensure_future(collect_here(0.001))
        await asyncio.sleep(0)
        known = gc.get_freeze_count()
        while not ended:
            old = [Knot(ended) for _ in range(known // 4)]
            await until(partial(is_taken_to_stay, old[-1]))
            old.clear()
        collecting.cancel()
        await asyncio.wait([collecting])

    asyncio.run(asyncio.wait_for(main(), 60))


def test_python_collects_by_itself_again_afterwards() -> None:
    async def main() -> None:
        collecting = asyncio.ensure_future(collect_here())
        await asyncio.sleep(0)
        assert not gc.isenabled()
        collecting.cancel()
        await asyncio.wait([collecting])

    asyncio.run(main())
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
    ended: list[int] = []
    other = threading.Thread(target=leave_knots, args=(ended,))
    other.start()
    other.join()
    assert other.ident in ended
