"""EnvoyFilter (networking.istio.io): patches of what is generated for Envoy."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from rhumb.model.kinds.selector import TargetReference, WorkloadSelector
from rhumb.model.kinds.wire import NONE, Int32, Kind, Oneofs, Removed, UInt32, WireEnum


class ApplyTo(WireEnum):
    """What is patched."""

    INVALID = "INVALID"
    LISTENER = "LISTENER"
    FILTER_CHAIN = "FILTER_CHAIN"
    NETWORK_FILTER = "NETWORK_FILTER"
    HTTP_FILTER = "HTTP_FILTER"
    ROUTE_CONFIGURATION = "ROUTE_CONFIGURATION"
    VIRTUAL_HOST = "VIRTUAL_HOST"
    HTTP_ROUTE = "HTTP_ROUTE"
    CLUSTER = "CLUSTER"
    EXTENSION_CONFIG = "EXTENSION_CONFIG"
    BOOTSTRAP = "BOOTSTRAP"
    LISTENER_FILTER = "LISTENER_FILTER"


MESSAGES: Mapping[ApplyTo, str] = MappingProxyType(
    {
        ApplyTo.LISTENER: "envoy.config.listener.v3.Listener",
        ApplyTo.FILTER_CHAIN: "envoy.config.listener.v3.FilterChain",
        ApplyTo.NETWORK_FILTER: "envoy.config.listener.v3.Filter",
        ApplyTo.LISTENER_FILTER: "envoy.config.listener.v3.ListenerFilter",
        ApplyTo.HTTP_FILTER: "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
        ApplyTo.ROUTE_CONFIGURATION: "envoy.config.route.v3.RouteConfiguration",
        ApplyTo.VIRTUAL_HOST: "envoy.config.route.v3.VirtualHost",
        ApplyTo.HTTP_ROUTE: "envoy.config.route.v3.Route",
        ApplyTo.CLUSTER: "envoy.config.cluster.v3.Cluster",
        ApplyTo.EXTENSION_CONFIG: "envoy.config.core.v3.TypedExtensionConfig",
        ApplyTo.BOOTSTRAP: "envoy.config.bootstrap.v3.Bootstrap",
    }
)
"""Which message of Envoy's API the value of a patch is."""


class PatchContext(WireEnum):
    """Which side of which proxy."""

    ANY = "ANY"
    SIDECAR_INBOUND = "SIDECAR_INBOUND"
    SIDECAR_OUTBOUND = "SIDECAR_OUTBOUND"
    GATEWAY = "GATEWAY"
    WAYPOINT = "WAYPOINT"


class RouteAction(WireEnum):
    """What a route does."""

    ANY = "ANY"
    ROUTE = "ROUTE"
    REDIRECT = "REDIRECT"
    DIRECT_RESPONSE = "DIRECT_RESPONSE"


class Operation(WireEnum):
    """How the value is applied."""

    INVALID = "INVALID"
    MERGE = "MERGE"
    ADD = "ADD"
    REMOVE = "REMOVE"
    INSERT_BEFORE = "INSERT_BEFORE"
    INSERT_AFTER = "INSERT_AFTER"
    INSERT_FIRST = "INSERT_FIRST"
    REPLACE = "REPLACE"
    MERGE_AND_REPLACE_LIST = "MERGE_AND_REPLACE_LIST"


class FilterClass(WireEnum):
    """Where among Istio's own filters a filter belongs."""

    UNSPECIFIED = "UNSPECIFIED"
    AUTHN = "AUTHN"
    AUTHZ = "AUTHZ"
    STATS = "STATS"


class ProxyMatch(Kind, frozen=True, kw_only=True):
    """Conditions on the proxy itself."""

    proxy_version: str = ""
    """A regular expression, searched in the version."""
    metadata: Mapping[str, str] = NONE


class ClusterMatch(Kind, frozen=True, kw_only=True):
    """Conditions on clusters."""

    port_number: UInt32 = 0
    service: str = ""
    subset: str = ""
    name: str = ""


class RouteMatch(Kind, frozen=True, kw_only=True):
    """Conditions on one route."""

    name: str = ""
    action: RouteAction = RouteAction.ANY


class VirtualHostMatch(Kind, frozen=True, kw_only=True):
    """Conditions on a virtual host."""

    name: str = ""
    domain_name: str = ""
    route: RouteMatch | None = None


class RouteConfigurationMatch(Kind, frozen=True, kw_only=True):
    """Conditions on route configurations."""

    port_number: UInt32 = 0
    port_name: str = ""
    gateway: str = ""
    """`NAMESPACE/NAME`."""
    vhost: VirtualHostMatch | None = None
    name: str = ""


class SubFilterMatch(Kind, frozen=True, kw_only=True):
    """Conditions on an HTTP filter."""

    name: str = ""


class FilterMatch(Kind, frozen=True, kw_only=True):
    """Conditions on a network filter."""

    name: str = ""
    sub_filter: SubFilterMatch | None = None


class FilterChainMatch(Kind, frozen=True, kw_only=True):
    """Conditions on a filter chain."""

    name: str = ""
    sni: str = ""
    transport_protocol: str = ""
    application_protocols: str = ""
    """Separated by commas."""
    filter: FilterMatch | None = None
    destination_port: UInt32 = 0


class ListenerMatch(Kind, frozen=True, kw_only=True):
    """Conditions on listeners."""

    port_number: UInt32 = 0
    port_name: str = ""
    filter_chain: FilterChainMatch | None = None
    listener_filter: str = ""
    name: str = ""


class WaypointRouteMatch(Kind, frozen=True, kw_only=True):
    """Conditions on a route of a waypoint."""

    name: str = ""


class WaypointMatch(Kind, frozen=True, kw_only=True):
    """Conditions on the configuration of a waypoint."""

    filter: FilterMatch | None = None
    port_number: UInt32 = 0
    route: WaypointRouteMatch | None = None


class ObjectMatch(Kind, frozen=True, kw_only=True):
    """Istio's EnvoyConfigObjectMatch."""

    ONEOFS: ClassVar[Oneofs] = (("listener", "routeConfiguration", "cluster", "waypoint"),)

    context: PatchContext = PatchContext.ANY
    proxy: ProxyMatch | None = None
    listener: ListenerMatch | None = None
    route_configuration: RouteConfigurationMatch | None = None
    cluster: ClusterMatch | None = None
    waypoint: WaypointMatch | None = None


class Patch(Kind, frozen=True, kw_only=True):
    """What to do, and the value to do it with."""

    operation: Operation = Operation.INVALID
    value: Mapping[str, object] | None = None
    """A message of Envoy's API in protobuf JSON."""
    filter_class: FilterClass = FilterClass.UNSPECIFIED


class ConfigPatch(Kind, frozen=True, kw_only=True):
    """Istio's EnvoyConfigObjectPatch."""

    apply_to: ApplyTo = ApplyTo.INVALID
    match: ObjectMatch | None = None
    patch: Patch | None = None


class EnvoyFilter(Kind, frozen=True, kw_only=True):
    """Patches for the selected proxies (istio-api networking/v1alpha3/envoy_filter.proto)."""

    REMOVED: ClassVar[Removed] = {
        "workloadLabels": "use workloadSelector.labels",
        "filters": "write each as an entry of configPatches",
    }

    workload_selector: WorkloadSelector | None = None
    target_refs: tuple[TargetReference, ...] = ()
    config_patches: tuple[ConfigPatch, ...] = ()
    priority: Int32 = 0
    """The lower, the earlier."""
