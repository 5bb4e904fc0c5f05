"""The one order of HTTP filters, with the reason beside each line."""

from collections.abc import Iterable

from rhumb.ir.listener import HttpFilterKind

ORDER = (
    HttpFilterKind.GRPC_WEB,  # turns gRPC-Web into gRPC before anything looks at it
    HttpFilterKind.ALPN,  # before the upstream connection is chosen
    HttpFilterKind.FAULT,  # so that only admitted requests suffer injected faults
    HttpFilterKind.CORS,
    HttpFilterKind.DYNAMIC_FORWARD_PROXY,  # once nothing may refuse the request any more
    HttpFilterKind.ROUTER,  # terminal
)
_RANK = {kind: rank for rank, kind in enumerate(ORDER)}


def ordered(kinds: Iterable[HttpFilterKind]) -> list[HttpFilterKind]:
    """Sort filters; one that is not listed is a defect here, not a guess in the middle."""
    return sorted(kinds, key=_RANK.__getitem__)
