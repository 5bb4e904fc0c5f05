"""Has every proxy heard that a workload takes no more traffic? The control plane's debug pages tell."""

import asyncio
from collections.abc import Collection

import msgspec

from rhumb.agent import http
from rhumb.local.ground import Plane

_POLL_S = 0.02
_PATIENCE_S = 3.0
_SETTLED = ("SYNCED", "NACK")


class _Endpoint(msgspec.Struct):
    instance: str
    workload: str


class _Service(msgspec.Struct):
    endpoints: tuple[_Endpoint, ...]


class _Type(msgspec.Struct):
    state: str


class _Stream(msgspec.Struct):
    types: dict[str, _Type]


async def heard(plane: Plane, gone: Collection[tuple[str, str]]) -> bool:
    """Wait until no proxy sends anything to these workloads (name, namespace) any more.

    Returns whether that is known: a control plane that does not answer keeps nobody from ending.
    """
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while not _unknown(await _get(plane, "endpointz"), gone):  # noqa: ASYNC110 - it must be asked
                await asyncio.sleep(_POLL_S)
            while not _settled(await _get(plane, "syncz")):  # noqa: ASYNC110 - as above
                await asyncio.sleep(_POLL_S)
    except (OSError, ValueError, TimeoutError):
        return False
    return True


async def _get(plane: Plane, page: str) -> bytes:
    target = http.Target(host="127.0.0.1", port=plane.monitoring)
    return (await http.request(target, f"/debug/{page}")).body


def _unknown(page: bytes, gone: Collection[tuple[str, str]]) -> bool:
    """Tell whether none of them is an endpoint of any service."""
    services = msgspec.json.decode(page, type=tuple[_Service, ...])
    return not any(
        (each.instance, each.workload.partition("/")[0]) in gone
        for service in services
        for each in service.endpoints
    )


def _settled(page: bytes) -> bool:
    """Tell whether every stream has acknowledged the endpoints it was sent."""
    streams = msgspec.json.decode(page, type=tuple[_Stream, ...])
    return all(stream.types["EDS"].state in _SETTLED for stream in streams if "EDS" in stream.types)
