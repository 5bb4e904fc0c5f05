"""Spell matches: texts, headers, paths, requests, connections."""

from envoy.config.core.v3.address_pb2 import CidrRange
from envoy.config.listener.v3.listener_components_pb2 import FilterChainMatch
from envoy.config.route.v3.route_components_pb2 import (
    HeaderMatcher,
    QueryParameterMatcher,
    RouteMatch,
)
from envoy.type.matcher.v3.metadata_pb2 import MetadataMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from rhumb.ir.match import (
    Cidr,
    ClaimMatch,
    ConnectionMatch,
    HeaderMatch,
    PathKind,
    PathMatch,
    QueryMatch,
    RequestMatch,
    TextKind,
    TextMatch,
)


def text(plan: TextMatch) -> StringMatcher:
    """Spell a comparison of a text."""
    if plan.kind is TextKind.REGEX:
        out = StringMatcher()
        out.safe_regex.regex = plan.value
        return out
    out = StringMatcher(ignore_case=plan.ignore_case)
    setattr(out, plan.kind.value, plan.value)
    return out


def header(plan: HeaderMatch) -> HeaderMatcher:
    """Spell a condition on a header."""
    out = HeaderMatcher(name=plan.name, invert_match=plan.invert)
    if plan.text is None:
        out.present_match = True
        return out
    out.string_match.CopyFrom(text(plan.text))
    out.treat_missing_header_as_empty = plan.missing_is_empty
    return out


def query(plan: QueryMatch) -> QueryParameterMatcher:
    """Spell a condition on a query parameter."""
    if plan.text is None:
        return QueryParameterMatcher(name=plan.name, present_match=True)
    return QueryParameterMatcher(name=plan.name, string_match=text(plan.text))


def claim(plan: ClaimMatch) -> MetadataMatcher:
    """Spell a condition on a claim: equal to it, or one of its list."""
    out = MetadataMatcher(filter="envoy.filters.http.jwt_authn", invert=plan.invert)
    for key in ("payload", *plan.path):
        out.path.add(key=key)
    if plan.text is None:
        out.value.present_match = True
        return out
    wanted = text(plan.text)
    out.value.or_match.value_matchers.add(string_match=wanted)
    out.value.or_match.value_matchers.add().list_match.one_of.string_match.CopyFrom(wanted)
    return out


def request(plan: RequestMatch) -> RouteMatch:
    """Spell the conditions on a request."""
    out = RouteMatch(
        headers=[header(h) for h in plan.headers],
        query_parameters=[query(q) for q in plan.queries],
        dynamic_metadata=[claim(c) for c in plan.claims],
    )
    _path(plan.path, out)
    return out


def _path(plan: PathMatch, out: RouteMatch) -> None:
    if plan.kind is PathKind.EXACT:
        out.path = plan.value
    elif plan.kind is PathKind.PREFIX:
        out.prefix = plan.value
    elif plan.kind is PathKind.SEGMENTS:
        out.path_separated_prefix = plan.value
    else:
        out.safe_regex.regex = plan.value
    if plan.ignore_case and plan.kind is not PathKind.REGEX:
        out.case_sensitive.value = False


def connection(plan: ConnectionMatch) -> FilterChainMatch:
    """Spell which connections a chain takes."""
    out = FilterChainMatch(
        prefix_ranges=[cidr(c) for c in plan.destinations],
        server_names=plan.server_names,
        transport_protocol=plan.transport.value,
        application_protocols=plan.protocols,
    )
    if plan.port:
        out.destination_port.value = plan.port
    return out


def cidr(plan: Cidr) -> CidrRange:
    """Spell a range of addresses."""
    out = CidrRange(address_prefix=plan.address)
    out.prefix_len.value = plan.bits
    return out
