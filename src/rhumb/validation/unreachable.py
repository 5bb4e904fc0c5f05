"""Rules and matches of a VirtualService that never get a request: those before them took it."""

from collections.abc import Mapping, Sequence

import msgspec

from rhumb.model.encode import canonical
from rhumb.model.kinds.virtual_service import (
    HttpMatchRequest,
    HttpRoute,
    StringMatch,
    TcpRoute,
    TlsRoute,
    VirtualService,
)
from rhumb.validation.rules import Report

_UNUSED = "IST0130"
_INEFFECTIVE = "IST0131"


class _Prefix(msgspec.Struct, frozen=True):
    """A match by URI prefix, as far as it can be compared with others."""

    at: str
    route: str
    match: str
    prefix: str
    port: int
    method: str
    authority: str
    headers: Mapping[str, str]
    query_params: Mapping[str, str]
    without_headers: Mapping[str, str]


def check_unreachable(report: Report, spec: VirtualService) -> None:
    """Warn about rules after a catch-all, repeated matches, and prefixes inside earlier ones."""
    _check_repeats(report, "spec.http", spec.http)
    _check_repeats(report, "spec.tcp", spec.tcp)
    _check_repeats(report, "spec.tls", spec.tls)
    _check_prefixes(report, spec.http)


def _check_repeats(
    report: Report, at: str, routes: Sequence[HttpRoute | TlsRoute | TcpRoute]
) -> None:
    first_of: dict[bytes, int] = {}
    catch_all = -1
    for index, route in enumerate(routes):
        where, name = f"{at}[{index}]", _name(route, index)
        if catch_all >= 0:
            reason = (
                "route without matches defined before"
                if route.match
                else "only the last rule can have no matches"
            )
            _warn_unused(report, where, name, reason)
        if not route.match:
            catch_all = index
        if catch_all >= 0:
            continue
        repeated = 0
        for number, match in enumerate(route.match):
            content = canonical(
                msgspec.structs.replace(match, name="")
                if isinstance(match, HttpMatchRequest)
                else match
            )
            earlier = first_of.get(content)
            if earlier is None:
                first_of[content] = index
            else:
                repeated += 1
                _warn_ineffective(
                    report,
                    f"{where}.match[{number}]",
                    name,
                    _name(match, number),
                    _name(routes[earlier], earlier),
                )
        if repeated == len(route.match):
            _warn_unused(report, where, name, "all matches used by prior rules")


def _check_prefixes(report: Report, routes: Sequence[HttpRoute]) -> None:
    seen: dict[str, list[_Prefix]] = {}
    for index, route in enumerate(routes):
        for number, match in enumerate(route.match):
            if match.uri is None or not match.uri.prefix:
                continue
            later = _prefix(
                f"spec.http[{index}].match[{number}]",
                _name(route, index),
                _name(match, number),
                match,
            )
            # Equal prefixes are left to the search for repeats.
            shorter = (later.prefix[:length] for length in range(1, len(later.prefix)))
            for earlier in (e for prefix in shorter for e in seen.get(prefix, ())):
                if _covers(earlier, later):
                    _warn_ineffective(
                        report,
                        later.at,
                        later.route,
                        f"{later.match} of prefix {later.prefix}",
                        f"{earlier.match} of prefix {earlier.prefix} on {earlier.route}",
                    )
            seen.setdefault(later.prefix, []).append(later)


def _prefix(at: str, route: str, name: str, match: HttpMatchRequest) -> _Prefix:
    return _Prefix(
        at=at,
        route=route,
        match=name,
        prefix=(match.uri.prefix if match.uri is not None else "") or "",
        port=match.port,
        method=_key(match.method) or "exact:GET",
        authority=_key(match.authority),
        headers={k: _key(v) for k, v in match.headers.items()},
        query_params={k: _key(v) for k, v in match.query_params.items()},
        without_headers={k: _key(v) for k, v in match.without_headers.items()},
    )


def _key(text: StringMatch | None) -> str:
    if text is not None and text.exact:
        return f"exact:{text.exact}"
    return f"prefix:{text.prefix}" if text is not None and text.prefix else ""


def _covers(earlier: _Prefix, later: _Prefix) -> bool:
    return (
        earlier.port == later.port
        and earlier.method.startswith(later.method)
        and earlier.authority.startswith(later.authority)
        and _same(earlier.headers, later.headers)
        and _same(earlier.query_params, later.query_params)
        and _same(earlier.without_headers, later.without_headers)
    )


def _same(earlier: Mapping[str, str], later: Mapping[str, str]) -> bool:
    return earlier.keys() == later.keys() and all(earlier[k].startswith(later[k]) for k in earlier)


def _name(named: object, index: int) -> str:
    name = getattr(named, "name", "")
    return f'"{name}"' if name else f"#{index}"


def _warn_unused(report: Report, at: str, rule: str, reason: str) -> None:
    report.warn(
        at,
        f"virtualService rule {rule} not used ({reason})",
        "move it up, or remove it",
        code=_UNUSED,
    )


def _warn_ineffective(report: Report, at: str, rule: str, match: str, earlier: str) -> None:
    report.warn(
        at,
        f"virtualService rule {rule} match {match} is not used (duplicate/overlapping match in rule {earlier})",
        "remove it, or put the more specific match first",
        code=_INEFFECTIVE,
    )
