"""Garbage is collected on the event loop's thread, whoever leaves it."""

import asyncio
import gc
import threading

from rhumb.base.garbage import collect_here


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


def test_knots_of_other_threads_end_on_the_loops() -> None:
    ended: list[int] = []

    async def main() -> None:
        collecting = asyncio.ensure_future(collect_here(0.01))
        await asyncio.sleep(0)
        await asyncio.to_thread(leave_knots, ended)
        while len(ended) < 10 * gc.get_threshold()[0]:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        collecting.cancel()
        await asyncio.wait([collecting])

    asyncio.run(main())
    assert set(ended) == {threading.get_ident()}


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
