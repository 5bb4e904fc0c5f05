"""Several control planes that share what workloads say: a stream may end at any of them."""

import asyncio
import fcntl
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from tests.sources.workloads import ENTRY, GROUP, REVIEWS, VM, machine, reviews

from rhumb.base.tasks import Nursery
from rhumb.model.proxy import Role
from rhumb.model.resource import Changes, Key
from rhumb.sources.registration import GRACE, Registration
from rhumb.sources.store import ConfigStore
from rhumb.testing import world
from rhumb.testing.clock import FakeClock


class Plane:
    """What one control plane knows of workloads."""

    def __init__(self, directory: Path, clock: FakeClock) -> None:
        self.store = ConfigStore()
        self.store.apply("files", world.resources(GROUP, ENTRY))
        self.desk = Registration(self.store, directory, clock)
        self.desk.load()

    def conditions(self, key: Key) -> object:
        found = self.store.resources.get(key)
        return None if found is None else found.status.get("conditions")

    @property
    def digest(self) -> bytes | None:
        """Return what decides over the bytes that are made of the machine's entry."""
        found = self.store.resources.get(VM)
        return None if found is None else found.digest


class Two:
    """Two control planes over one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = FakeClock()
        self.one = Plane(directory, self.clock)
        self.two = Plane(directory, self.clock)

    def look(self) -> None:
        """Let each look for what the other wrote."""
        for plane in (self.one, self.two):
            plane.desk.load()

    def pass_time(self, by: timedelta) -> None:
        self.clock.advance(by)
        for plane in (self.one, self.two):
            plane.desk.sweep()
        self.look()

    @property
    def known(self) -> tuple[bool, bool]:
        """Tell which of them have the machine."""
        return self.one.digest is not None, self.two.digest is not None


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path / "workloads")


def test_a_machine_that_joins_at_one_is_known_to_all(two: Two) -> None:
    two.one.desk.connected(machine())
    two.look()
    assert two.known == (True, True)
    assert two.one.digest == two.two.digest
    two.pass_time(GRACE * 9)
    assert two.known == (True, True)
    two.one.desk.disconnected(machine())
    two.pass_time(GRACE * 2)
    assert two.known == (False, False)
    assert list(two.directory.glob("*.json")) == []


def test_its_streams_may_end_at_different_ones(two: Two) -> None:
    envoy, agent = machine(), machine(Role.AGENT)
    two.one.desk.connected(envoy)
    two.two.desk.connected(agent)
    two.one.desk.disconnected(envoy)
    two.pass_time(GRACE * 2)
    assert two.known == (True, True)
    two.two.desk.disconnected(agent)
    two.pass_time(GRACE * 2)
    assert two.known == (False, False)


def test_it_moves_from_one_to_the_other(two: Two) -> None:
    two.one.desk.connected(machine())
    two.two.desk.connected(machine())  # before the one hears that it is gone
    two.one.desk.disconnected(machine())
    two.pass_time(GRACE * 2)
    two.two.desk.disconnected(machine())
    two.pass_time(GRACE / 2)
    two.one.desk.connected(machine())
    two.pass_time(GRACE * 2)
    assert two.known == (True, True)


def test_one_that_is_killed_takes_nobody_along_that_comes_back(two: Two) -> None:
    two.one.desk.connected(machine())
    two.look()
    two.one.desk.close()  # as the system does it for a process that is killed
    two.clock.advance(GRACE * 9)
    two.two.desk.sweep()  # seen to be gone now: the machine has its time from here
    assert two.two.digest is not None
    two.clock.advance(GRACE / 2)
    two.two.desk.connected(machine())
    two.clock.advance(GRACE * 9)
    two.two.desk.sweep()
    assert two.two.digest is not None


def test_a_machine_of_one_that_is_killed_leaves_if_it_does_not_come_back(two: Two) -> None:
    two.one.desk.connected(machine())
    two.look()
    two.one.desk.close()
    two.two.desk.sweep()
    two.clock.advance(GRACE * 2)
    two.two.desk.sweep()
    assert two.two.digest is None


def test_one_that_starts_leaves_the_machines_of_the_others_alone(two: Two) -> None:
    two.one.desk.connected(machine())
    third = Plane(two.directory, two.clock)
    two.clock.advance(GRACE * 9)
    third.desk.sweep()
    assert third.digest is not None
    assert two.one.digest == third.digest


def test_health_that_one_was_told_is_known_to_all(two: Two) -> None:
    two.one.desk.connected(reviews())
    two.one.desk.health(reviews(), healthy=False, reason="HTTP 500")
    two.look()
    bad = [{"type": "Healthy", "status": "False", "message": "HTTP 500"}]
    assert two.one.conditions(REVIEWS) == two.two.conditions(REVIEWS) == bad
    # Its agent moves, and the first to hear the next report is the other one.
    two.two.desk.connected(reviews())
    two.one.desk.disconnected(reviews())
    two.two.desk.health(reviews(), healthy=True, reason="")
    two.look()
    good = [{"type": "Healthy", "status": "True"}]
    assert two.one.conditions(REVIEWS) == two.two.conditions(REVIEWS) == good


def test_a_report_that_repeats_what_another_one_heard_is_taken(two: Two) -> None:
    two.one.desk.health(reviews(), healthy=False, reason="HTTP 500")
    two.two.desk.health(reviews(), healthy=True, reason="")  # before it looked
    two.look()
    good = [{"type": "Healthy", "status": "True"}]
    assert two.one.conditions(REVIEWS) == two.two.conditions(REVIEWS) == good


def test_who_comes_back_to_one_that_missed_something_is_believed(two: Two) -> None:
    two.two.desk.health(reviews(), healthy=True, reason="")
    two.one.desk.health(reviews(), healthy=False, reason="HTTP 500")
    two.two.desk.health(reviews(), healthy=True, reason="")
    two.look()
    good = [{"type": "Healthy", "status": "True"}]
    assert two.one.conditions(REVIEWS) == two.two.conditions(REVIEWS) == good
    # The same is said twice, first elsewhere.
    two.one.desk.health(reviews(), healthy=False, reason="HTTP 500")
    two.two.desk.health(reviews(), healthy=False, reason="HTTP 500")
    two.look()
    bad = [{"type": "Healthy", "status": "False", "message": "HTTP 500"}]
    assert two.two.conditions(REVIEWS) == bad


def test_what_is_read_on_the_way_is_told_as_well(two: Two) -> None:
    two.one.desk.connected(reviews())
    two.one.desk.health(reviews(), healthy=True, reason="")
    two.two.desk.connected(reviews())
    two.look()
    two.two.desk.health(reviews(), healthy=False, reason="HTTP 500")
    two.one.desk.disconnected(reviews())  # changes the record that the other one has just written
    two.look()
    bad = [{"type": "Healthy", "status": "False", "message": "HTTP 500"}]
    assert two.one.conditions(REVIEWS) == two.two.conditions(REVIEWS) == bad


@asynccontextmanager
async def followed(plane: Plane) -> AsyncIterator[asyncio.Queue[Changes]]:
    """Let a control plane follow the others, for less time than a look at all files takes to come round."""
    heard: asyncio.Queue[Changes] = asyncio.Queue()
    plane.store.subscribe(heard.put_nowait)
    nursery = Nursery("test")
    following = nursery.start("plane", plane.desk.run())
    try:
        async with asyncio.timeout(4):
            yield heard
    finally:
        assert not following.done()
        await nursery.close()


def test_the_others_hear_of_it_at_once(two: Two) -> None:
    async def scenario() -> None:
        async with followed(two.two) as heard:
            two.one.desk.connected(machine())
            assert (await heard.get()).added == {VM}
            two.one.desk.health(machine(), healthy=False, reason="x")
            assert (await heard.get()).changed == {VM}
            two.one.desk.disconnected(machine())
            two.clock.advance(GRACE * 2)
            two.one.desk.sweep()
            assert (await heard.get()).removed == {VM}

    asyncio.run(scenario())


def test_a_directory_that_was_removed_is_followed_again(
    two: Two, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with followed(two.two) as heard:
            two.one.desk.connected(machine())
            assert (await heard.get()).added == {VM}
            shutil.rmtree(two.directory)
            two.one.desk.connected(machine(Role.AGENT))  # makes it anew
            for reason in ("found by looking", "told"):
                two.one.desk.health(machine(Role.AGENT), healthy=False, reason=reason)
                while reason not in str(two.two.conditions(VM)):
                    await heard.get()

    asyncio.run(scenario())
    assert "not readable" not in caplog.text


def test_a_full_table_of_files_makes_nobody_leave(
    two: Two, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    two.one.desk.connected(machine())
    two.look()

    def refused(*_: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr("rhumb.sources.records.fcntl.flock", refused)
        two.two.desk.sweep()
        two.clock.advance(GRACE * 2)
        two.two.desk.sweep()
    assert "cannot tell which control planes run" in caplog.text
    two.pass_time(GRACE * 2)
    assert two.known == (True, True)


def test_what_the_disk_did_not_take_is_kept_once_it_does(
    two: Two, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("rhumb.sources.records.write_atomic", full)
        two.one.desk.connected(machine())
        two.one.desk.connected(reviews())
        two.one.desk.health(reviews(), healthy=False, reason="HTTP 500")
        for _ in range(3):
            two.pass_time(GRACE)
    assert two.known == (True, False)
    assert caplog.text.count("not kept yet") == 2  # of each once
    two.one.desk.sweep()
    two.look()
    assert two.known == (True, True)
    bad = [{"type": "Healthy", "status": "False", "message": "HTTP 500"}]
    assert two.one.conditions(REVIEWS) == two.two.conditions(REVIEWS) == bad


def test_a_directory_that_is_removed_takes_nobody_along_that_is_connected(two: Two) -> None:
    two.one.desk.connected(machine())
    two.look()
    shutil.rmtree(two.directory)
    two.one.desk.load()
    assert two.one.digest is not None
    two.pass_time(GRACE)
    two.pass_time(GRACE * 2)
    assert two.known == (True, True)
    two.one.desk.disconnected(machine())
    two.pass_time(GRACE * 2)
    assert two.known == (False, False)


def test_one_whose_presence_is_removed_keeps_its_machines(two: Two) -> None:
    two.one.desk.connected(machine())
    two.look()
    shutil.rmtree(two.directory / ".planes")
    two.two.desk.sweep()  # takes the other one for ended
    two.one.desk.load()
    two.pass_time(GRACE / 2)
    two.pass_time(GRACE)
    two.pass_time(GRACE)
    assert two.known == (True, True)


def test_what_is_not_readable_for_a_while_is_read_later(
    two: Two, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    two.one.desk.connected(reviews())
    two.one.desk.health(reviews(), healthy=True, reason="")
    two.look()
    two.one.desk.health(reviews(), healthy=False, reason="HTTP 500")

    def refused(_: Path) -> bytes:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refused)
        two.two.desk.load()
    assert "Too many open files" in str([vars(record) for record in caplog.records])
    assert two.two.conditions(REVIEWS) == [{"type": "Healthy", "status": "True"}]
    two.look()
    bad = [{"type": "Healthy", "status": "False", "message": "HTTP 500"}]
    assert two.two.conditions(REVIEWS) == bad


def test_a_directory_that_may_not_be_read_for_a_while_makes_nobody_leave(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.one.desk.connected(machine())
    two.look()

    def refused(path: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", refused)
        two.look()
    assert two.known == (True, True)


@pytest.mark.parametrize("apart", [timedelta(hours=1), -timedelta(hours=1)])
def test_clocks_that_differ_take_nobody_s_time(two: Two, apart: timedelta) -> None:
    clock = FakeClock()
    clock.jump(apart)
    two.two = Plane(two.directory, clock)
    two.one.desk.connected(machine())
    two.look()
    two.one.desk.disconnected(machine())
    two.look()
    two.two.desk.sweep()
    assert two.known == (True, True)
    clock.advance(GRACE * 2)
    two.two.desk.sweep()
    two.look()
    assert two.known == (False, False)


@pytest.mark.timeout(20)
def test_one_that_hangs_with_the_lock_does_not_stop_the_others(two: Two) -> None:
    two.one.desk.connected(machine())
    with (two.directory / ".lock").open("w") as hanging:
        fcntl.flock(hanging, fcntl.LOCK_EX)
        two.one.desk.connected(reviews())
        two.one.desk.health(reviews(), healthy=True, reason="")
        two.pass_time(GRACE * 2)
        assert two.known == (True, True)
        assert two.two.conditions(REVIEWS) is None
    two.one.desk.sweep()
    two.look()
    assert two.known == (True, True)
    assert two.two.conditions(REVIEWS) == [{"type": "Healthy", "status": "True"}]


def test_what_was_not_kept_is_added_to_what_another_one_wrote_since(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    two.one.desk.connected(machine())
    two.look()
    with monkeypatch.context() as patch:
        patch.setattr("rhumb.sources.records.write_atomic", full)
        two.one.desk.health(machine(Role.AGENT), healthy=False, reason="HTTP 500")
    two.two.desk.connected(machine(Role.AGENT))
    two.look()
    two.one.desk.sweep()
    two.look()
    bad = [{"type": "Healthy", "status": "False", "message": "HTTP 500"}]
    assert two.one.conditions(VM) == two.two.conditions(VM) == bad
    two.one.desk.disconnected(machine())
    two.pass_time(GRACE * 2)
    assert two.known == (True, True)
