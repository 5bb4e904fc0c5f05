"""What the monitoring pages of a control plane say of its proxies and of its configuration."""

import http.client
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from rhumb.base.errors import RhumbError
from rhumb.local import control, state
from rhumb.local.state import State

PAGE = "/debug/syncz"
FINDINGS = "/debug/findings"
DEFAULT_ADDRESS = "127.0.0.1:15014"
SYNCED = "SYNCED"
NACK = "NACK"
_LEVELS = ("error", "warning", "info")

Fetch = Callable[[str], bytes]
"""Path of a monitoring page to its body; raises RhumbError when the control plane does not answer."""


class Kind(msgspec.Struct, kw_only=True):
    """One xDS type of one stream."""

    state: str
    resources: int = 0
    error: str = ""
    refused: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()


class Stream(msgspec.Struct, kw_only=True):
    """One stream of the page."""

    proxy: str
    name: str
    role: str
    cluster: str = ""
    identity: str = ""
    certificate_issued: str = ""
    certificate_expires: str = ""
    address: str = ""
    version: str = ""
    connected_seconds: float = 0.0
    last_push_seconds: float | None = None
    pushes: int = 0
    types: dict[str, Kind] = {}


class Row(msgspec.Struct, kw_only=True):
    """One proxy: what its Envoy and its agent are connected with."""

    name: str
    node: str
    """Node id of Envoy's stream, of the agent's where that is all."""
    role: str
    cluster: str
    """The cluster that the proxy says it runs in (CLUSTER_ID)."""
    connected: bool
    """Envoy's own stream is there."""
    agent: bool
    """The agent's stream is there."""
    address: str
    connected_seconds: float
    identity: str
    certificate_issued: str
    certificate_expires: str
    version: str
    pushes: int
    last_push_seconds: float | None
    types: dict[str, Kind]

    @property
    def in_step(self) -> bool:
        """Tell whether it is connected and has accepted all that it should have."""
        return self.connected and all(kind.state == SYNCED for kind in self.types.values())

    @property
    def rejects(self) -> bool:
        """Tell whether it rejected something; it goes on with what it had, at first with nothing."""
        return any(kind.state == NACK for kind in self.types.values())


class Problem(msgspec.Struct, kw_only=True):
    """What is wrong with the configuration."""

    level: Literal["error", "warning", "info"]
    file: str = ""
    line: int = 0
    object: str = ""
    field: str = ""
    message: str
    fix: str = ""
    code: str = ""

    @property
    def rejects(self) -> bool:
        """Tell whether something is not in force because of it."""
        return self.level == "error"

    def text(self) -> str:
        """Return it on one line."""
        where = f"{self.file}:{self.line}: " if self.file else ""
        what = "".join(f"{part}: " for part in (self.object, self.field) if part)
        fix = f" ({self.fix})" if self.fix else ""
        return f"{where}{self.level}: {what}{self.message}{fix}"


class Report(msgspec.Struct, kw_only=True):
    """Everything: what `-o json` prints."""

    proxies: list[Row]
    findings: list[Problem] = []

    @property
    def is_good(self) -> bool:
        """Tell whether every proxy is in step and nothing was rejected."""
        return all(row.in_step for row in self.proxies) and not any(
            problem.rejects for problem in self.findings
        )


def report(fetch: Fetch) -> Report:
    """Read both pages. Raises RhumbError when one does not come, or is another."""
    return Report(proxies=rows(fetch(PAGE)), findings=problems(fetch(FINDINGS)))


def problems(page: bytes) -> list[Problem]:
    """Read the page of findings, errors first and advice last. Raises RhumbError when it is not the page."""
    try:
        found = msgspec.json.decode(page, type=list[Problem])
    except msgspec.MsgspecError as error:
        raise _stranger(error) from None
    return sorted(found, key=lambda problem: _LEVELS.index(problem.level))


def rows(page: bytes) -> list[Row]:
    """Read the page of streams: one row for each proxy, its streams joined.

    Raises RhumbError when it is not the page.
    """
    try:
        streams = msgspec.json.decode(page, type=list[Stream])
    except msgspec.MsgspecError as error:
        raise _stranger(error) from None
    named: dict[str, list[Stream]] = {}
    for stream in streams:
        named.setdefault(stream.name, []).append(stream)
    return [_row(name, found) for name, found in sorted(named.items())]


def _stranger(error: Exception) -> RhumbError:
    return RhumbError(
        f"the answer is not the status of a control plane: {error}",
        hint="--control-plane takes the address of its monitoring port (15014)",
    )


def _row(name: str, streams: Sequence[Stream]) -> Row:
    agents = [s for s in streams if s.role == "agent"]
    # After a reconnection the old stream may still be there; the younger one counts.
    envoys = sorted((s for s in streams if s.role != "agent"), key=lambda s: s.connected_seconds)
    main = envoys[0] if envoys else agents[0]
    types = {name: kind for s in (*agents[:1], *envoys[:1]) for name, kind in s.types.items()}
    return Row(
        name=name,
        node=main.proxy,
        role=main.role,
        cluster=main.cluster,
        connected=bool(envoys),
        agent=bool(agents),
        address=main.address,
        connected_seconds=main.connected_seconds,
        identity=main.identity,
        certificate_issued=main.certificate_issued,
        certificate_expires=main.certificate_expires,
        version=main.version,
        pushes=main.pushes,
        last_push_seconds=main.last_push_seconds,
        types=types,
    )


def fetch_from(address: str) -> Fetch:
    """Return what asks the monitoring port at HOST:PORT."""

    def fetch(path: str) -> bytes:
        connection = http.client.HTTPConnection(address, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise RhumbError(
                f"no control plane answers at {address}: {error}",
                hint="start one with `rhumb serve` or `rhumb up`, or name it with --control-plane",
            ) from None
        finally:
            connection.close()
        if answer.status != 200:
            raise RhumbError(f"{address}{path} answers {answer.status}: {body[:200].decode()}")
        return body

    return fetch


def fetch_local(file: Path | None) -> Fetch | None:
    """Return what asks the control plane of the local mesh; None when none runs and none was named."""
    return None if file is None and not state.running() else fetch_mesh(state.find(file))


def fetch_mesh(mesh: State) -> Fetch:
    """Return what asks the control plane of a local mesh."""

    def fetch(path: str) -> bytes:
        answer = control.call(mesh.control, {"do": "get", "path": path})
        if answer["status"] != 200:
            raise RhumbError(f"the control plane answers {answer['status']}: {answer['body']}")
        return str(answer["body"]).encode()

    return fetch
