"""Which object, file and line made an entry: what the control plane tells, else what Envoy's metadata has."""

from collections.abc import Sequence

import msgspec

from rhumb.base.errors import RhumbError
from rhumb.cli.proxies.dump import Json, dig

_MOST = 2
"""Objects that one cell names."""


class Cited(msgspec.Struct, frozen=True):
    """One object, the field of it, and its place."""

    kind: str
    namespace: str
    name: str
    field: str = ""
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        place = f" ({self.file}:{self.line})" if self.file else ""
        return f"{self.kind} {self.namespace}/{self.name}{place}"


class Origins(msgspec.Struct, frozen=True, kw_only=True):
    """The page `/debug/origins` of the control plane (rhumb.translate.origins)."""

    listeners: dict[str, list[list[Cited]]] = {}
    routes: dict[str, dict[str, list[list[Cited]]]] = {}
    clusters: dict[str, list[Cited]] = {}
    endpoints: dict[str, dict[str, list[Cited]]] = {}
    secrets: dict[str, list[Cited]] = {}


def read(page: bytes) -> Origins:
    """Read the page. Raises RhumbError when it is another."""
    try:
        return msgspec.json.decode(page, type=Origins)
    except msgspec.MsgspecError as error:
        raise RhumbError(
            f"the answer is not that of a control plane: {error}",
            hint="--control-plane takes the address of its monitoring port (15014)",
        ) from None


def cell(cited: Sequence[Cited], resource: Json | None = None) -> str:
    """Return what to print: the objects, else the one in Envoy's metadata, else `-`."""
    named = [str(each) for each in cited]
    if len(named) > _MOST:
        named = [*named[:_MOST], f"+ {len(named) - _MOST} more"]
    return ", ".join(named) or (_from_metadata(resource) if resource else "") or "-"


def nth(cited: Sequence[list[Cited]], index: int, of: int) -> list[Cited]:
    """Return what made one part of `of`; none where Envoy has another number of parts (a patch added some)."""
    return cited[index] if len(cited) == of else []


def config_path(resource: Json) -> tuple[str, str, str] | None:
    """Return kind (`virtual-service`), namespace and name of the object in the metadata `istio.config`."""
    path = str(dig(resource, "metadata", "filter_metadata", "istio", "config") or "")
    parts = path.split("/")
    return (parts[6], parts[5], parts[7]) if len(parts) == 8 and parts[4] == "namespaces" else None


def _from_metadata(resource: Json) -> str:
    found = config_path(resource)
    if found is None:
        return ""
    kind = "".join(part.capitalize() for part in found[0].split("-"))
    return f"{kind} {found[1]}/{found[2]}"
