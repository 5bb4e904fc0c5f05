"""The services that each namespace may see, by host name: most are the same for all of them."""

import bisect
from collections.abc import Iterable, Mapping, Sequence

from rhumb.model.service import Registry, Service
from rhumb.snapshot.visible import exported, is_public, named

NOBODY = ""
"""A namespace without objects, to which nothing is exported by name: it sees what is public."""

Groups = Mapping[str, tuple[Service, ...]]
"""The services of each host name."""


class Seen:
    """What namespaces see, made from what was before: only hosts that differ are looked at."""

    def __init__(self, by_host: Groups, default: Sequence[str]) -> None:
        self._default = default
        self._public: dict[str, tuple[Service, ...]] = {}
        """Hosts of one service, which everybody may see."""
        self._others: dict[str, tuple[Service, ...]] = {}
        self._sorted: tuple[Service, ...] = ()
        """The public ones."""
        self._groups: dict[str, Groups] = {}
        self._chosen: dict[str, tuple[Service, ...]] = {}
        self._in_domain: dict[str, tuple[Service, ...]] | None = None
        self._named: dict[str, dict[str, None]] | None = None
        self._take(by_host, by_host)
        self._sorted = tuple(self._public[host][0] for host in sorted(self._public))

    def following(self, by_host: Groups, changed: Iterable[str]) -> "Seen":
        """Return what is seen after the services of some hosts changed, came or went."""
        following = Seen({}, self._default)
        following._public, following._others = dict(self._public), dict(self._others)
        hosts = frozenset(changed)
        for host in hosts:
            following._public.pop(host, None)
            following._others.pop(host, None)
        following._take(by_host, hosts)
        listed = [s for s in self._sorted if s.hostname not in hosts]
        for host in hosts & following._public.keys():
            bisect.insort(listed, following._public[host][0], key=_hostname)
        following._sorted = tuple(listed)
        return following

    def _take(self, by_host: Groups, hosts: Iterable[str]) -> None:
        for host in hosts:
            group = by_host.get(host, ())
            if len(group) == 1 and is_public(group[0].export_to, self._default):
                self._public[host] = group
            elif group:
                self._others[host] = group

    def groups(self, viewer: str) -> Groups:
        """Return all services exported to a namespace."""
        found = self._groups.get(viewer)
        if found is None:
            found = self._groups[viewer] = self._public | self._of_others(viewer)
        return found

    def chosen(self, viewer: str) -> tuple[Service, ...]:
        """Return one service a host name, sorted by host name; the very same for most namespaces."""
        found = self._chosen.get(viewer)
        if found is None:
            found = self._chosen[viewer] = self._choose(viewer)
        return found

    @property
    def in_domain(self) -> Groups:
        """Return what is public by the domain of its host names, which is what follows the first dot."""
        if self._in_domain is None:
            found: dict[str, list[Service]] = {}
            for service in self.chosen(NOBODY):
                found.setdefault(service.hostname.partition(".")[2], []).append(service)
            self._in_domain = {domain: tuple(services) for domain, services in found.items()}
        return self._in_domain

    def _choose(self, viewer: str) -> tuple[Service, ...]:
        if viewer != NOBODY and viewer not in self._hosts_of:
            return self.chosen(NOBODY)
        own = [choose(group, viewer) for group in self._of_others(viewer).values()]
        if viewer != NOBODY:
            public = [choose(group, NOBODY) for group in self._of_others(NOBODY).values()]
            if len(own) == len(public) and all(map(_is, own, public)):
                return self.chosen(NOBODY)
        return tuple(sorted((*self._sorted, *own), key=_hostname)) if own else self._sorted

    def _of_others(self, viewer: str) -> dict[str, tuple[Service, ...]]:
        hosts = self._hosts_of.get("*", {}) | self._hosts_of.get(viewer, {})
        return {
            host: seen
            for host in hosts
            if (seen := tuple(s for s in self._others[host] if self._exported(s, viewer)))
        }

    @property
    def _hosts_of(self) -> Mapping[str, dict[str, None]]:
        """Return the hosts of others by whom they may concern: namespaces they are in or exported to, "*": all."""
        if self._named is None:
            self._named = {}
            for host, group in self._others.items():
                for service in group:
                    home = service.namespace
                    for namespace in (home, *named(service.export_to, self._default, home)):
                        self._named.setdefault(namespace, {})[host] = None
        return self._named

    def _exported(self, service: Service, viewer: str) -> bool:
        return exported(service.export_to, self._default, service.namespace, viewer)


def choose(group: Sequence[Service], viewer: str) -> Service:
    """Return one of several services of a host: the viewer's own, then Kubernetes', then the oldest."""
    if len(group) == 1:
        return group[0]
    return min(
        group,
        key=lambda s: (
            s.namespace != viewer,
            s.registry is not Registry.KUBERNETES,
            not s.created,
            s.created,
            s.namespace,
        ),
    )


def _hostname(service: Service) -> str:
    return service.hostname


def _is(one: Service, other: Service) -> bool:
    return one is other
