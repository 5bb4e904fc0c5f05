"""Where a proxy's configuration is read: a file, Envoy's admin port, or a workload of the local mesh."""

import http.client
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import msgspec

from rhumb.base.errors import RhumbError
from rhumb.cli import inputs
from rhumb.cli.printer import say
from rhumb.cli.proxies import dump, origins
from rhumb.cli.proxies.dump import Dump
from rhumb.cli.proxies.origins import Origins
from rhumb.cli.sync import DEFAULT_ADDRESS, fetch_from, fetch_local
from rhumb.local import control, state

DUMP = "/config_dump?include_eds"
STATUSES = "/clusters?format=json"

Ask = Callable[[str, bool], str]
"""Path of Envoy's admin interface, and whether to POST, to the body; raises RhumbError."""


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """What the user said of the proxy."""

    workload: str | None = None
    file: str | None = None
    proxy_admin: str | None = None
    control_plane: str | None = None
    mesh: Path | None = None
    config: tuple[str, ...] = ()


class Proxy:
    """One proxy to look at."""

    def __init__(self, chosen: Chosen) -> None:
        if sum(bool(way) for way in (chosen.file, chosen.proxy_admin, chosen.workload)) != 1:
            raise RhumbError(
                "which proxy?",
                hint="name one workload (NAME.NAMESPACE), or a dump with -f, or --proxy-admin HOST:PORT",
            )
        self._chosen = chosen
        self._ask: Ask | None = None
        self._read: dict[str, bytes] = {}
        if chosen.proxy_admin:
            self._ask = _admin(chosen.proxy_admin)
        elif chosen.workload:
            self._ask = _local(chosen)

    def ask(self, path: str, *, post: bool = False) -> str:
        """Ask the Envoy.

        Raises RhumbError when it does not answer, or only a file is there.
        """
        if self._ask is None:
            raise RhumbError(
                "a file cannot be asked", hint="name a workload, or --proxy-admin HOST:PORT"
            )
        return self._ask(path, post)

    def dump(self, path: str = DUMP) -> Dump:
        """Read its configuration. Raises RhumbError."""
        return dump.parse(self.text(path), self._chosen.file or path)

    def text(self, path: str = DUMP) -> bytes:
        """Return the dump as it stands, the same however often it is asked for. Raises RhumbError."""
        file = self._chosen.file
        name = file or path
        if name not in self._read:
            self._read[name] = inputs.content(file) if file else self.ask(path).encode()
        return self._read[name]

    def origins(self, found: Dump, section: str = "") -> Origins:
        """Return what made its configuration, or a section; nothing, said on standard error, where nobody knows."""
        if self._chosen.config:
            return _of_files(self._chosen.config, found)
        name = _name(found)
        if self._chosen.file or not name:
            return Origins()
        try:
            page = _control_plane(self._chosen)(
                f"/debug/origins?proxyID={quote(name)}&type={section}"
            )
        except RhumbError as error:
            say(f"no files and lines: {error}")
            return Origins()
        return origins.read(page)


def _name(found: Dump) -> str:
    parts = str(found.node.get("id", "")).split("~")
    return parts[2] if len(parts) == 4 else ""


def _admin(address: str) -> Ask:
    def ask(path: str, post: bool) -> str:
        connection = http.client.HTTPConnection(address, timeout=30)
        try:
            connection.request("POST" if post else "GET", path)
            answer = connection.getresponse()
            body = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise RhumbError(
                f"no Envoy answers at {address}: {error}", hint="its admin port is 15000 as a rule"
            ) from None
        finally:
            connection.close()
        return _checked(answer.status, body, path)

    return ask


def _local(chosen: Chosen) -> Ask:
    socket = state.find(chosen.mesh).control

    def ask(path: str, post: bool) -> str:
        request: control.Json = {
            "do": "admin",
            "workload": chosen.workload,
            "path": path,
            "post": post,
        }
        answer = control.call(socket, request)
        return _checked(int(str(answer["status"])), str(answer["body"]), path)

    return ask


def _checked(status: int, body: str, path: str) -> str:
    if status != http.client.OK:
        raise RhumbError(f"Envoy answers {status} to {path}: {body.strip()[:500]}")
    return body


def _control_plane(chosen: Chosen) -> Callable[[str], bytes]:
    if chosen.control_plane:
        return fetch_from(chosen.control_plane)
    return fetch_local(chosen.mesh) or fetch_from(DEFAULT_ADDRESS)


def _of_files(paths: tuple[str, ...], found: Dump) -> Origins:
    from rhumb.app import loading, offline  # takes longer than all the rest
    from rhumb.translate.origins import origins as made

    if not found.node:
        raise RhumbError(
            "the dump does not say whose it is", hint="it must contain the bootstrap configuration"
        )
    world = loading.load(inputs.texts(paths)).world
    view = world.view(offline.node(msgspec.json.encode(found.node)))
    return origins.read(msgspec.json.encode(made(world, view)))
