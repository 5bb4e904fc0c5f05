"""The process inside: makes the network, runs the control plane, keeps every workload.

Usage: python -m rhumb.local.supervisor STATE-DIRECTORY UID GID. It is process 1 of the mesh: when it
ends, everything ends.
"""

import asyncio
import contextlib
import gc
import ipaddress
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import uvloop

from rhumb.agent import binary, http
from rhumb.agent.process import send, wait_exit
from rhumb.agent.settings import from_environment
from rhumb.base import backoff, logs
from rhumb.base.clock import SystemClock
from rhumb.base.errors import RhumbError
from rhumb.base.files import write_atomic
from rhumb.base.tasks import Nursery
from rhumb.ca.active import CertificateAuthority
from rhumb.ca.settings import CaSettings
from rhumb.ca.tokens import TokenBook
from rhumb.local import network, programs, resources, topology
from rhumb.local.control_server import Caller, ControlServer
from rhumb.local.guests import Guests
from rhumb.local.members import CONTROL_PORT, Member, Surroundings, pids
from rhumb.local.programs import Place
from rhumb.local.state import SOURCE, State
from rhumb.local.topology import ServicePlan, Topology, WorkloadPlan

_log = logging.getLogger(__name__)

MONITORING_PORT = 15014
_TOKEN_LIFE = timedelta(minutes=10)
_READY_S = 60.0
_COLLECT_S = 5.0
Json = dict[str, object]


class Supervisor:
    """A running local mesh."""

    def __init__(self, state: State, uid: int, gid: int) -> None:
        self._state = state
        self._uid, self._gid = uid, gid
        self._nursery = Nursery("mesh")
        self._clock = SystemClock()
        self._home = state.directory / "control-plane"
        self._ca = CaSettings(
            directory=self._home / "ca", serving_addresses=("127.0.0.1", network.HUB)
        )
        self._authority = CertificateAuthority(self._ca)
        self._plane: subprocess.Popen[bytes] | None = None
        self._members: dict[str, Member] = {}
        self._addresses: dict[str, str] = {}
        self._services: dict[str, str] = {}
        self._sockets: dict[str, socket.socket] = {}
        self._topology: Topology | None = None
        self._around: Surroundings | None = None
        self._guests = Guests(state, self._members, self._host, self._remove)
        self._stop = asyncio.Event()
        self.ready = False
        self.failure = ""

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
        gc.disable()
        self._nursery.start("garbage", _collect())
        self._nursery.start("reap", self._reap())
        self._nursery.start("start", self._start())
        try:
            await self._stop.wait()
        finally:
            await self._end()

    async def _start(self) -> None:
        try:
            network.set_up_hub()
            self._inherit_sockets()
            self._authority.open(self._clock.now())
            found = binary.find("", from_environment())
            self._around = Surroundings(
                state=self._state,
                envoy=found,
                roots=self._authority.bundle.pem,
                uid=self._uid,
                gid=self._gid,
            )
            await self._apply(self._load())
            self.ready = True
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
            self._sockets[name] = socket.socket(fileno=handle)

    # --- bringing a topology about ---------------------------------------------------------

    async def _apply(self, wanted: Topology) -> Json:
        """Make the mesh what a topology says: what differs restarts, the rest is left alone."""
        assert self._around is not None
        plans = {plan.id: plan for plan in wanted.workloads}
        gone = [
            m
            for m in self._members.values()
            if plans.get(m.plan.id) != m.plan and m.plan.id not in self._guests
        ]
        for service in wanted.services:
            self._address(self._services, f"{service.name}.{service.namespace}", network.SERVICES)
        fresh = [plan for plan in wanted.workloads if plan.id not in self._members]
        changed = [plans[m.plan.id] for m in gone if m.plan.id in plans]
        for plan in (*fresh, *changed):
            self._address(self._addresses, plan.id, network.WORKLOADS)
        self._write(wanted)
        await self._run_plane(wanted)
        self._topology = wanted
        async with asyncio.TaskGroup() as group:
            for member in gone:
                group.create_task(self._remove(member), name=f"remove {member.plan.id}")
        async with asyncio.TaskGroup() as group:
            for plan in (*fresh, *changed):
                group.create_task(self._add(plan), name=f"add {plan.id}")
        return {
            "started": [p.id for p in fresh],
            "restarted": [p.id for p in changed],
            "stopped": [m.plan.id for m in gone if m.plan.id not in plans],
        }

    def _address(
        self, given: dict[str, str], name: str, pool: ipaddress.IPv4Network | ipaddress.IPv6Network
    ) -> None:
        if name in given:
            return
        taken = set(given.values()) | {network.HUB}
        given[name] = next(str(host) for host in pool.hosts() if str(host) not in taken)

    def _write(self, wanted: Topology) -> None:
        folder = self._state.generated
        files = resources.documents(wanted, self._addresses, self._services)
        for name, text in files.items():
            path = folder / name
            if not path.exists() or path.read_text() != text:
                write_atomic(path, text)
        for path in folder.glob("workload-*.yaml"):
            if path.name not in files and path.name not in self._guests.files:
                path.unlink()

    async def _add(self, plan: WorkloadPlan) -> None:
        assert self._around is not None
        token = TokenBook(self._authority.store.tokens).create(
            namespace=plan.namespace,
            service_account=plan.service_account,
            now=self._clock.now(),
            ttl=_TOKEN_LIFE,
        )
        service = self._service_of(plan)
        member = Member(plan, service, self._addresses[plan.id], self._around, token)
        self._members[plan.id] = member
        async with asyncio.timeout(_READY_S):
            await member.start(self._sockets)

    async def _host(self, plan: WorkloadPlan) -> Member:
        """Add a workload that no file describes."""
        self._address(self._addresses, plan.id, network.WORKLOADS)
        try:
            await self._add(plan)
        except BaseException:
            if plan.id in self._members:
                await self._remove(self._members[plan.id])
            raise
        return self._members[plan.id]

    async def _remove(self, member: Member) -> None:
        self._members.pop(member.plan.id, None)
        await member.stop()

    def _service_of(self, plan: WorkloadPlan) -> ServicePlan | None:
        for service in self._topology.services if self._topology else ():
            if (service.name, service.namespace) == (plan.service, plan.namespace):
                return service
        return None

    # --- the control plane -----------------------------------------------------------------

    async def _run_plane(self, wanted: Topology) -> None:
        if self._plane is not None and self._topology is not None:
            if self._topology.config == wanted.config:
                return
            send(self._plane, signal.SIGTERM)
        else:
            self._nursery.start("control-plane", self._keep_plane())
        await self._wait_plane()

    async def _keep_plane(self) -> None:
        delays = backoff.delays(first=0.2, cap=5.0)
        while True:
            with self._state.log("control-plane").open("ab") as log:
                self._plane = programs.start(
                    self._plane_command(), Place(), streams=(None, log.fileno(), log.fileno())
                )
            code = await wait_exit(self._plane)
            _log.error("the control plane ended (%s); it is started again", code)
            await asyncio.sleep(next(delays))

    def _plane_command(self) -> list[str]:
        wanted = self._topology or self._load()
        command = [sys.executable, "-m", "rhumb", "serve", "--state", str(self._home)]
        for folder in (str(self._state.generated), *wanted.config):
            command += ["--config", folder]
        command += ["--address", network.HUB, "--serving-address", network.HUB]
        return command

    async def _wait_plane(self) -> None:
        deadline = self._clock.monotonic() + _READY_S
        while self._clock.monotonic() < deadline:
            try:
                connection = await http.connect(http.Target(host=network.HUB, port=CONTROL_PORT))
            except OSError:
                await asyncio.sleep(0.02)
            else:
                connection.close()
                return
        log = self._state.log("control-plane").read_text(errors="replace").splitlines()[-3:]
        raise RhumbError("the control plane does not start: " + " / ".join(log))

    # --- control socket --------------------------------------------------------------------

    async def _answer(self, request: Json, caller: Caller) -> Json:
        match request.get("do"):
            case "status":
                return await self._status()
            case "apply":
                return await self._apply(self._load())
            case "get":
                return await self._get(str(request["path"]))
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
        target = http.Target(host="127.0.0.1", port=MONITORING_PORT)
        answer = await http.request(target, path)
        return {"status": answer.status, "body": answer.body.decode(errors="replace")}

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
            "pid": os.getpid(),
            "control_plane": self._plane.pid if self._plane else None,
            "workloads": [await _row(member) for member in list(self._members.values())],
        }

    async def _reap(self) -> None:
        """Collect the zombies of programs that lost their parent: process 1 inherits them."""
        while True:
            await asyncio.sleep(1.0)
            known = self._guests.pids | {
                p for m in self._members.values() for p in pids(m).values() if p
            }
            for pid in _zombies():
                if pid not in known and (self._plane is None or pid != self._plane.pid):
                    with contextlib.suppress(ChildProcessError):
                        os.waitpid(pid, os.WNOHANG)  # noqa: ASYNC222 - returns at once

    async def _end(self) -> None:
        await self._guests.stop()
        members = list(self._members.values())
        async with asyncio.TaskGroup() as group:
            for member in members:
                group.create_task(member.stop(), name=f"stop {member.plan.id}")
        plane = self._plane
        await self._nursery.close()
        if plane is not None:
            send(plane, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                plane.wait(5)


async def _row(member: Member) -> Json:
    plan = member.plan
    row: Json = {
        "name": plan.name,
        "namespace": plan.namespace,
        "service": plan.service,
        "version": dict(plan.labels).get("version", ""),
        "address": member.address,
        "gateway": plan.gateway,
        "application": member.application.state() if member.application else "",
        "ready": member.ready,
        "publish": [f"{p.address}:{p.host_port}" for p in plan.publish],
        "pids": pids(member),
    }
    if member.sidecar is not None:
        found = await member.sidecar.status()
        row |= {"proxy": found.state, "proxy_ready": found.ready, "why": found.why}
        row["proxy_restarts"] = found.restarts
    return row


async def _collect() -> None:
    """Collect garbage here alone, on the event loop's own thread.

    Python would do so on any thread that allocates; a transport that ends there takes its handle
    from under the loop, which aborts the process.
    """
    while True:
        await asyncio.sleep(_COLLECT_S)
        gc.collect()


def _zombies() -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            fields = path.read_text().rpartition(")")[2].split()
            if fields[0] == "Z" and int(fields[1]) == os.getpid():
                yield int(path.parent.name)


def main(arguments: list[str]) -> int:
    """Run the mesh of a state directory."""
    logs.set_up("info")
    state = State(Path(arguments[0]))
    try:
        uvloop.run(Supervisor(state, int(arguments[1]), int(arguments[2])).run())
    except RhumbError as error:
        _log.error("%s", error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
