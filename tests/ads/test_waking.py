"""Streams are woken some in each round of the loop: whoever else needs the loop has it in between."""

import asyncio
from datetime import timedelta

from rhumb.ads.waking import Waking
from rhumb.testing.clock import FakeClock

COUNT = 1000


class Rounds:
    """Sleepers whose work takes a millisecond each, and a count of the rounds that others had."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.waking = Waking(self.clock, slice_s=0.005)
        self.woken: list[int] = []
        self.sizes: list[int] = []
        """How many were woken in each round."""

    async def run(self, *numbers: int) -> None:
        """Wake sleepers, and look after each round."""
        for number in numbers:
            self.waking.add(Sleeper(self, number))
        self.waking.run()
        told = asyncio.ensure_future(self.waking.done())
        while not told.done():
            self.sizes.append(len(self.woken) - sum(self.sizes))
            await asyncio.sleep(0)


class Sleeper:
    def __init__(self, rounds: Rounds, number: int) -> None:
        self.rounds = rounds
        self.number = number

    def wake(self) -> None:
        self.rounds.clock.advance(timedelta(milliseconds=1))
        self.rounds.woken.append(self.number)


def test_all_are_woken_in_turn_and_no_round_takes_them_all() -> None:
    rounds = Rounds()
    asyncio.run(rounds.run(*range(COUNT)))
    assert rounds.woken == list(range(COUNT))
    assert max(rounds.sizes) <= 32
    assert max(rounds.sizes[2:]) == 8, "they take longer than a slice, and as many of them still"


def test_what_is_quick_is_done_in_few_rounds_also_after_a_rest() -> None:
    rounds = Rounds()

    async def passed() -> int:
        for number in range(COUNT):
            rounds.waking.add(Idle(number))
        rounds.waking.run()
        told, passed = asyncio.ensure_future(rounds.waking.done()), 0
        while not told.done():
            await asyncio.sleep(0)
            passed += 1
        return passed

    async def main() -> tuple[int, int]:
        first = await passed()
        rounds.clock.advance(timedelta(hours=1))
        return first, await passed()

    first, again = asyncio.run(main())
    assert first < 12
    assert again == 1, "as many as fitted before fit again"


def test_a_run_that_goes_on_is_not_begun_again() -> None:
    rounds = Rounds()

    async def main() -> None:
        for number in range(COUNT):
            rounds.waking.add(Sleeper(rounds, number))
        rounds.waking.run()
        rounds.waking.run()
        assert len(rounds.woken) == 32
        await rounds.waking.done()

    asyncio.run(main())
    assert rounds.woken == list(range(COUNT))


class Idle:
    def __init__(self, number: int) -> None:
        self.number = number

    def wake(self) -> None:
        """Cost nothing."""


def test_a_few_are_woken_at_once_and_who_has_left_is_not() -> None:
    rounds = Rounds()
    one, other = Sleeper(rounds, 1), Sleeper(rounds, 2)
    for each in (one, other, one):
        rounds.waking.add(each)
    rounds.waking.drop(other)

    async def main() -> None:
        rounds.waking.run()
        await rounds.waking.done()

    asyncio.run(main())
    assert rounds.woken == [1]
