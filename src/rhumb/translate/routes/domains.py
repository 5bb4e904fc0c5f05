"""Domains of virtual hosts: every spelling by which a client may call a service."""

import ipaddress
from collections.abc import Iterable, Iterator

from rhumb.model.service import Registry, Resolution, Service
from rhumb.snapshot.view import View


def alternatives(host: str, view: View) -> tuple[str, ...]:
    """Return the other spellings of a full host name that are valid where the view stands.

    The absolute name, and for hosts of the mesh's DNS domain `name` (own namespace only),
    `name.ns` and `name.ns.svc`.
    """
    found = [] if is_address(host) else [f"{host}."]
    suffix = f".svc.{view.domain}"
    if not host.endswith(suffix):
        return tuple(found)
    short = host.removesuffix(suffix)
    name, dot, namespace = short.partition(".")
    if not dot or not namespace:
        return tuple(found)
    # "*" alone would be everything there is, not every name of the namespace.
    if namespace == view.namespace and name != "*":
        found.append(name)
    return (*found, f"{short}.svc", short)


def of_service(
    service: Service, aliases: Iterable[str], addresses: Iterable[str], view: View, port: int
) -> tuple[list[str], list[str]]:
    """Return all domains of a service, and those among them that are mere spellings.

    `port` is 0 where the port of a Host header is ignored; otherwise each domain comes with the port too.
    """
    domains: list[str] = []
    spellings: list[str] = []
    for host in (service.hostname, *aliases):
        others = [d for other in alternatives(host, view) for d in with_port(other, port)]
        domains += [*with_port(host, port), *others]
        spellings += others
    headless = service.headless or service.resolution is Resolution.PASSTHROUGH
    if headless and service.registry is Registry.KUBERNETES:
        domains += [f"*.{domain}" for domain in domains]
    for address in addresses:
        if "/" not in address:
            domains += with_port(address, port)
    return domains, spellings


def with_port(domain: str, port: int) -> Iterator[str]:
    """Yield a domain, and with a port other than 0 also `domain:port`."""
    text = f"[{domain}]" if ":" in domain else domain
    yield text
    if port:
        yield f"{text}:{port}"


def is_address(host: str) -> bool:
    """Tell whether a host is an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Claimed:
    """The domains of one route configuration: no two virtual hosts may have the same (Envoy refuses it)."""

    def __init__(self, full_names: Iterable[str]) -> None:
        self._full = frozenset(full_names)
        self._taken: set[str] = set()

    def claim(self, domains: Iterable[str], spellings: Iterable[str] = ()) -> tuple[str, ...]:
        """Take the domains that are free; a spelling never takes the full name of another service."""
        guarded = self._full.intersection(spellings)
        free: list[str] = []
        for domain in domains:
            lower = domain.lower()
            if lower in self._taken or domain in guarded:
                continue
            self._taken.add(lower)
            free.append(domain)
        return tuple(free)
