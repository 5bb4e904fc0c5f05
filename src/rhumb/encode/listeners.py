"""Spell listeners and their filter chains."""

from envoy.config.core.v3.address_pb2 import Address
from envoy.config.core.v3.base_pb2 import INBOUND, OUTBOUND
from envoy.config.listener.v3.listener_components_pb2 import FilterChain as FilterChainPb
from envoy.config.listener.v3.listener_pb2 import Listener as ListenerPb

from rhumb.encode import matches, tls
from rhumb.encode.durations import set_ms
from rhumb.encode.filters import dynamic_forward_proxy
from rhumb.encode.filters.access_logs import unmatched_log
from rhumb.encode.filters.http_connection_manager import http_connection_manager
from rhumb.encode.filters.listener_filters import listener_filter
from rhumb.encode.filters.mongo_proxy import mongo_proxy
from rhumb.encode.filters.tcp_proxy import tcp_proxy
from rhumb.ir.listener import Direction, FilterChain, HttpConnectionManager, Listener

_DIRECTIONS = {Direction.INBOUND: INBOUND, Direction.OUTBOUND: OUTBOUND}


def listener(plan: Listener) -> ListenerPb:
    """Spell a listener."""
    out = ListenerPb(
        name=plan.name,
        address=_address(plan.address, plan.port),
        traffic_direction=_DIRECTIONS[plan.direction],
        listener_filters=[listener_filter(f) for f in plan.filters],
        continue_on_listener_filters_timeout=plan.continues_on_timeout,
        filter_chains=[filter_chain(c) for c in plan.chains],
        access_log=[unmatched_log(log) for log in plan.access_logs],
    )
    for address in plan.additional:
        out.additional_addresses.add().address.CopyFrom(_address(address, plan.port))
    if plan.default_chain is not None:
        out.default_filter_chain.CopyFrom(filter_chain(plan.default_chain))
    if plan.detection_timeout_ms is not None:
        set_ms(out.listener_filters_timeout, plan.detection_timeout_ms)
    if plan.buffer_bytes:
        out.per_connection_buffer_limit_bytes.value = plan.buffer_bytes
    if plan.uses_original_dst:
        out.use_original_dst.value = True
    if not plan.binds:
        out.bind_to_port.value = False
    if plan.transparent:
        out.transparent.value = True
    return out


def filter_chain(plan: FilterChain) -> FilterChainPb:
    """Spell a filter chain."""
    out = FilterChainPb(name=plan.name)
    if not plan.match.is_any:
        out.filter_chain_match.CopyFrom(matches.connection(plan.match))
    if isinstance(plan.filter, HttpConnectionManager):
        out.filters.append(http_connection_manager(plan.filter))
    else:
        if plan.filter.sni_port:
            out.filters.append(dynamic_forward_proxy.sni(plan.filter.sni_port))
        if plan.filter.is_mongo:
            out.filters.append(mongo_proxy(plan.filter.stat_prefix))
        out.filters.append(tcp_proxy(plan.filter))
    if plan.tls is not None:
        out.transport_socket.CopyFrom(tls.downstream(plan.tls))
    if plan.handshake_timeout_ms:
        set_ms(out.transport_socket_connect_timeout, plan.handshake_timeout_ms)
    return out


def _address(address: str, port: int) -> Address:
    out = Address()
    if port:
        out.socket_address.address = address
        out.socket_address.port_value = port
    else:
        out.pipe.path = address.removeprefix("unix://")
    return out
