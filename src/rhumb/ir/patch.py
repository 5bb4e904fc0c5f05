"""Patches of what is generated: a resource with those that may touch it, and resources that patches add."""

import enum

import msgspec

from rhumb.ir.cluster import Cluster
from rhumb.ir.listener import Listener
from rhumb.ir.origin import Origin
from rhumb.ir.route import RouteConfiguration


class ApplyTo(enum.StrEnum):
    """What a patch changes, by EnvoyFilter's names."""

    LISTENER = "LISTENER"
    FILTER_CHAIN = "FILTER_CHAIN"
    NETWORK_FILTER = "NETWORK_FILTER"
    HTTP_FILTER = "HTTP_FILTER"
    LISTENER_FILTER = "LISTENER_FILTER"
    ROUTE_CONFIGURATION = "ROUTE_CONFIGURATION"
    VIRTUAL_HOST = "VIRTUAL_HOST"
    HTTP_ROUTE = "HTTP_ROUTE"
    CLUSTER = "CLUSTER"
    EXTENSION_CONFIG = "EXTENSION_CONFIG"
    BOOTSTRAP = "BOOTSTRAP"


class Operation(enum.StrEnum):
    """How its value is applied."""

    MERGE = "MERGE"
    MERGE_AND_REPLACE_LIST = "MERGE_AND_REPLACE_LIST"
    """As MERGE, but lists of the value take the place of those that are there."""
    ADD = "ADD"
    REMOVE = "REMOVE"
    INSERT_BEFORE = "INSERT_BEFORE"
    INSERT_AFTER = "INSERT_AFTER"
    INSERT_FIRST = "INSERT_FIRST"
    REPLACE = "REPLACE"


class FilterClass(enum.StrEnum):
    """Where an added filter belongs among those that are generated."""

    UNSPECIFIED = "UNSPECIFIED"
    AUTHN = "AUTHN"
    AUTHZ = "AUTHZ"
    STATS = "STATS"


class ChainMatch(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """Conditions on a filter chain and the filters in it; empty: none."""

    port: int = 0
    """Destination port, where one listener serves all ports."""
    name: str = ""
    sni: str = ""
    transport: str = ""
    protocols: tuple[str, ...] = ()
    destination_port: int = 0
    filter: str | None = None
    """Name of the network filter."""
    sub_filter: str | None = None
    """Name of the HTTP filter."""


class HostMatch(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """Conditions on a virtual host and its routes; empty: none."""

    configurations: tuple[str, ...] = ()
    """Route configurations that are meant, where a listener has them inline."""
    name: str = ""
    domain: str = ""
    names_route: bool = False
    """Whether there is a condition on routes at all, be it an empty one."""
    route: str = ""
    action: str = ""
    """`route`, `redirect` or `direct_response`: the field of Envoy's Route that is set."""


class Patch(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """One patch of an EnvoyFilter, with the conditions that are not met or refuted yet."""

    apply_to: ApplyTo
    operation: Operation
    message: str
    """Full name of the message of Envoy's API that the value is."""
    filter_class: FilterClass = FilterClass.UNSPECIFIED
    chain: ChainMatch = ChainMatch()
    listener_filter: str = ""
    host: HostMatch = HostMatch()
    value: str = ""
    """A message of Envoy's API in protobuf JSON; empty for REMOVE."""
    origin: Origin


Patchable = Cluster | Listener | RouteConfiguration


class Patched(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """A resource and the patches that concern it, in order."""

    value: Patchable
    patches: tuple[Patch, ...]

    @property
    def name(self) -> str:
        """Return the resource name."""
        return self.value.name

    @property
    def origin(self) -> tuple[Origin, ...]:
        """Cite what made the resource, and the patches."""
        return (*self.value.origin, *dict.fromkeys(patch.origin for patch in self.patches))


class LeftOut(msgspec.Struct, frozen=True):
    """A patch that was not applied to a resource, because the result would be invalid."""

    origin: Origin
    reason: str


class Added(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """A listener, cluster or extension that a patch adds."""

    name: str
    patch: Patch

    @property
    def origin(self) -> tuple[Origin, ...]:
        """Cite the patch."""
        return (self.patch.origin,)
