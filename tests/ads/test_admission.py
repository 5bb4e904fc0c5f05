"""Turns and room for new clients, with a clock that moves by what things cost."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from rhumb.ads.admission import Room, Turns
from rhumb.testing.clock import FakeClock


class Client:
    """Somebody who waits."""

    def __init__(self, name: str, since: float = 0.0, cost_ms: float = 1.0) -> None:
        self.name = name
        self.since = since
        self.cost = timedelta(milliseconds=cost_ms)
        self.is_awake = False

    def wake(self) -> None:
        self.is_awake = True


class Queue:
    """Turns, and who was served."""

    def __init__(self, slice_s: float = 0.005) -> None:
        self.clock = FakeClock()
        self.turns = Turns(self.clock, self._work, slice_s)
        self.served: list[str] = []

    def _work(self, client: Client) -> None:
        self.clock.advance(client.cost)
        self.served.append(client.name)

    def slices(self) -> list[list[str]]:
        """Run until nobody waits; return who was served in each slice."""
        found = []
        while self.turns:
            before = len(self.served)
            self.turns.run()
            found.append(self.served[before:])
        return found


def test_what_is_cheap_is_done_at_once() -> None:
    queue = Queue()
    for n in range(50):
        queue.turns.add(Client(f"{n}", n, cost_ms=0.01), "ns")
    assert len(queue.slices()) == 1


def test_a_slice_ends_when_another_would_not_fit_and_serves_one_however_long_it_takes() -> None:
    queue = Queue()
    for n in range(4):
        queue.turns.add(Client(f"{n}", n, cost_ms=100), "ns")
    assert [len(served) for served in queue.slices()] == [1, 1, 1, 1]
    for n in range(40):
        queue.turns.add(Client(f"{n}", n, cost_ms=1), "ns")
    sizes = [len(served) for served in queue.slices()]
    assert max(sizes) <= 5
    assert len(sizes) < 25, "the costly ones are forgotten in time"


def test_groups_take_turns_however_many_are_in_one() -> None:
    queue = Queue()
    for n in range(10):
        queue.turns.add(Client(f"many-{n}", n), "many")
    queue.turns.add(Client("one", 99), "one")
    queue.slices()
    assert queue.served.index("one") == 1


def test_who_came_first_is_done_before_later_ones_begin() -> None:
    queue = Queue()
    first, second = Client("first", 1), Client("second", 2)
    queue.turns.add(second, "ns")
    queue.turns.add(first, "ns")
    queue.turns.run()
    queue.turns.add(first, "ns")  # asks for something else
    queue.turns.add(Client("third", 3), "ns")
    queue.slices()
    assert queue.served == ["first", "second", "first", "third"]


def test_who_has_left_is_not_served_and_who_asks_twice_is_served_once() -> None:
    queue = Queue()
    gone, back, twice = Client("gone", 1), Client("back", 2), Client("twice", 3)
    for client in (gone, back, twice, twice):
        queue.turns.add(client, "ns")
    queue.turns.drop(gone)
    queue.turns.drop(back)
    queue.turns.add(back, "ns")
    queue.slices()
    assert queue.served == ["back", "twice"]


def test_there_is_room_until_the_limit_and_again_when_somebody_has_left() -> None:
    room = Room[Client](limit=100)
    one, two, three = Client("one"), Client("two"), Client("three")
    assert room.admits(one)
    room.enter(one, 60)
    assert room.admits(two)
    room.enter(two, 60)
    assert not room.admits(three)
    room.leave(one)
    assert three.is_awake
    assert room.admits(three)


def test_what_follows_a_response_that_is_on_its_way_does_not_wait_for_it() -> None:
    room = Room[Client](limit=100)
    clusters, other = Client("waits for endpoints"), Client("other", 1)
    assert room.admits(clusters)
    room.enter(clusters, 1000)
    assert not room.admits(other)
    assert room.admits(clusters)
    assert not room.admits(other)
    room.enter(clusters, 200)
    assert room.used == 1200
    room.leave(clusters)
    assert room.used == 0
    assert other.is_awake


def test_whoever_came_first_is_called_first() -> None:
    room = Room[Client](limit=100)
    big, late, early = Client("big"), Client("late", 2), Client("early", 1)
    assert room.admits(big)
    room.enter(big, 1000)
    assert not room.admits(late)
    assert not room.admits(early)
    room.leave(big)
    assert (early.is_awake, late.is_awake) == (True, False)
    newcomer = Client("newcomer", 3)
    assert not room.admits(newcomer)
    assert room.admits(early)
    room.call()  # it had nothing to send after all
    assert (late.is_awake, newcomer.is_awake) == (True, False)


def test_who_has_left_is_not_called() -> None:
    room = Room[Client](limit=100)
    big, gone, there = Client("big"), Client("gone", 1), Client("there", 2)
    assert room.admits(big)
    room.enter(big, 1000)
    assert not room.admits(gone)
    assert not room.admits(there)
    room.drop(gone)
    room.leave(big)
    assert (gone.is_awake, there.is_awake) == (False, True)


def test_who_was_called_and_needs_no_room_any_more_takes_none_from_others() -> None:
    room = Room[Client](limit=9)
    first, idle, last = (Client(name, n) for n, name in enumerate(("first", "idle", "last")))
    assert room.admits(first)
    room.enter(first, 10)
    assert not room.admits(idle)
    assert not room.admits(last)
    for _ in range(30):  # what is usual fills the room
        room.enter(first, 10)
    room.leave(first)
    room.excuse(last)  # who was not called is not forgotten
    assert (idle.is_awake, last.is_awake) == (True, False)
    room.excuse(idle)
    assert (idle.is_awake, last.is_awake) == (True, True)
    assert room.admits(last)


class Crowd:
    """Clients of a room, and what each is about."""

    def __init__(self) -> None:
        self.room = Room[Client](limit=100)
        self.inside: set[Client] = set()
        self.waiting: set[Client] = set()

    def ask(self, client: Client) -> None:
        """Come, or come again when called."""
        if client in self.inside or (client in self.waiting and not client.is_awake):
            return
        client.is_awake = False
        self.waiting.add(client)
        if self.room.admits(client):
            self.waiting.remove(client)
            self.inside.add(client)

    def send(self, client: Client, size: int) -> None:
        """Be about to take a response."""
        if client in self.inside:
            self.room.enter(client, size)

    def answer(self, client: Client) -> None:
        """Have taken it, or have had nothing to take."""
        if client in self.inside:
            self.inside.remove(client)
            self.room.leave(client)

    def go(self, client: Client) -> None:
        """Leave for good."""
        self.room.drop(client)
        self.inside.discard(client)
        self.waiting.discard(client)
        client.is_awake = False


ACTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 300)), max_size=60)


@given(ACTS)
def test_nobody_waits_for_ever(acts: list[tuple[int, int, int]]) -> None:
    crowd = Crowd()
    clients = [Client(f"{n}", n % 3) for n in range(5)]
    for number, act, size in acts:
        client = clients[number]
        if act == 1:
            crowd.send(client, size)
        else:
            {0: crowd.ask, 2: crowd.answer, 3: crowd.go}[act](client)
    for _ in clients:
        for client in clients:
            crowd.answer(client)
        for client in list(crowd.waiting):
            crowd.ask(client)  # who is not awake cannot
    for client in clients:
        crowd.answer(client)
    assert not crowd.waiting
    assert (len(crowd.room), crowd.room.used) == (0, 0)
