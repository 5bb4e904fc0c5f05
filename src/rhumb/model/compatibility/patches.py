"""Entries of EnvoyFilter, and of ProxyConfig, the kind."""

from rhumb.model.compatibility.entry import Table, message, warned
from rhumb.model.kinds.envoy_filter import (
    ClusterMatch,
    ConfigPatch,
    EnvoyFilter,
    FilterChainMatch,
    FilterMatch,
    ListenerMatch,
    ObjectMatch,
    Patch,
    ProxyMatch,
    RouteConfigurationMatch,
    RouteMatch,
    SubFilterMatch,
    VirtualHostMatch,
)
from rhumb.model.kinds.proxy_config_resource import ProxyConfigResource
from rhumb.model.kinds.selector import TargetReference

_NO_WAYPOINTS = "has no effect: there are no waypoints"

TABLE: Table = {
    EnvoyFilter: message("workloadSelector targetRefs configPatches priority"),
    TargetReference: message("group kind name namespace"),
    ConfigPatch: message("applyTo match patch"),
    ObjectMatch: message(
        "proxy listener routeConfiguration cluster",
        context=warned(_NO_WAYPOINTS, values=("WAYPOINT",)),
        waypoint=warned(_NO_WAYPOINTS),
    ),
    ProxyMatch: message("proxyVersion metadata"),
    ClusterMatch: message("portNumber service subset name"),
    RouteConfigurationMatch: message("portNumber portName gateway vhost name"),
    VirtualHostMatch: message("name domainName route"),
    RouteMatch: message("name action"),
    ListenerMatch: message(
        "portNumber filterChain listenerFilter name",
        portName=warned("has no effect, as in Istio: listeners have no port names", "remove it"),
    ),
    FilterChainMatch: message(
        "name sni transportProtocol applicationProtocols filter destinationPort"
    ),
    FilterMatch: message("name subFilter"),
    SubFilterMatch: message("name"),
    Patch: message("operation value filterClass"),
    ProxyConfigResource: message(
        "selector concurrency environmentVariables",
        image=warned("has no effect: proxies are the installed Envoy, not images"),
    ),
}
