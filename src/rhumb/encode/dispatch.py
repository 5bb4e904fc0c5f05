"""IR values to xDS resources: the one entry of this package."""

from collections.abc import Callable
from typing import Any

import msgspec
from envoy.config.route.v3.route_pb2 import RouteConfiguration as RouteConfigurationPb
from google.protobuf.message import Message

from rhumb.encode.clusters import cluster
from rhumb.encode.endpoints import load_assignment
from rhumb.encode.listeners import listener
from rhumb.encode.pack import serialize, type_url
from rhumb.encode.patch.apply import added, patched
from rhumb.encode.patch.bootstrap import bootstrap
from rhumb.encode.routes import host_of_route, route_configuration, virtual_host
from rhumb.encode.secrets import secret
from rhumb.ir.bundle import Startup
from rhumb.ir.cluster import Cluster
from rhumb.ir.endpoint import LoadAssignment
from rhumb.ir.listener import Listener
from rhumb.ir.patch import Added, LeftOut, Patched
from rhumb.ir.route import HostOfRoute, RouteConfiguration, VirtualHost
from rhumb.ir.secret import Secret
from rhumb.xds import wire

_SPELL: dict[type, Callable[[Any], Message]] = {
    Cluster: cluster,
    LoadAssignment: load_assignment,
    Listener: listener,
    RouteConfiguration: route_configuration,
    HostOfRoute: host_of_route,
    Secret: secret,
    Patched: lambda value: patched(value)[0],
    Added: added,
}

_ROUTES = type_url(RouteConfigurationPb)


def message(value: object) -> Message:
    """Spell an IR value as the message of its xDS type. Raises KeyError for a value of no type."""
    return _SPELL[type(value)](value)


def host_bytes(value: VirtualHost) -> bytes:
    """Return a virtual host as it stands in a route configuration."""
    return serialize(virtual_host(value))


def encode(
    value: object, host: Callable[[VirtualHost], bytes] = host_bytes
) -> tuple[str, str, bytes]:
    """Return the resource name, type URL and deterministic bytes of an IR value.

    `host` may remember what `host_bytes` returned: of a large table little differs at a time.
    """
    if isinstance(value, RouteConfiguration):
        return value.name, _ROUTES, _routes(value, host)
    spelled = message(value)
    name: str = value.name  # type: ignore[attr-defined]  # every type above has one
    return name, type_url(spelled), serialize(spelled)


def _routes(value: RouteConfiguration, host: Callable[[VirtualHost], bytes]) -> bytes:
    # The order of fields in a message is free, and repeated ones may be concatenated.
    rest = message(msgspec.structs.replace(value, virtual_hosts=()))
    number = RouteConfigurationPb.VIRTUAL_HOSTS_FIELD_NUMBER
    hosts = (wire.field(number, host(each)) for each in value.virtual_hosts)
    return b"".join((serialize(rest), *hosts))


def left_out(value: object) -> tuple[LeftOut, ...]:
    """Return the patches that an IR value carries and that `encode` leaves out, with the reason."""
    if isinstance(value, Startup):
        return bootstrap(value)[1]
    return patched(value)[1] if isinstance(value, Patched) else ()
