"""envoy.filters.http.cors: answers preflights as single routes say."""

from envoy.extensions.filters.http.cors.v3.cors_pb2 import Cors as CorsPb
from envoy.extensions.filters.http.cors.v3.cors_pb2 import CorsPolicy
from envoy.type.v3.percent_pb2 import FractionalPercent

from rhumb.encode import matches
from rhumb.ir.policy import Cors

NAME = "envoy.filters.http.cors"


def listener() -> CorsPb:
    """Spell the filter in the chain."""
    return CorsPb()


def per_route(plan: Cors) -> CorsPolicy:
    """Spell the policy of one route."""
    out = CorsPolicy(
        allow_origin_string_match=[matches.text(o) for o in plan.origins],
        allow_methods=",".join(plan.methods),
        allow_headers=",".join(plan.headers),
        expose_headers=",".join(plan.expose),
    )
    out.filter_enabled.default_value.numerator = 100
    out.filter_enabled.default_value.denominator = FractionalPercent.HUNDRED
    if plan.max_age_s is not None:
        out.max_age = str(plan.max_age_s)
    if plan.credentials is not None:
        out.allow_credentials.value = plan.credentials
    out.forward_not_matching_preflights.value = plan.forwards_unmatched_preflights
    return out
