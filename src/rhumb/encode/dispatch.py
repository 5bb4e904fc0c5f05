"""IR values to xDS resources: the one entry of this package."""

from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message

from rhumb.encode.clusters import cluster
from rhumb.encode.endpoints import load_assignment
from rhumb.encode.listeners import listener
from rhumb.encode.pack import serialize, type_url
from rhumb.encode.patch.apply import added, patched
from rhumb.encode.routes import route_configuration
from rhumb.encode.secrets import secret
from rhumb.ir.cluster import Cluster
from rhumb.ir.endpoint import LoadAssignment
from rhumb.ir.listener import Listener
from rhumb.ir.patch import Added, LeftOut, Patched
from rhumb.ir.route import RouteConfiguration
from rhumb.ir.secret import Secret

_SPELL: dict[type, Callable[[Any], Message]] = {
    Cluster: cluster,
    LoadAssignment: load_assignment,
    Listener: listener,
    RouteConfiguration: route_configuration,
    Secret: secret,
    Patched: lambda value: patched(value)[0],
    Added: added,
}


def message(value: object) -> Message:
    """Spell an IR value as the message of its xDS type. Raises KeyError for a value of no type."""
    return _SPELL[type(value)](value)


def encode(value: object) -> tuple[str, str, bytes]:
    """Return the resource name, type URL and deterministic bytes of an IR value."""
    spelled = message(value)
    name: str = value.name  # type: ignore[attr-defined]  # every type above has one
    return name, type_url(spelled), serialize(spelled)


def left_out(value: object) -> tuple[LeftOut, ...]:
    """Return the patches that an IR value carries and that `encode` leaves out, with the reason."""
    return patched(value)[1] if isinstance(value, Patched) else ()
