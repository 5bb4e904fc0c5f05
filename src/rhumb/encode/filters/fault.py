"""envoy.filters.http.fault: injects what single routes ask for."""

from envoy.extensions.filters.http.fault.v3.fault_pb2 import FaultAbort, HTTPFault
from envoy.type.v3.percent_pb2 import FractionalPercent

from rhumb.encode.durations import set_ms
from rhumb.ir.policy import Fault

NAME = "envoy.filters.http.fault"


def listener() -> HTTPFault:
    """Spell the filter in the chain: it does nothing by itself."""
    return HTTPFault()


def per_route(plan: Fault) -> HTTPFault:
    """Spell the faults of one route."""
    out = HTTPFault()
    if plan.delay is not None:
        set_ms(out.delay.fixed_delay, plan.delay.ms)
        _share(out.delay.percentage, plan.delay.per_million)
    if plan.abort is not None:
        _share(out.abort.percentage, plan.abort.per_million)
        _code(plan, out.abort)
    return out


def _code(plan: Fault, out: FaultAbort) -> None:
    if plan.abort is not None and plan.abort.grpc_status is not None:
        out.grpc_status = plan.abort.grpc_status
    elif plan.abort is not None:
        out.http_status = plan.abort.http_status


def _share(out: FractionalPercent, per_million: int) -> None:
    out.numerator = per_million
    out.denominator = FractionalPercent.MILLION
