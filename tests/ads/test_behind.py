"""A push is over when its clients have it; those who never take it are waited for once."""

import asyncio

from rhumb.ads.behind import Behind

COUNT = 200
PATIENCE_S = 30.0


async def is_over(behind: Behind[int], patience_s: float = PATIENCE_S) -> bool:
    """Tell whether a wait for those who are behind ends at once, or with its patience."""
    task = asyncio.ensure_future(behind.few(patience_s))
    done, _ = await asyncio.wait([task], timeout=0.01)
    task.cancel()
    return bool(done)


def behind(count: int) -> Behind[int]:
    """Return so many that have yet to take something."""
    found = Behind[int]()
    for number in range(count):
        found.add(number)
    return found


def test_nobody_and_a_few_are_not_waited_for() -> None:
    assert asyncio.run(is_over(behind(0)))
    assert asyncio.run(is_over(behind(8)))


def test_many_are_waited_for_until_one_in_ten_is_left() -> None:
    async def scenario() -> None:
        who = behind(COUNT)
        for number in range(COUNT * 9 // 10):
            if number % 60 == 59:
                assert not await is_over(who)
            who.drop(number)
        assert await is_over(who)

    asyncio.run(scenario())


def test_of_a_smaller_push_there_may_be_fewer_left() -> None:
    who = behind(COUNT)
    for number in range(COUNT):
        who.drop(number)
    for number in range(COUNT // 10):
        who.add(number)
    assert not asyncio.run(is_over(who))


def test_who_takes_nothing_in_time_is_waited_for_once() -> None:
    async def scenario() -> None:
        who = behind(COUNT)
        assert await is_over(who, patience_s=0.001)
        assert await is_over(who)
        assert len(who) == 0
        for number in range(COUNT):
            who.add(number)
        assert not await is_over(who)

    asyncio.run(scenario())
