"""A running copy of the sample: its files to change, its gateway to ask, its programs to look into."""

import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from rhumb.base.errors import RhumbError
from rhumb.local import control
from rhumb.local.check.client import Gateway
from rhumb.local.state import State

Row = dict[str, Any]
_REQUESTS = re.compile(r"^istio_requests_total\{(.*)\} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_IN_FORCE_S = 15.0
_QUIET_S = 0.1
_POLL_S = 0.02
_ASK = """
import http.client, os, sys, urllib.error, urllib.request
host, port, path = sys.argv[1:]
try:
    url = f"http://{host}:{port or os.environ['PORT']}{path}"
    answer = urllib.request.urlopen(url, timeout=5)
except urllib.error.HTTPError as error:
    answer = error
except (OSError, http.client.HTTPException) as error:
    print(0)
    print(type(getattr(error, "reason", error)).__name__)
    sys.exit()
print(answer.status)
print(answer.read().decode())
"""


class UnexpectedError(Exception):
    """The mesh does not do what a scenario says, before its own test has begun."""


class Hop(msgspec.Struct, frozen=True):
    """What became of requests of one workload to one service."""

    source: str
    destination: str
    code: str
    flags: str

    @property
    def failed(self) -> bool:
        """Tell whether the answer was a server's error, or none."""
        return self.code[:1] in ("5", "0")

    def __str__(self) -> str:
        return f"{self.source} to {self.destination} {self.code} {self.flags}"


def _hop(labels: dict[str, str]) -> Hop:
    return Hop(
        labels["source_workload"],
        labels["destination_service_name"],
        labels["response_code"],
        labels["response_flags"],
    )


class Bench:
    """Where scenarios are tried. To be used on the main thread."""

    def __init__(self, home: Path, state: State, port: int, tls_port: int) -> None:
        self.home = home
        self.state = state
        self.gateway = Gateway(port)
        self.tls_port = tls_port

    # --- switching -------------------------------------------------------------------------

    def switch_on(self, name: str, *files: str) -> list[Path]:
        """Put a scenario's files (all, or those named) into force; return them once every proxy agrees.

        Raises RhumbError when that takes too long.
        """
        folder = self.home / "scenarios" / name
        wanted = [folder / f for f in files] if files else sorted(folder.glob("*.yaml"))
        targets = [self.home / "mesh" / f"scenario-{source.name}" for source in wanted]
        with self._settling([str(t) for t in targets], present=True):
            for source, target in zip(wanted, targets, strict=True):
                self.place(target, source.read_text())
        return targets

    def switch_off(self, placed: Sequence[Path]) -> None:
        """Take files out of force; return once every proxy agrees."""
        if not placed:
            return
        with self._settling([str(p) for p in placed], present=False):
            for target in placed:
                target.unlink()

    def place(self, target: Path, text: str) -> None:
        """Write a file in one step, as editors do."""
        draft = self.home / f".{target.name}"
        draft.write_text(text)
        draft.replace(target)

    @contextmanager
    def _settling(self, files: Sequence[str], *, present: bool) -> Iterator[None]:
        """Wait after the block until the objects of files are in force (or not) and acknowledged."""
        before, _ = self._pushed()
        yield
        deadline = time.monotonic() + _IN_FORCE_S
        last = before
        while time.monotonic() < deadline:
            pushes, agreed = self._pushed()
            if agreed and pushes == last > before and self._are_known(files, present=present):
                return
            last = pushes
            time.sleep(_QUIET_S)
        raise RhumbError("the change is not in force in time", hint="see `rhumb status`")

    def _pushed(self) -> tuple[int, bool]:
        """Return how many pushes there were, and whether every proxy has acknowledged all."""
        rows = self.page("/debug/syncz")
        states = {kind["state"] for row in rows for kind in row["types"].values()}
        return sum(row["pushes"] for row in rows), states == {"SYNCED"}

    def _are_known(self, files: Sequence[str], *, present: bool) -> bool:
        places = [str(row["location"]) for row in self.page("/debug/configz")]
        return all(any(p.startswith(f) for p in places) == present for f in files)

    # --- looking ---------------------------------------------------------------------------

    def page(self, path: str) -> list[Row]:
        """Return a debug page of the control plane that is a list of objects."""
        answer = control.call(self.state.control, {"do": "get", "path": path})
        rows: list[Row] = json.loads(str(answer["body"]))
        return rows

    def hops(self) -> Counter[Hop]:
        """Count the requests between workloads, as the asking side's proxies did."""
        found = control.call(self.state.control, {"do": "metrics"})["metrics"]
        assert isinstance(found, dict)
        counts: Counter[Hop] = Counter()
        for line, number in _REQUESTS.findall("\n".join(str(text) for text in found.values())):
            labels = dict(_LABEL.findall(line))
            if labels["reporter"] == "source":
                counts[_hop(labels)] += round(float(number))
        return counts

    def access_log(self, workload: str) -> list[str]:
        """Return the lines of a proxy's access log."""
        return self.state.log(f"{workload}.default.proxy").read_text().splitlines()

    def address(self, workload: str) -> str:
        """Return a workload's address inside the mesh."""
        return str(self._row(workload)["address"])

    def port(self, workload: str, port: int) -> int:
        """Return where a port of a workload is reached: elsewhere when it shares its address."""
        return int(self._row(workload)["ports"].get(str(port), port))

    def admin(self, workload: str) -> int:
        """Return the port of its Envoy's admin interface."""
        return int(self._row(workload)["admin"])

    def _row(self, workload: str) -> Row:
        rows = control.call(self.state.control, {"do": "status"})["workloads"]
        assert isinstance(rows, list)
        found: Row = next(row for row in rows if row["name"] == workload)
        return found

    def inside(self, workload: str, *argv: str) -> str:
        """Run a command beside a workload's program; return what it printed. Raises RhumbError."""
        request: control.Json = {
            "do": "exec",
            "workload": workload,
            "argv": list(argv),
            "directory": str(self.home),
        }
        with tempfile.TemporaryFile() as out, Path(os.devnull).open("rb") as nothing:
            streams = (nothing.fileno(), out.fileno(), out.fileno())
            code = control.attach(self.state.control, request, streams).get("code")
            out.seek(0)
            said = out.read().decode(errors="replace")
        if code != 0:
            raise RhumbError(f"{argv[-1]} in {workload} ended with {code}: {said.strip()}")
        return said

    def ask_from(self, workload: str, host: str, port: int, path: str) -> tuple[int, str]:
        """Ask as a program beside a workload's would; status 0 and a reason when there is no answer.

        Port 0: the one that the workload's program listens on.
        """
        said = self.inside(workload, sys.executable, "-c", _ASK, host, str(port or ""), path)
        status, _, body = said.partition("\n")
        return int(status), body.strip()

    def answered(self, workload: str) -> int:
        """Return how many requests a program has answered, as it counts them itself."""
        _, body = self.ask_from(workload, "127.0.0.1", 0, "/admin/stats")
        return sum(json.loads(body)["requests"].values())

    @contextmanager
    def fault(self, workload: str, *options: str) -> Iterator[None]:
        """Make a program misbehave (options of apps/fault.py) while the block runs."""
        fault = (sys.executable, "apps/fault.py")
        self.inside(workload, *fault, *options)
        try:
            yield
        finally:
            self.inside(workload, *fault)


def until(true: Callable[[], bool], seconds: float = _IN_FORCE_S) -> bool:
    """Wait until something holds; return whether it does."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def copy(samples: Path, home: Path, port: int, tls_port: int) -> Path:
    """Copy the sample, to be published on other ports; return its rhumb.yaml."""
    shutil.copytree(samples, home, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    file = home / "rhumb.yaml"
    text = file.read_text().replace("${BOOKINFO_HTTP_PORT:-8080}", str(port))
    file.write_text(text.replace("${BOOKINFO_HTTPS_PORT:-8443}", str(tls_port)))
    return file
