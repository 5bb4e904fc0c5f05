"""Starting, changing and ending a local mesh, from outside it."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from rhumb.agent import binary
from rhumb.agent.settings import from_environment
from rhumb.base.errors import RhumbError
from rhumb.base.listeners import holder_of
from rhumb.local import control, linux, processes, topology
from rhumb.local.ground import READY_S, UnfitError
from rhumb.local.host import UNFIT
from rhumb.local.programs import inherited_environment, own_environment
from rhumb.local.state import CAPTURE, LOG, PID, SOURCE, State
from rhumb.local.topology import Publish, Topology
from rhumb.model.proxy import Interception

Json = dict[str, object]
_START_S = READY_S + 10.0
"""Longer than the supervisor's own patience: it knows what is missing."""
_STOP_S = 20.0
_BIRTH_S = 1.0
"""A process that was just started may not show its own arguments yet."""


def up(
    file: Path,
    state: State,
    *,
    capture: Interception | None = None,
    with_parent: bool = False,
    progress: Callable[[Json], None] = lambda _status: None,
    notice: Callable[[str], None] = lambda _text: None,
) -> Json:
    """Start the mesh of a rhumb.yaml, or bring the running one up to date; return its status and "changes".

    `capture` None: in namespaces, else without capture, which `notice` is told. Raises RhumbError: the
    file is wrong, Envoy cannot run, a port is taken, no namespaces, something does not start.
    """
    wanted = topology.load(file, own_environment())
    with state.locked():
        if _runs(state):
            _check_capture(state, capture)
            changes = _apply(wanted, state)
            return {**wait_ready(state, progress), "changes": changes}
        binary.check(binary.find("", from_environment()))
        start = partial(_started, wanted, file, state, with_parent=with_parent, progress=progress)
        reason = linux.reason_without_namespaces() if capture is not Interception.NONE else ""
        if not reason:
            try:
                return start(capture or Interception.REDIRECT)
            except UnfitError as error:
                if capture is not None:
                    raise
                reason = str(error)
        if capture is not None:
            raise RhumbError(
                f"this machine gives no unprivileged namespaces: {reason}",
                hint="allow them (sysctl kernel.unprivileged_userns_clone=1 or user.max_user_namespaces), "
                "or do without: --capture none",
            )
        notice(f"no namespaces here: {reason}")
        return start(Interception.NONE)


def _started(
    wanted: Topology,
    file: Path,
    state: State,
    capture: Interception,
    *,
    with_parent: bool,
    progress: Callable[[Json], None],
) -> Json:
    """Start a mesh and wait for it; one that is interrupted, or cannot be here, is ended."""
    _start(wanted, file, state, capture, with_parent=with_parent)
    try:
        return wait_ready(state, progress)
    except (KeyboardInterrupt, UnfitError):
        down(state)
        raise


def _runs(state: State) -> bool:
    """Tell whether the mesh runs; one that never came up is ended."""
    if state.pid is None:
        return False
    try:
        failed = control.call(state.control, {"do": "status"}).get("failure")
    except RhumbError:
        return True  # it starts, or ends; what comes next will tell
    if failed:
        down(state)
    return not failed


def _apply(wanted: Topology, state: State) -> Json:
    """Bring a running mesh up to date; ports that are new are opened here, in the host's network.

    Returns the workloads that were "started", "restarted" and "stopped".
    """
    found = control.call(state.control, {"do": "status"}).get("published")
    sockets = published(wanted, without=found if isinstance(found, list) else ())
    try:
        return control.call(
            state.control,
            {"do": "apply", "sockets": list(sockets)},
            [one.fileno() for one in sockets.values()],
            timeout=_START_S,
        )
    finally:
        for one in sockets.values():
            one.close()


def _check_capture(state: State, capture: Interception | None) -> None:
    if capture not in (None, state.capture):
        raise RhumbError(
            f"the mesh runs with --capture {state.capture.value.lower()}",
            hint="end it with `rhumb down` first",
        )


def _start(
    wanted: Topology, file: Path, state: State, capture: Interception, *, with_parent: bool
) -> None:
    state.remove()  # what a killed mesh left behind
    sockets = published(wanted)
    try:
        state.make()
        (state.directory / SOURCE).write_text(f"{file.resolve()}\n")
        (state.directory / CAPTURE).write_text(f"{capture.value}\n")
        handles = {name: s.fileno() for name, s in sockets.items()}
        (state.directory / "sockets.json").write_text(json.dumps(handles))
        argv = [sys.executable, "-m", "rhumb.local.host", str(state.directory)]
        if with_parent:
            argv.append("--with-parent")
        with (state.directory / LOG).open("ab") as log:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**inherited_environment(), processes.MARK: str(state.directory)},
                pass_fds=tuple(handles.values()),
                start_new_session=True,
            )
        # It outlives most commands; one that stays (the demo) must not leave a zombie.
        threading.Thread(target=process.wait, name="host", daemon=True).start()
        (state.directory / PID).write_text(f"{process.pid}\n")
    finally:
        for one in sockets.values():
            one.close()


def published(wanted: Topology, without: Collection[str] = ()) -> dict[str, socket.socket]:
    """Return listening sockets for every published port, by ADDRESS:PORT, but for some.

    Raises RhumbError when one is taken; then none stays open.
    """
    found: dict[str, socket.socket] = {}
    for workload in wanted.workloads:
        for publish in workload.publish:
            if publish.name in without:
                continue
            family = socket.AF_INET6 if ":" in publish.address else socket.AF_INET
            try:
                found[publish.name] = socket.create_server(
                    (publish.address, publish.host_port), family=family, backlog=1024
                )
            except OSError as error:
                for one in found.values():
                    one.close()
                raise _unpublished(workload.name, publish, error, wanted.file) from None
    return found


def _unpublished(workload: str, publish: Publish, error: OSError, file: str) -> RhumbError:
    port, number = publish.host_port, error.errno or 0
    why = os.strerror(number)
    match number:
        case errno.EADDRINUSE:
            holder = holder_of(port)
            why = f"{holder} listens there" if holder else why
            hint = f"stop what listens on port {port}, or publish another port in {file}"
        case errno.EACCES:
            hint = f"publish a port above 1023 in {file}, or lower the sysctl net.ipv4.ip_unprivileged_port_start"
        case _:
            hint = f"publish on an address of this machine in {file}"
    return RhumbError(
        f"cannot publish {workload} on {publish.address}:{port}: {why}",
        hint=hint,
    )


def wait_ready(state: State, progress: Callable[[Json], None]) -> Json:
    """Wait until every workload is ready. Raises RhumbError when that fails: UnfitError for its ground."""
    deadline = time.monotonic() + _START_S
    born = time.monotonic() + _BIRTH_S
    while time.monotonic() < deadline:
        try:
            found = control.call(state.control, {"do": "status"})
        except RhumbError:
            found = {}
        if found.get("failure"):
            text = str(found["failure"])
            if found.get("unfit"):
                raise UnfitError(text, hint="start it with --capture none")
            raise RhumbError(f"the mesh did not start: {text}", hint="see `rhumb logs`")
        if found.get("ready"):
            return found
        if found:
            progress(found)
        elif state.pid is None and time.monotonic() > born:
            unfit = state.directory / UNFIT
            if unfit.exists():
                raise UnfitError(
                    f"this machine's namespaces lack what a mesh needs: {unfit.read_text()}",
                    hint="start it with --capture none",
                )
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
        # Until the process itself has gone: its last work is to remove the directory.
        while state.is_host(pid) and time.monotonic() < deadline:
            time.sleep(0.03)
        if state.is_host(pid):
            os.kill(pid, signal.SIGKILL)  # the kernel ends everything below it
    state.remove()
    return pid is not None


def _last_words(state: State) -> str:
    try:
        lines = (state.directory / LOG).read_text(errors="replace").splitlines()
    except OSError:
        return "nothing is known"
    return " / ".join(lines[-3:]) or "without a word"
