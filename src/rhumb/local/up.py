"""Starting, changing and ending a local mesh, from outside it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from rhumb.base.errors import RhumbError
from rhumb.local import control, linux, topology
from rhumb.local.programs import own_environment
from rhumb.local.state import LOG, PID, SOURCE, State
from rhumb.local.topology import Topology

Json = dict[str, object]
_START_S = 60.0
_STOP_S = 20.0
_BIRTH_S = 1.0
"""A process that was just started may not show its own arguments yet."""


def up(
    file: Path, state: State, *, with_parent: bool = False, progress: Callable[[Json], None]
) -> Json:
    """Start the mesh of a rhumb.yaml, or bring the running one up to date; return its status.

    Raises RhumbError: the file is wrong, a port is taken, no namespaces, something does not start.
    """
    wanted = topology.load(file, own_environment())
    with state.locked():
        if state.pid is not None:
            control.call(state.control, {"do": "apply"}, timeout=_START_S)
        else:
            _start(wanted, file, state, with_parent=with_parent)
    return wait_ready(state, progress)


def _start(wanted: Topology, file: Path, state: State, *, with_parent: bool) -> None:
    reason = linux.reason_without_namespaces()
    if reason:
        raise RhumbError(
            f"this machine gives no unprivileged namespaces: {reason}",
            hint="allow them (sysctl kernel.unprivileged_userns_clone=1 or user.max_user_namespaces)",
        )
    state.remove()  # what a killed mesh left behind
    state.make()
    (state.directory / SOURCE).write_text(f"{file.resolve()}\n")
    sockets = published(wanted)
    try:
        handles = {name: s.fileno() for name, s in sockets.items()}
        (state.directory / "sockets.json").write_text(json.dumps(handles))
        argv = [sys.executable, "-m", "rhumb.local.host", str(state.directory)]
        if with_parent:
            argv.append("--with-parent")
        with (state.directory / LOG).open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - ourselves
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=tuple(handles.values()),
                start_new_session=True,
            )
        # It outlives most commands; one that stays (the demo) must not leave a zombie.
        threading.Thread(target=process.wait, name="host", daemon=True).start()
        (state.directory / PID).write_text(f"{process.pid}\n")
    finally:
        for one in sockets.values():
            one.close()


def published(wanted: Topology) -> dict[str, socket.socket]:
    """Return listening sockets for every published port, by ADDRESS:PORT.

    Raises RhumbError when one is taken; then none stays open.
    """
    found: dict[str, socket.socket] = {}
    for workload in wanted.workloads:
        for publish in workload.publish:
            name = f"{publish.address}:{publish.host_port}"
            family = socket.AF_INET6 if ":" in publish.address else socket.AF_INET
            try:
                found[name] = socket.create_server(
                    (publish.address, publish.host_port), family=family, backlog=1024
                )
            except OSError as error:
                for one in found.values():
                    one.close()
                raise RhumbError(
                    f"cannot publish {workload.name} on {name}: {os.strerror(error.errno or 0)}",
                    hint=f"stop what listens on port {publish.host_port}, or publish another port "
                    f"in {wanted.file}",
                ) from None
    return found


def wait_ready(state: State, progress: Callable[[Json], None]) -> Json:
    """Wait until every workload is ready. Raises RhumbError when that fails."""
    deadline = time.monotonic() + _START_S
    born = time.monotonic() + _BIRTH_S
    while time.monotonic() < deadline:
        try:
            found = control.call(state.control, {"do": "status"})
        except RhumbError:
            found = {}
        if found.get("failure"):
            text = str(found["failure"])
            raise RhumbError(f"the mesh did not start: {text}", hint="see `rhumb logs`")
        if found.get("ready"):
            return found
        if found:
            progress(found)
        elif state.pid is None and time.monotonic() > born:
            raise RhumbError(f"the mesh ended while it started: {_last_words(state)}")
        time.sleep(0.03)
    raise RhumbError("the mesh is not ready in time", hint="see `rhumb ps` and `rhumb logs`")


def down(state: State) -> bool:
    """End a mesh and remove what it left; return whether it ran."""
    pid = state.pid
    if pid is not None:
        try:
            control.call(state.control, {"do": "stop"})
        except RhumbError:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_S
        while state.pid is not None and time.monotonic() < deadline:
            time.sleep(0.03)
        if state.pid is not None:
            os.kill(pid, signal.SIGKILL)  # the kernel ends everything below it
    state.remove()
    return pid is not None


def _last_words(state: State) -> str:
    try:
        lines = (state.directory / LOG).read_text(errors="replace").splitlines()
    except OSError:
        return "nothing is known"
    return " / ".join(lines[-3:]) or "without a word"
