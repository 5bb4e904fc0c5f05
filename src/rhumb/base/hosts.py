"""Host names and wildcards: match, specificity, order.

A wildcard is "*" alone or a leading "*." label, as in Istio's pkg/config/host.
"""


def is_wildcard(host: str) -> bool:
    """Tell whether the host is "*" or starts with "*"."""
    return host.startswith("*")


def covers(pattern: str, host: str) -> bool:
    """Tell whether every name that `host` stands for is matched by `pattern` (Istio: SubsetOf)."""
    pattern, host = pattern.lower(), host.lower()
    if not is_wildcard(pattern):
        return pattern == host
    if is_wildcard(host):
        return len(pattern) <= len(host) and host[1:].endswith(pattern[1:])
    return len(host) >= len(pattern) - 1 and host.endswith(pattern[1:])


def overlap(one: str, other: str) -> bool:
    """Tell whether some name is matched by both (Istio: Matches)."""
    return covers(one, other) or covers(other, one)


def specificity(host: str) -> tuple[int, int, str]:
    """Return a sort key: the most specific first (exact names, then longer wildcards, then text)."""
    wild = is_wildcard(host)
    return (1 if wild else 0, -len(host) if wild else 0, host)


def fqdn(host: str, namespace: str, domain: str = "cluster.local") -> str:
    """Expand a short name (no dot, no wildcard, no address) to NAME.NAMESPACE.svc.DOMAIN."""
    if "." in host or ":" in host or is_wildcard(host) or not host:
        return host
    return f"{host}.{namespace}.svc.{domain}"
