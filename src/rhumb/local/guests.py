"""Programs that somebody runs in a mesh from a terminal: beside a workload, or as one."""

import asyncio
import contextlib
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator, Mapping

import msgspec

from rhumb.agent.process import wait_exit
from rhumb.base.errors import RhumbError
from rhumb.base.tasks import Nursery
from rhumb.local import programs, resources
from rhumb.local.control_server import Caller
from rhumb.local.members import Member
from rhumb.local.state import State
from rhumb.local.topology import ServicePlan, Topology, WorkloadPlan

Json = dict[str, object]

_GRACE_S = 5.0


class ExecRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A command inside a workload that is there."""

    workload: str
    """NAME, or NAME.NAMESPACE; a service's name means its first workload."""
    argv: tuple[str, ...]
    directory: str
    environment: Mapping[str, str] = {}
    terminal: bool = False
    """The caller's streams are a terminal of the command's own."""


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A command as a workload of its own."""

    service: str
    """NAME, or NAME.NAMESPACE."""
    version: str
    argv: tuple[str, ...]
    directory: str
    environment: Mapping[str, str] = {}


class Guests:
    """Starts such programs, and ends each when its terminal goes away."""

    def __init__(
        self,
        state: State,
        members: Mapping[str, Member],
        add: Callable[[WorkloadPlan], Awaitable[Member]],
        retire: Callable[[Member], Awaitable[None]],
        remove: Callable[[Member], Awaitable[None]],
    ) -> None:
        self._state = state
        self._members = members
        self._add = add
        self._retire = retire
        self._remove = remove
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._plans: dict[str, WorkloadPlan] = {}
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()

    @property
    def files(self) -> frozenset[str]:
        """Return the names of files that describe these workloads."""
        return frozenset(resources.sidecar_file(plan) for plan in self._plans.values())

    def __contains__(self, workload: str) -> bool:
        return workload in self._plans

    async def exec(self, request: Json, caller: Caller) -> Json:
        """Run a command inside a workload; return its exit code when it has ended.

        Raises RhumbError when there is no such workload.
        """
        asked = msgspec.convert(request, ExecRequest)
        member = self.member(asked.workload)
        with self._counted():
            process = programs.start(
                asked.argv,
                member.place(),
                directory=asked.directory,
                environment={**member.environment(), **asked.environment},
                streams=caller.streams,
                terminal=asked.terminal,
            )
            caller.close_streams()
            return {"code": await self._attend(process, caller, None)}

    async def run(self, request: Json, caller: Caller, topology: Topology) -> Json:
        """Run a command as a workload, which gets traffic from when it listens until it ends.

        Raises RhumbError: no such service, the workload is there already, the sidecar does not start.
        """
        asked = msgspec.convert(request, RunRequest)
        service = _service(topology, asked.service)
        plan = _plan(topology, service, asked.version)
        if plan.id in self._members or plan.id in self:
            raise RhumbError(
                f'there is a workload "{plan.id}" already', hint="choose another --version"
            )
        self._plans[plan.id] = plan
        with self._counted():
            try:
                member = await self._add(plan)
                try:
                    return {"code": await self._host(member, asked, caller)}
                finally:
                    await self._remove(member)
            finally:
                del self._plans[plan.id]

    async def _host(self, member: Member, asked: RunRequest, caller: Caller) -> int:
        process = programs.start(
            asked.argv,
            member.place(),
            directory=asked.directory,
            environment=member.environment(asked.environment),
            streams=caller.streams,
        )
        caller.close_streams()
        member.announce()
        return await self._attend(process, caller, member)

    async def _attend(
        self, process: subprocess.Popen[bytes], caller: Caller, member: Member | None
    ) -> int:
        """Wait for a program; `member` is the workload that it is."""
        self._processes.add(process)
        nursery = Nursery("attend")
        nursery.start("signals", self._pass_on(process, caller, member, nursery))
        try:
            return await wait_exit(process)
        finally:
            await nursery.close()
            programs.signal_all(process, signal.SIGKILL)  # and what it left behind
            self._processes.discard(process)

    async def _pass_on(
        self,
        process: subprocess.Popen[bytes],
        caller: Caller,
        member: Member | None,
        nursery: Nursery,
    ) -> None:
        """Pass signals on: the first when nobody calls the workload any more, others at once."""
        seen = 0
        async for number in caller.signals():
            seen += 1
            if seen > 1 or member is None:
                programs.signal_all(process, number)
            else:
                nursery.start("leave", self._leave(process, member, number))
        await self._leave(process, None if seen else member, signal.SIGTERM)
        await asyncio.sleep(_GRACE_S)
        programs.signal_all(process, signal.SIGKILL)

    async def _leave(
        self, process: subprocess.Popen[bytes], member: Member | None, number: signal.Signals
    ) -> None:
        if member is not None:
            await self._retire(member)
        programs.signal_all(process, number)

    async def stop(self) -> None:
        """End all of them."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in list(self._processes):
                programs.signal_all(process, number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._none.wait(), _GRACE_S)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        """Let `stop` wait for the block."""
        self._count += 1
        self._none.clear()
        try:
            yield
        finally:
            self._count -= 1
            if not self._count:
                self._none.set()

    def member(self, name: str) -> Member:
        """Return a running workload by its name, or the first of a service.

        Raises RhumbError that says which there are.
        """
        running = [member for member in self._members.values() if member.running]
        for member in running:
            if name in (member.plan.name, member.plan.id):
                return member
        for member in running:
            if name == member.plan.service:
                return member
        names = ", ".join(sorted(self._members)) or "none"
        raise RhumbError(f'there is no workload "{name}"', hint=f"there is: {names}")


def _service(topology: Topology, name: str) -> ServicePlan:
    for service in topology.services:
        if name in (service.name, f"{service.name}.{service.namespace}"):
            return service
    names = ", ".join(s.name for s in topology.services)
    raise RhumbError(f'there is no service "{name}" in {topology.file}', hint=f"there is: {names}")


def _plan(topology: Topology, service: ServicePlan, version: str) -> WorkloadPlan:
    """Return the plan of one more workload of a service: like its others, but for the version."""
    like = next(
        (
            plan
            for plan in topology.workloads
            if (plan.service, plan.namespace) == (service.name, service.namespace)
        ),
        None,
    )
    name = f"{service.name}-{version}"
    labels = {"app": service.name, **dict(like.labels if like else ()), "version": version}
    return WorkloadPlan(
        name=name,
        namespace=service.namespace,
        workload=name,
        service=service.name,
        labels=tuple(sorted(labels.items())),
        service_account=like.service_account if like else service.name,
        probe=like.probe if like else None,
    )
