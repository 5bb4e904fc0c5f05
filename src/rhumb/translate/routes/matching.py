"""Conditions of VirtualServices: those decided here for a view, and those Envoy decides per request."""

import re

from rhumb.ir.match import (
    ClaimMatch,
    HeaderMatch,
    PathKind,
    PathMatch,
    QueryMatch,
    RequestMatch,
    TextKind,
    TextMatch,
)
from rhumb.model.kinds.virtual_service import (
    HttpMatchRequest,
    L4MatchAttributes,
    StringMatch,
    TlsMatchAttributes,
)
from rhumb.translate.perspective import Perspective, labels_match

MESH = "mesh"
_CLAIMS = "@request.auth.claims"
_BRACKETS = re.compile(r"\[([^\]]*)\]")


def applies(seen: Perspective, match: HttpMatchRequest | None, *, gateway: str, port: int) -> bool:
    """Tell whether an HTTP condition can hold for this view on this port.

    Istio's rule: with `gateways`, only these count; labels and namespace count without.
    """
    if match is None:
        return True
    if match.port and match.port != port:
        return False
    if "" in match.query_params:  # never there, and refused by Envoy
        return False
    if match.gateways:
        return gateway in match.gateways
    return labels_match(match.source_labels, seen.labels) and (
        match.source_namespace in ("", seen.view.namespace)
    )


def applies_l4(
    seen: Perspective, match: L4MatchAttributes | TlsMatchAttributes, *, gateway: str, port: int
) -> bool:
    """Tell whether a TCP or TLS condition can hold for this view on this port."""
    return (
        (not match.gateways or gateway in match.gateways)
        and labels_match(match.source_labels, seen.labels)
        and match.port in (0, port)
        and match.source_namespace in ("", seen.view.namespace)
    )


def request(match: HttpMatchRequest | None) -> RequestMatch:
    """Translate the part of a condition that Envoy decides."""
    if match is None:
        return RequestMatch()
    headers = [header(name, text) for name, text in match.headers.items() if not is_claim(name)] + [
        without(name, text) for name, text in match.without_headers.items() if not is_claim(name)
    ]
    headers.sort(key=lambda h: h.name)
    pseudo = (
        (":method", match.method),
        (":authority", match.authority),
        (":scheme", match.scheme),
    )
    headers += [header(name, text) for name, text in pseudo if text is not None]
    return RequestMatch(
        path=_path(match),
        headers=tuple(headers),
        queries=tuple(QueryMatch(n, text_match(t)) for n, t in sorted(match.query_params.items())),
        claims=_claims(match),
    )


def header(name: str, text: StringMatch) -> HeaderMatch:
    """Translate a condition on a header."""
    return HeaderMatch(name, text_match(text))


def without(name: str, text: StringMatch) -> HeaderMatch:
    """Translate a condition that must not hold; a missing header counts as an empty one."""
    found = text_match(text)
    return HeaderMatch(name, found, invert=True, missing_is_empty=found is not None)


def text_match(text: StringMatch | None, *, ignore_case: bool = False) -> TextMatch | None:
    """Translate a StringMatch; None means presence (nothing set, or the regex `*`)."""
    if text is None:
        return None
    if text.exact is not None:
        return TextMatch(TextKind.EXACT, text.exact, ignore_case)
    if text.prefix is not None:
        return TextMatch(TextKind.PREFIX, text.prefix, ignore_case)
    if text.regex is not None and text.regex != "*":
        return TextMatch(TextKind.REGEX, text.regex)
    return None


def is_claim(name: str) -> bool:
    """Tell whether a header name means a claim of the request's token."""
    return name.lower().startswith(_CLAIMS)


def _claims(match: HttpMatchRequest) -> tuple[ClaimMatch, ...]:
    pairs = [(n, t, False) for n, t in match.headers.items()]
    pairs += [(n, t, True) for n, t in match.without_headers.items()]
    return tuple(
        ClaimMatch(_claim_path(name), text_match(text), invert=invert)
        for name, text, invert in sorted(pairs, key=lambda p: (p[0], p[2]))
        if is_claim(name)
    )


def _claim_path(name: str) -> tuple[str, ...]:
    rest = name[len(_CLAIMS) :]
    if rest.startswith("["):
        return tuple(_BRACKETS.findall(rest))
    return tuple(part for part in rest.split(".") if part)


def _path(match: HttpMatchRequest) -> PathMatch:
    uri = match.uri
    if uri is None:
        return PathMatch()
    if uri.exact is not None:
        return PathMatch(PathKind.EXACT, uri.exact, match.ignore_uri_case)
    if uri.regex is not None:
        return PathMatch(PathKind.REGEX, uri.regex)
    return PathMatch(PathKind.PREFIX, uri.prefix or "", match.ignore_uri_case)
