"""Patches of listeners: the listener, its filters, its chains, and what is in them."""

from typing import TypeVar

from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, ListenerFilter
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
)

from rhumb.encode.filters import http_connection_manager, tcp_proxy
from rhumb.encode.pack import pack
from rhumb.encode.patch import routes
from rhumb.encode.patch.merge import merge_extension, merge_with_socket
from rhumb.encode.patch.patcher import MERGES, Patcher, put
from rhumb.ir.listener import HttpFilterKind
from rhumb.ir.patch import ApplyTo, ChainMatch, FilterClass, Operation, Patch

F = TypeVar("F", Filter, HttpFilter)

_TERMINAL = frozenset({http_connection_manager.NAME, tcp_proxy.NAME, HttpFilterKind.ROUTER.value})
"""Nothing may stand after these."""
_AUTHENTICATION = frozenset({"envoy.filters.http.jwt_authn"})
_AUTHORIZATION = _AUTHENTICATION | {
    "envoy.filters.http.ext_authz",
    "envoy.filters.http.rbac",
    "envoy.filters.network.ext_authz",
    "envoy.filters.network.rbac",
}


def listener(out: Listener, patcher: Patcher) -> None:
    """Patch a listener that the patches are known to be for."""
    for patch in patcher.of(ApplyTo.LISTENER):
        if patch.operation in MERGES:
            patcher.merge(patch, out)
    for patch in patcher.of(ApplyTo.LISTENER_FILTER):
        _listener_filter(out, patch, patcher)
    for chain in list(out.filter_chains):
        _chain(chain, patcher)
    if out.HasField("default_filter_chain"):
        _chain(out.default_filter_chain, patcher)
        if not out.default_filter_chain.filters:
            out.ClearField("default_filter_chain")
    for patch in patcher.of(ApplyTo.FILTER_CHAIN):
        if patch.operation is Operation.ADD:
            _add_chain(out, patch, patcher)
    kept = [chain for chain in out.filter_chains if chain.filters]
    if len(kept) < len(out.filter_chains):
        put(out.filter_chains, kept)


def _listener_filter(out: Listener, patch: Patch, patcher: Patcher) -> None:
    def named(item: ListenerFilter) -> bool:
        return item.name == patch.listener_filter

    if patch.operation in MERGES:
        for item in out.listener_filters if patch.listener_filter else ():
            if named(item):
                patcher.merge(patch, item, _extension)
        return
    items = list(out.listener_filters)
    found = named if patch.listener_filter else None
    if patch.operation is Operation.ADD:
        value = patcher.addition(patch, ListenerFilter)
        made = [*items, value] if value is not None else items
    else:
        made = patcher.rearranged(patch, items, ListenerFilter, found)
    put(out.listener_filters, made)


def _add_chain(out: Listener, patch: Patch, patcher: Patcher) -> None:
    value = patcher.addition(patch, FilterChain)
    if value is None:
        return
    taken = [chain.filter_chain_match for chain in out.filter_chains if chain.filters]
    if value.filter_chain_match in taken:
        patcher.refuse(patch, f"listener {out.name} has a filter chain with the same match")
        return
    out.filter_chains.append(value)


def _chain(out: FilterChain, patcher: Patcher) -> None:
    """Patch a chain; one without filters is to be removed."""
    for patch in patcher.of(ApplyTo.FILTER_CHAIN):
        if not _is_for(patch.chain, out):
            continue
        if patch.operation is Operation.REMOVE:
            del out.filters[:]
            return
        if patch.operation in MERGES:
            patcher.merge(patch, out, _with_socket)
    for patch in patcher.of(ApplyTo.NETWORK_FILTER):
        if _is_for(patch.chain, out) and patch.operation not in MERGES:
            items = _filters(patch, list(out.filters), patcher, Filter, patch.chain.filter)
            put(out.filters, items)
    for item in out.filters:
        _network_filter(out, item, patcher)


def _network_filter(chain: FilterChain, out: Filter, patcher: Patcher) -> None:
    for patch in patcher.of(ApplyTo.NETWORK_FILTER):
        if patch.operation in MERGES and _is_for(patch.chain, chain) and _is_filter(patch, out):
            patcher.merge(patch, out, _extension)
    if out.name == http_connection_manager.NAME and out.HasField("typed_config"):
        _manager(chain, out, patcher)


def _manager(chain: FilterChain, out: Filter, patcher: Patcher) -> None:
    patches = [
        patch
        for patch in patcher.of(ApplyTo.HTTP_FILTER)
        if _is_for(patch.chain, chain) and _is_filter(patch, out)
    ]
    config = HttpConnectionManager()
    if not out.typed_config.Unpack(config):
        return
    for patch in patches:
        if patch.operation not in MERGES:
            _http_filters(config, patch, patcher)
    for item in config.http_filters:
        for patch in patches:
            if patch.operation in MERGES and patch.chain.sub_filter in (None, item.name):
                patcher.merge(patch, item, _extension)
    if config.HasField("route_config"):
        routes.inline(config.route_config, patcher)
    out.typed_config.CopyFrom(pack(config))


def _http_filters(config: HttpConnectionManager, patch: Patch, patcher: Patcher) -> None:
    name = patch.chain.sub_filter if patch.chain.filter is not None else None
    items = _filters(patch, list(config.http_filters), patcher, HttpFilter, name)
    put(config.http_filters, items)


def _filters(
    patch: Patch, items: list[F], patcher: Patcher, made: type[F], name: str | None
) -> list[F]:
    """Return the filters of a chain or connection manager after an operation on them."""
    if patch.operation is Operation.ADD:
        value = patcher.addition(patch, made)
        if value is None:
            return items
        made_list = list(items)
        made_list.insert(_place(patch.filter_class, [item.name for item in items]), value)
        return made_list

    def named(item: F) -> bool:
        return item.name == name

    return patcher.rearranged(patch, items, made, named if name is not None else None)


def _place(wanted: FilterClass, names: list[str]) -> int:
    """Return where an added filter stands: by its class, and never after the filter that must be last."""
    last = len(names) - 1 if names and names[-1] in _TERMINAL else len(names)
    if wanted in (FilterClass.UNSPECIFIED, FilterClass.STATS):
        return last
    before = _AUTHENTICATION if wanted is FilterClass.AUTHN else _AUTHORIZATION
    return max((at + 1 for at, name in enumerate(names) if name in before), default=0)


def _is_filter(patch: Patch, found: Filter) -> bool:
    return patch.chain.filter in (None, found.name)


def _is_for(match: ChainMatch, chain: FilterChain) -> bool:
    """Tell whether the conditions on a chain are met."""
    has = chain.filter_chain_match
    port = has.destination_port.value
    return (
        match.port in (0, port)
        and match.name in ("", chain.name)
        and (not match.sni or match.sni in has.server_names)
        and match.transport in ("", has.transport_protocol)
        and set(match.protocols) <= set(has.application_protocols)
        and match.destination_port in (0, port)
    )


def _extension(into: ListenerFilter | Filter | HttpFilter, value: object, _patch: Patch) -> None:
    merge_extension(into, value)


def _with_socket(into: FilterChain, value: FilterChain, patch: Patch) -> None:
    merge_with_socket(
        into, value, replaces_lists=patch.operation is Operation.MERGE_AND_REPLACE_LIST
    )
