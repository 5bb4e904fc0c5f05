"""What to do with a process that must always run: events in, actions out, no process touched."""

import enum
from collections.abc import Callable, Iterator

import msgspec

STEADY_SECONDS = 60.0
"""A process that ran this long is healthy again: the next restart is quick."""
GRACE_SECONDS = 2.0
"""Between the order to end and the kill."""


class State(enum.StrEnum):
    """Where the process is in its life."""

    NEW = "new"
    RUNNING = "running"
    WAITING = "waiting"
    """It died; the next start is due after a delay."""
    DRAINING = "draining"
    """No new work is invited; what is in flight ends."""
    ENDING = "ending"
    """It was told to end."""
    ENDED = "ended"


class Started(msgspec.Struct, frozen=True):
    """The process runs."""


class Exited(msgspec.Struct, frozen=True):
    """The process is gone; `code` is negative for a signal."""

    code: int
    ran_seconds: float


class Failed(msgspec.Struct, frozen=True):
    """The process could not be started."""

    why: str


class Due(msgspec.Struct, frozen=True):
    """The time that a Wait asked for has passed."""


class StopAsked(msgspec.Struct, frozen=True):
    """Somebody wants an orderly end."""


class Drained(msgspec.Struct, frozen=True):
    """Nothing is in flight, or the deadline for it has passed."""


Event = Started | Exited | Failed | Due | StopAsked | Drained


class Spawn(msgspec.Struct, frozen=True):
    """Start the process."""


class Wait(msgspec.Struct, frozen=True):
    """Send Due after this many seconds."""

    seconds: float


class Drain(msgspec.Struct, frozen=True):
    """Begin to drain; send Drained when nothing is left."""


class Terminate(msgspec.Struct, frozen=True):
    """Send SIGTERM."""


class Kill(msgspec.Struct, frozen=True):
    """Send SIGKILL."""


class Finish(msgspec.Struct, frozen=True):
    """All is over."""


Action = Spawn | Wait | Drain | Terminate | Kill | Finish


class Supervisor:
    """The life of one process, restarted with growing delays when it dies by itself."""

    def __init__(self, ladder: Callable[[], Iterator[float]]) -> None:
        """Take what makes the delays before each restart; a steady run begins them anew."""
        self._ladder = ladder
        self._delays = ladder()
        self.state = State.NEW
        self.restarts = 0

    def begin(self) -> list[Action]:
        """Return the first action."""
        return [Spawn()]

    def on(self, event: Event) -> list[Action]:
        """Return what to do about an event; one that does not fit the state asks for nothing."""
        match event:
            case Started():
                return self._started()
            case Exited() | Failed():
                return self._gone(event)
            case Due():
                return self._due()
            case StopAsked():
                return self._stop()
            case Drained() if self.state is State.DRAINING:
                self.state = State.ENDING
                return [Terminate(), Wait(GRACE_SECONDS)]
            case _:
                return []

    def _started(self) -> list[Action]:
        self.state = State.RUNNING
        return []

    def _gone(self, event: Exited | Failed) -> list[Action]:
        if self.state in (State.DRAINING, State.ENDING):
            self.state = State.ENDED
            return [Finish()]
        if isinstance(event, Exited) and event.ran_seconds >= STEADY_SECONDS:
            self._delays = self._ladder()
        self.state = State.WAITING
        self.restarts += 1
        return [Wait(next(self._delays))]

    def _due(self) -> list[Action]:
        if self.state is State.WAITING:
            return [Spawn()]
        return [Kill()] if self.state is State.ENDING else []

    def _stop(self) -> list[Action]:
        if self.state is State.RUNNING:
            self.state = State.DRAINING
            return [Drain()]
        if self.state is State.DRAINING:  # asked twice: somebody is in a hurry
            self.state = State.ENDING
            return [Terminate(), Wait(GRACE_SECONDS)]
        if self.state in (State.NEW, State.WAITING):
            self.state = State.ENDED
            return [Finish()]
        return []
