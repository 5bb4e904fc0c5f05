"""Delegation: rules of a root VirtualService that a second one, without hosts, refines."""

from collections.abc import Iterator, Mapping

import msgspec

from rhumb.model.kinds.virtual_service import HttpMatchRequest, HttpRoute, StringMatch
from rhumb.model.resource import Resource
from rhumb.snapshot.snapshot import Routing, Snapshot


class Rule(msgspec.Struct, frozen=True, eq=False):
    """One HTTP rule and where it is written."""

    spec: HttpRoute
    resource: Resource
    field: str


def rules(snapshot: Snapshot, routing: Routing) -> Iterator[Rule]:
    """Yield the rules of a VirtualService in order, delegates in place of the rules that name them."""
    resource = routing.resource
    for at, rule in enumerate(routing.spec.http):
        field = f"spec.http[{at}]"
        if rule.delegate is None:
            yield Rule(rule, resource, field)
            continue
        namespace = rule.delegate.namespace or resource.meta.namespace
        child = snapshot.delegate(namespace, rule.delegate.name, resource.meta.namespace)
        if child is None:
            continue
        for number, refined in enumerate(child.spec.http):
            merged = merge(rule, refined)
            if merged is not None:
                yield Rule(merged, child.resource, f"spec.http[{number}]")


def merge(root: HttpRoute, child: HttpRoute) -> HttpRoute | None:
    """Merge a delegate's rule into the root's; None when its conditions leave those of the root.

    The child wins field by field; names are joined with a dash.
    """
    if child.delegate is not None:
        return None
    match = _matches(root.match, child.match)
    if match is None:
        return None
    return msgspec.structs.replace(
        child,
        name="-".join(n for n in (root.name, child.name) if n),
        match=match,
        rewrite=child.rewrite or root.rewrite,
        direct_response=child.direct_response or root.direct_response,
        timeout=child.timeout if child.timeout is not None else root.timeout,
        retries=child.retries or root.retries,
        fault=child.fault or root.fault,
        mirror=child.mirror or root.mirror,
        mirrors=child.mirrors or root.mirrors,
        mirror_percent=root.mirror_percent
        if child.mirror_percent is None
        else child.mirror_percent,
        mirror_percentage=child.mirror_percentage or root.mirror_percentage,
        cors_policy=child.cors_policy or root.cors_policy,
        headers=child.headers or root.headers,
    )


def _matches(
    root: tuple[HttpMatchRequest, ...], child: tuple[HttpMatchRequest, ...]
) -> tuple[HttpMatchRequest, ...] | None:
    if not root or not child:
        return child or root
    merged: list[HttpMatchRequest] = []
    for inner in child:
        found = [_merge_match(outer, inner) for outer in root if compatible(outer, inner)]
        if not found:
            return None
        merged += found
    return tuple(merged)


def _merge_match(root: HttpMatchRequest, child: HttpMatchRequest) -> HttpMatchRequest:
    return msgspec.structs.replace(
        child,
        name="-".join(n for n in (root.name, child.name) if n),
        uri=child.uri or root.uri,
        scheme=child.scheme or root.scheme,
        method=child.method or root.method,
        authority=child.authority or root.authority,
        headers={**root.headers, **child.headers},
        without_headers={**root.without_headers, **child.without_headers},
        query_params={**root.query_params, **child.query_params},
        port=child.port or root.port,
        source_labels={**root.source_labels, **child.source_labels},
        source_namespace=child.source_namespace or root.source_namespace,
        gateways=child.gateways or root.gateways,
        stat_prefix=child.stat_prefix or root.stat_prefix,
    )


def compatible(root: HttpMatchRequest, child: HttpMatchRequest) -> bool:
    """Tell whether a delegate's condition stays within one of the root's."""
    texts = (
        (root.uri, child.uri),
        (root.scheme, child.scheme),
        (root.method, child.method),
        (root.authority, child.authority),
    )
    maps = (
        (root.headers, child.headers),
        (root.without_headers, child.without_headers),
        (root.query_params, child.query_params),
    )
    return (
        all(_within(outer, inner) for outer, inner in texts)
        and all(_all_within(outer, inner) for outer, inner in maps)
        and root.ignore_uri_case == child.ignore_uri_case
        and (not root.port or not child.port or root.port == child.port)
        and root.source_namespace in ("", child.source_namespace)
        and all(root.source_labels.get(k, v) == v for k, v in child.source_labels.items())
        and (not root.gateways or set(child.gateways) <= set(root.gateways))
    )


def _all_within(root: Mapping[str, StringMatch], child: Mapping[str, StringMatch]) -> bool:
    return all(_within(root.get(name), text) for name, text in child.items())


def _within(root: StringMatch | None, child: StringMatch | None) -> bool:
    """Tell whether all that the child's text matches is matched by the root's; a regex never is."""
    if root is None or child is None:
        return True
    if root.regex or child.regex:
        return not ((root.regex and _is_set(child)) or (child.regex and _is_set(root)))
    if root.exact:
        return not child.prefix and child.exact == root.exact
    if root.prefix:
        return (child.prefix or child.exact or "").startswith(root.prefix)
    return False


def _is_set(text: StringMatch) -> bool:
    return bool(text.exact or text.prefix or text.regex)
