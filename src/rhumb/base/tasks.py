"""The only place that starts tasks: each has a name and an owner."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine

Job = Callable[[], Awaitable[None]]

_log = logging.getLogger(__name__)


async def together(**jobs: Job) -> None:
    """Run every job until one fails or the caller is cancelled; then stop them all.

    A job that returns has finished its work; the others go on.
    Raises an ExceptionGroup with what failed.
    """
    async with asyncio.TaskGroup() as group:
        for name, job in jobs.items():
            group.create_task(_run(job), name=name)


async def _run(job: Job) -> None:
    await job()


class Nursery:
    """Tasks that come and go while their owner lives, e.g. one per connection.

    A failing task is logged and dropped; its siblings go on.
    """

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, name: str, job: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Start a task under this owner."""
        task = asyncio.get_running_loop().create_task(job, name=f"{self._owner}/{name}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("task failed", extra={"task": task.get_name()}, exc_info=error)

    async def close(self) -> None:
        """Cancel all tasks and wait until they have ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
