"""Routes: which requests of which host names go by which VirtualService."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from rhumb.cli.proxies import origins
from rhumb.cli.proxies.dump import Json, dig, host_name, mapping, mappings, text_of, texts
from rhumb.cli.proxies.origins import Cited

HEAD = ("NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE", "ORIGIN")
SHORT_HEAD = ("NAME", "VIRTUAL HOSTS")

_SHOWN_DOMAINS = 2
_PASSTHROUGH = "PassthroughCluster"


def rows(
    tables: Sequence[Json], known: Mapping[str, Mapping[str, Sequence[list[Cited]]]]
) -> Iterator[tuple[str, ...]]:
    """Yield a row for each route; what passes through without a rule is left out."""
    for table in _ordered(tables):
        name = text_of(table, "name")
        for host in sorted(mappings(table.get("virtual_hosts")), key=_place(table)):
            title = host_name(table, host)
            domains = _domains(texts(host.get("domains")))
            routes = mappings(host.get("routes"))
            cited = known.get(name, {}).get(title, ())
            for index, route in enumerate(routes):
                if dig(route, "route", "cluster") == _PASSTHROUGH:
                    continue
                origin = origins.cell(origins.nth(cited, index, len(routes)), route)
                yield name, title, domains, match(route), _rule(route), origin
            if not routes:
                yield name, title, domains, "/*", "404", "-"


def _place(table: Json) -> Callable[[Json], str]:
    """Return the order of virtual hosts: by name where they came by themselves, else as they stand."""
    return (lambda host: host_name(table, host)) if "vhds" in table else (lambda _host: "")


def short_rows(tables: Sequence[Json]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each route configuration."""
    for table in _ordered(tables):
        yield text_of(table, "name"), str(len(mappings(table.get("virtual_hosts"))))


def described(table: Json) -> str:
    """Return where an inline table leads to: one cluster, or its routes."""
    hosts = mappings(table.get("virtual_hosts"))
    clusters = {str(dig(route, "route", "cluster") or "") for h in hosts for route in _routes(h)}
    if len(clusters) == 1 and (only := clusters.pop()):
        return only if only.endswith("Cluster") else f"Cluster: {only}"
    parts = []
    for host in hosts:
        domains = [d for d in texts(host.get("domains")) if d != "*"]
        matches = ", ".join(match(route) for route in _routes(host))
        parts.append(" ".join(filter(None, (_domains(domains), matches))))
    return f"Inline Route: {'; '.join(parts)}"


def match(route: Json) -> str:
    """Return what a route matches: the path, then headers and query parameters."""
    said = mapping(route.get("match"))
    path = "/*"
    if (prefix := said.get("prefix")) is not None:
        path = f"{prefix}*"
    elif (exact := said.get("path")) is not None:
        path = str(exact)
    elif (separated := said.get("path_separated_prefix")) is not None:
        path = f"{separated}[/*]"
    elif (regex := dig(said, "safe_regex", "regex")) is not None:
        path = f"regex {regex}"
    conditions = [
        f"{text_of(each, 'name')}{_value(each)}"
        for field in ("headers", "query_parameters")
        for each in mappings(said.get(field))
    ]
    return " ".join((path, *conditions))


def _value(matcher: Json) -> str:
    text = mapping(matcher.get("string_match"))
    sign = "!" if matcher.get("invert_match") else ""
    for field, before, after in (
        ("exact", "=", ""),
        ("prefix", "=", "*"),
        ("suffix", "=*", ""),
        ("contains", "=*", "*"),
    ):
        if field in text:
            return f"{sign}{before}{text[field]}{after}"
    regex = dig(text, "safe_regex", "regex")
    return f"{sign}~{regex}" if regex else sign


def _routes(host: Json) -> list[Json]:
    return mappings(host.get("routes"))


def _ordered(tables: Sequence[Json]) -> list[Json]:
    def key(table: Json) -> tuple[bool, int, str]:
        name = text_of(table, "name")
        return not name.isdigit(), int(name) if name.isdigit() else 0, name

    return sorted(tables, key=key)


def _rule(route: Json) -> str:
    found = origins.config_path(route)
    return f"{found[2]}.{found[1]}" if found else ""


def _domains(domains: list[str]) -> str:
    """Shorten what a service is called: neither ports nor the longer forms of a name that is there."""
    if len(domains) < 2:
        return "".join(domains)
    bare = [d for d in domains if ":" not in d or d.count(":") > 2]
    known = set(bare)
    short = [
        domain
        for domain in bare
        if not any(
            domain.endswith(end) and domain.removesuffix(end) in known
            for end in (".", ".svc.cluster.local", ".svc")
        )
    ]
    if len(short) > _SHOWN_DOMAINS:
        shown = ", ".join(short[:_SHOWN_DOMAINS])
        return f"{shown} + {len(short) - _SHOWN_DOMAINS} more..."
    return ", ".join(short)
