"""The process that is the mesh: makes the ground, runs the control plane, keeps every workload.

Started by `in_namespaces` (then it is process 1 of the mesh: when it ends, everything ends) or by
`on_loopback`.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import uvloop

from rhumb.agent import binary, http
from rhumb.agent.settings import from_environment
from rhumb.base.clock import SystemClock
from rhumb.base.errors import RhumbError
from rhumb.base.files import write_atomic
from rhumb.base.garbage import collect_here
from rhumb.base.tasks import Nursery
from rhumb.ca.active import CertificateAuthority
from rhumb.ca.settings import CaSettings
from rhumb.ca.tokens import TokenBook
from rhumb.local import addresses, orphans, programs, resources, topology
from rhumb.local.addresses import next_address
from rhumb.local.control_server import Caller, ControlServer
from rhumb.local.ground import READY_S, Ground, UnfitError
from rhumb.local.guests import Guests
from rhumb.local.hearing import heard
from rhumb.local.members import Member, Surroundings, row
from rhumb.local.plane import ControlPlane
from rhumb.local.published import Published
from rhumb.local.resources import Seated
from rhumb.local.state import SOURCE, State
from rhumb.local.topology import ServicePlan, Topology, WorkloadPlan

_log = logging.getLogger(__name__)

_TOKEN_LIFE = timedelta(minutes=10)
_SERVE_S = 3.0
_MAX_DUMP = 512 * 1024 * 1024
"""Bytes of an answer of Envoy's admin interface."""
Json = dict[str, object]


class Supervisor:
    """A running local mesh."""

    def __init__(self, state: State, ground: Ground) -> None:
        self._state = state
        self._ground = ground
        self._nursery = Nursery("mesh")
        self._clock = SystemClock()
        self._ca = CaSettings(
            directory=state.plane / "ca",
            serving_addresses=tuple({"127.0.0.1", ground.plane.address}),
        )
        self._authority = CertificateAuthority(self._ca)
        self._plane = ControlPlane(state, ground.plane, self._clock)
        self._members: dict[str, Member] = {}
        self._services: dict[str, str] = {}
        self._published = Published()
        self._topology: Topology | None = None
        self._around: Surroundings | None = None
        self._guests = Guests(state, self._members, self._host, self._retire, self._leave)
        self._stop = asyncio.Event()
        self.ready = False
        self.failure = ""
        self.unfit = False
        """The failure is the ground's: another may do."""

    async def run(self) -> None:
        """Run the mesh until it is told to stop."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        listening = socket.socket(socket.AF_UNIX)
        path = self._state.control
        path.unlink(missing_ok=True)
        listening.bind(str(path))
        path.chmod(0o600)
        listening.listen(64)
        self._nursery.start("control", ControlServer(listening, self._answer).run())
        self._nursery.start("garbage", collect_here())
        self._nursery.start("reap", orphans.reap())
        self._nursery.start("start", self._start())
        try:
            await self._stop.wait()
        finally:
            await self._end()

    async def _start(self) -> None:
        try:
            await self._ground.set_up()
            self._inherit_sockets()
            self._authority.open(self._clock.now())
            self._around = Surroundings(
                state=self._state,
                ground=self._ground,
                published=self._published,
                envoy=binary.find("", from_environment()),
                roots=self._authority.bundle.pem,
            )
            await self._apply(self._load())
            self.ready = True
        except UnfitError as error:
            self.failure, self.unfit = str(error), True
        except (RhumbError, OSError) as error:
            self.failure = str(error)
            _log.error("the mesh did not start: %s", error)
        except BaseExceptionGroup as group:
            self.failure = "; ".join(str(e) for e in group.exceptions)
            _log.error("the mesh did not start: %s", self.failure)
        except Exception as error:
            self.failure = f"{type(error).__name__}: {error}"
            _log.exception("the mesh did not start")
            raise

    def _load(self) -> Topology:
        source = Path((self._state.directory / SOURCE).read_text().strip())
        return topology.load(source, programs.own_environment())

    def _inherit_sockets(self) -> None:
        try:
            found = json.loads((self._state.directory / "sockets.json").read_text())
        except FileNotFoundError:
            return
        for name, handle in found.items():
            self._published.add(name, socket.socket(fileno=handle))

    def _receive(self, request: Json, caller: Caller) -> None:
        """Take the sockets that a command opened for ports that are new."""
        names = request.get("sockets")
        if not isinstance(names, list) or not names:
            return
        for name, handle in zip(names, caller.take(), strict=True):
            self._published.add(str(name), socket.socket(fileno=handle))

    # --- bringing a topology about ---------------------------------------------------------

    async def _apply(self, wanted: Topology) -> Json:
        """Make the mesh what a topology says: what differs restarts, the rest is left alone."""
        for service in wanted.services:
            if service.id not in self._services:
                taken = set(self._services.values())
                self._services[service.id] = next_address(addresses.SERVICES, taken)
        self._ground.allow_outside(wanted.outside)
        self._published.keep({p.name for plan in wanted.workloads for p in plan.publish})
        plans = {plan.id: plan for plan in wanted.workloads}
        seated = {plan.id: self._seated(plan, wanted) for plan in wanted.workloads}
        own = {name: m for name, m in self._members.items() if name not in self._guests}
        stopped = [m for name, m in own.items() if name not in plans]
        changed = [m for name, m in own.items() if name in plans and m.differs(seated[name])]
        fresh = [one for name, one in seated.items() if name not in self._members]
        # Before their services go: what is in flight still needs them.
        await self._retire(*stopped, *changed)
        self._write(wanted, seated.values())
        await self._plane.serve(wanted.config)
        self._topology = wanted
        async with asyncio.TaskGroup() as group:
            for member in (*stopped, *changed):
                group.create_task(self._remove(member), name=f"remove {member.plan.id}")
        for member in stopped:
            self._ground.release(member.plan.id)
        coming = (*fresh, *(seated[m.plan.id] for m in changed))
        async with asyncio.TaskGroup() as group:
            for one in coming:
                group.create_task(self._add(one), name=f"add {one.plan.id}")
        await self._serving(self._members[one.plan.id] for one in coming)
        return {
            "started": [one.plan.id for one in fresh],
            "restarted": [m.plan.id for m in changed],
            "stopped": [m.plan.id for m in stopped],
        }

    def _seated(self, plan: WorkloadPlan, wanted: Topology) -> Seated:
        service = _service_of(plan, wanted)
        return Seated(
            plan=plan,
            service=service,
            seat=self._ground.seat(plan, service),
            shared=self._ground.shared,
            doors=self._ground.doors(plan, wanted.services),
        )

    def _write(self, wanted: Topology, seated: Iterable[Seated]) -> None:
        folder = self._state.generated
        files = resources.documents(wanted, seated, self._services)
        for name, text in files.items():
            path = folder / name
            if not path.exists() or path.read_text() != text:
                write_atomic(path, text)
        entries = {resources.entry_file(m.plan) for m in self._members.values()}
        keep = files.keys() | entries | self._guests.files
        for path in folder.glob("*.yaml"):
            if path.name not in keep:
                path.unlink()

    async def _add(self, seated: Seated) -> Member:
        assert self._around is not None
        plan = seated.plan
        token = TokenBook(self._authority.store.tokens).create(
            namespace=plan.namespace,
            service_account=plan.service_account,
            now=self._clock.now(),
            ttl=_TOKEN_LIFE,
        )
        member = self._members[plan.id] = Member(seated, self._around, token)
        try:
            async with asyncio.timeout(READY_S):
                await member.start()
        except TimeoutError:
            found = await member.sidecar.status() if member.sidecar else None
            why = f": {found.why}" if found and found.why else ""
            raise RhumbError(f"{plan.id} is not ready after {READY_S:.0f} s{why}") from None
        return member

    async def _serving(self, members: Iterable[Member]) -> None:
        """Wait until workloads take traffic, but not long: some programs take their time, or fail."""
        waiting = list(members)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SERVE_S):
                for member in waiting:
                    await member.wait_announced()
        come = [_name(member) for member in waiting if member.announced]
        await heard(self._ground.plane, come=come)

    async def _retire(self, *members: Member) -> None:
        """Let no more traffic come to workloads, and what is in flight end."""
        gone = [_name(member) for member in members if member.announced]
        for member in members:
            member.retract()
        if gone and not await heard(self._ground.plane, gone=gone):
            _log.warning("not known whether all proxies have heard who leaves")
        async with asyncio.TaskGroup() as group:
            for member in members:
                group.create_task(member.drain(), name=f"drain {member.plan.id}")

    async def _remove(self, member: Member) -> None:
        self._members.pop(member.plan.id, None)
        await member.stop()

    # --- workloads that no file describes --------------------------------------------------

    async def _host(self, plan: WorkloadPlan) -> Member:
        """Add one."""
        assert self._topology is not None
        seated = self._seated(plan, self._topology)
        if seated.shared:
            path = self._state.generated / resources.sidecar_file(plan)
            write_atomic(path, resources.sidecar_text(seated))
        try:
            return await self._add(seated)
        except BaseException:
            if plan.id in self._members:
                await self._leave(self._members[plan.id])
            raise

    async def _leave(self, member: Member) -> None:
        """Take one away."""
        await self._remove(member)
        (self._state.generated / resources.sidecar_file(member.plan)).unlink(missing_ok=True)
        self._ground.release(member.plan.id)

    # --- control socket --------------------------------------------------------------------

    async def _answer(self, request: Json, caller: Caller) -> Json:
        match request.get("do"):
            case "status":
                return await self._status()
            case "apply":
                self._receive(request, caller)
                return await self._apply(self._load())
            case "get":
                return await self._get(str(request["path"]))
            case "admin":
                return await self._admin(request)
            case "metrics":
                return await self._metrics()
            case "exec":
                return await self._guests.exec(request, caller)
            case "run" if self._topology is not None:
                return await self._guests.run(request, caller, self._topology)
            case "stop":
                self._stop.set()
                return {"stopping": True}
            case other:
                raise RhumbError(f"unknown request {other!r}")

    async def _get(self, path: str) -> Json:
        target = http.Target(host="127.0.0.1", port=self._ground.plane.monitoring)
        try:
            answer = await http.request(target, path)
        except OSError as error:
            raise RhumbError(
                f"the control plane does not answer: {error}",
                hint="if it ended it is started again by itself; see `rhumb logs`",
            ) from None
        return {"status": answer.status, "body": answer.body.decode(errors="replace")}

    async def _admin(self, request: Json) -> Json:
        """Ask the Envoy of a workload."""
        member = self._guests.member(str(request["workload"]))
        if member.sidecar is None:
            raise RhumbError(f"{member.plan.id} has no sidecar")
        method = "POST" if request.get("post") else "GET"
        try:
            answer = await http.request(
                member.sidecar.envoy.admin, str(request["path"]), method=method, limit=_MAX_DUMP
            )
        except OSError as error:
            raise RhumbError(
                f"the Envoy of {member.plan.id} does not answer: {error}", hint="see `rhumb ps`"
            ) from None
        body = answer.body.decode(errors="replace")
        return {"workload": member.plan.id, "status": answer.status, "body": body}

    async def _metrics(self) -> Json:
        found: Json = {}
        for name, member in self._members.items():
            if member.sidecar is not None and member.ready:
                with contextlib.suppress(OSError):
                    found[name] = (await member.sidecar.metrics()).decode(errors="replace")
        return {"metrics": found}

    async def _status(self) -> Json:
        return {
            "ready": self.ready,
            "failure": self.failure,
            "unfit": self.unfit,
            "pid": os.getpid(),
            "control_plane": self._plane.pid,
            "capture": self._state.capture.value.lower(),
            "published": self._published.names,
            "workloads": [await row(member) for member in self._in_order()],
        }

    def _in_order(self) -> list[Member]:
        """Return all members as rhumb.yaml names them, then guests."""
        plans = self._topology.workloads if self._topology is not None else ()
        names = dict.fromkeys((*(plan.id for plan in plans), *self._members))
        return [self._members[name] for name in names if name in self._members]

    async def _end(self) -> None:
        await self._guests.stop()
        members = list(self._members.values())
        async with asyncio.TaskGroup() as group:
            for member in members:
                group.create_task(member.stop(at_once=True), name=f"stop {member.plan.id}")
        await self._plane.stop()
        await self._nursery.close()


def _service_of(plan: WorkloadPlan, topology: Topology) -> ServicePlan | None:
    if plan.gateway:
        return None
    return next((s for s in topology.services if s.id == f"{plan.service}.{plan.namespace}"), None)


def _name(member: Member) -> tuple[str, str]:
    return member.plan.name, member.plan.namespace


def main(state: State, ground: Ground) -> int:
    """Run the mesh of a state directory; return the exit code."""
    try:
        uvloop.run(Supervisor(state, ground).run())
    except RhumbError as error:
        _log.error("%s", error)
        return 2
    return 0
