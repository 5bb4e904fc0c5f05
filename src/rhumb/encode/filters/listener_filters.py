"""Listener filters: what looks at a connection before a chain is chosen."""

from envoy.config.listener.v3.listener_components_pb2 import (
    ListenerFilter as ListenerFilterPb,
)
from envoy.config.listener.v3.listener_components_pb2 import ListenerFilterChainMatchPredicate
from envoy.extensions.filters.listener.http_inspector.v3.http_inspector_pb2 import HttpInspector
from envoy.extensions.filters.listener.original_dst.v3.original_dst_pb2 import OriginalDst
from envoy.extensions.filters.listener.original_src.v3.original_src_pb2 import OriginalSrc
from envoy.extensions.filters.listener.proxy_protocol.v3.proxy_protocol_pb2 import ProxyProtocol
from envoy.extensions.filters.listener.tls_inspector.v3.tls_inspector_pb2 import TlsInspector
from google.protobuf.message import Message

from rhumb.encode.pack import pack
from rhumb.ir.listener import ListenerFilter, ListenerFilterKind

_MARK = 1337
"""SO_MARK of the proxy's own sockets, which redirection leaves alone."""
_SPELLED: dict[ListenerFilterKind, Message] = {
    ListenerFilterKind.PROXY_PROTOCOL: ProxyProtocol(),
    ListenerFilterKind.ORIGINAL_DST: OriginalDst(),
    ListenerFilterKind.ORIGINAL_SRC: OriginalSrc(mark=_MARK),
    ListenerFilterKind.TLS_INSPECTOR: TlsInspector(),
    ListenerFilterKind.HTTP_INSPECTOR: HttpInspector(),
}


def listener_filter(plan: ListenerFilter) -> ListenerFilterPb:
    """Spell a filter and the ports at which it is off."""
    out = ListenerFilterPb(name=plan.kind.value, typed_config=pack(_SPELLED[plan.kind]))
    if plan.ports and plan.only:
        out.filter_disabled.not_match.CopyFrom(_any_of(plan.ports))
    elif plan.ports:
        out.filter_disabled.CopyFrom(_any_of(plan.ports))
    return out


def _any_of(ports: tuple[int, ...]) -> ListenerFilterChainMatchPredicate:
    rules = [ListenerFilterChainMatchPredicate() for _ in ports]
    for rule, port in zip(rules, ports, strict=True):
        rule.destination_port_range.start = port
        rule.destination_port_range.end = port + 1
    if len(rules) == 1:
        return rules[0]
    out = ListenerFilterChainMatchPredicate()
    out.or_match.rules.extend(rules)
    return out
