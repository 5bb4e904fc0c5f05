"""Has every proxy heard which workloads take traffic? The control plane's debug pages tell."""

import asyncio
from collections.abc import Callable, Collection

import msgspec

from rhumb.agent import http
from rhumb.local.ground import Plane
from rhumb.model.endpoint import Health

_POLL_S = 0.02
_PATIENCE_S = 3.0
_SETTLED = ("SYNCED", "NACK")
Name = tuple[str, str]


class _Endpoint(msgspec.Struct):
    instance: str
    workload: str
    health: str


class _Service(msgspec.Struct):
    endpoints: tuple[_Endpoint, ...]


class _Type(msgspec.Struct):
    state: str


class _Stream(msgspec.Struct):
    types: dict[str, _Type]


async def heard(plane: Plane, *, come: Collection[Name] = (), gone: Collection[Name] = ()) -> bool:
    """Wait until every proxy knows who has come and who is gone, by (name, namespace).

    Returns whether that is known: a control plane that does not answer keeps nobody waiting.
    """
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await _until(plane, "endpointz", lambda page: _agrees(page, come, gone))
            await _until(plane, "syncz", _settled)
    except (OSError, ValueError, TimeoutError):
        return False
    return True


async def _until(plane: Plane, page: str, true: Callable[[bytes], bool]) -> None:
    while not true(await _get(plane, page)):  # noqa: ASYNC110 - pages tell when asked only
        await asyncio.sleep(_POLL_S)


async def _get(plane: Plane, page: str) -> bytes:
    target = http.Target(host="127.0.0.1", port=plane.monitoring)
    return (await http.request(target, f"/debug/{page}")).body


def _agrees(page: bytes, come: Collection[Name], gone: Collection[Name]) -> bool:
    """Tell whether all that came are endpoints to send to, and none that is gone."""
    services = msgspec.json.decode(page, type=tuple[_Service, ...])
    found = {
        (each.instance, each.workload.partition("/")[0])
        for service in services
        for each in service.endpoints
        if each.health == Health.HEALTHY
    }
    return found.issuperset(come) and found.isdisjoint(gone)


def _settled(page: bytes) -> bool:
    """Tell whether every stream has acknowledged the endpoints it was sent."""
    streams = msgspec.json.decode(page, type=tuple[_Stream, ...])
    return all(stream.types["EDS"].state in _SETTLED for stream in streams if "EDS" in stream.types)
