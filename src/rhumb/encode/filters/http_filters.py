"""HTTP filters by kind, as they stand in the chain."""

from collections.abc import Callable

from envoy.extensions.filters.common.set_filter_state.v3.value_pb2 import FilterStateValue
from envoy.extensions.filters.http.grpc_web.v3.grpc_web_pb2 import GrpcWeb
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.http.set_filter_state.v3.set_filter_state_pb2 import (
    Config as SetFilterState,
)
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpFilter,
)
from google.protobuf.message import Message

from rhumb.encode.filters import cors, dynamic_forward_proxy, fault
from rhumb.encode.pack import pack
from rhumb.ir.listener import HttpFilterKind

_ALPN_STATE = "envoy.network.application_protocols"
"""Well-known filter state: the ALPN that upstream TLS offers instead of the cluster's."""
_ISTIO_HTTP_ALPN = "istio-http/1.1,istio"
"""Announces HTTP of any version: with no protocol in common the server looks at the first bytes."""


def http_filter(kind: HttpFilterKind, *, hides_debug_headers: bool = False) -> HttpFilter:
    """Spell a filter; the router may be told to send no x-envoy-* headers."""
    spelled = _SPELLED[kind]()
    if isinstance(spelled, Router):
        spelled.suppress_envoy_headers = hides_debug_headers
    return HttpFilter(name=kind.value, typed_config=pack(spelled))


def _alpn() -> SetFilterState:
    value = FilterStateValue(object_key=_ALPN_STATE, read_only=True)
    value.format_string.text_format_source.inline_string = _ISTIO_HTTP_ALPN
    return SetFilterState(on_request_headers=[value])


_SPELLED: dict[HttpFilterKind, Callable[[], Message]] = {
    HttpFilterKind.ALPN: _alpn,
    HttpFilterKind.GRPC_WEB: GrpcWeb,
    HttpFilterKind.FAULT: fault.listener,
    HttpFilterKind.CORS: cors.listener,
    HttpFilterKind.DYNAMIC_FORWARD_PROXY: dynamic_forward_proxy.http,
    HttpFilterKind.ROUTER: Router,
}
