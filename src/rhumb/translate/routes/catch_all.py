"""The virtual host for hosts that nobody knows."""

from rhumb.ir.route import Action, DirectResponse, Forward, Route, Target, VirtualHost
from rhumb.snapshot.snapshot import Scope
from rhumb.translate import names


def catch_all_host(scope: Scope) -> VirtualHost:
    """Return where requests to unknown hosts go: nowhere, on to where they meant, or to the egress proxy."""
    if scope.dynamic_dns:
        return _only(names.ALLOW_ANY_DYNAMIC_DNS, Forward(targets=(Target(names.DYNAMIC_DNS),)))
    if not scope.outbound_allow_any:
        return _only(names.BLOCK_ALL, DirectResponse(502))
    cluster = names.PASSTHROUGH
    host, port, subset = scope.egress_proxy
    if host:
        cluster = str(names.OutboundCluster(port, host, subset))
    return _only(names.ALLOW_ANY, Forward(targets=(Target(cluster),)))


def _only(name: str, action: Action) -> VirtualHost:
    return VirtualHost(name=name, domains=("*",), routes=(Route(name=name, action=action),))
