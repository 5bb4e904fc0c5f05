"""DestinationRules: which one is in force for a host (Istio: destinationRuleIndex)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from rhumb.base import hosts
from rhumb.model.endpoint import Labels
from rhumb.model.kinds.destination_rule import DestinationRule, Subset
from rhumb.model.resource import Key, Resource
from rhumb.model.service import Service
from rhumb.registry.workloads import pairs, selects
from rhumb.snapshot.snapshot import Policy
from rhumb.snapshot.visible import exported, is_public, named


class Rule(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """DestinationRules of one namespace, host, exportTo and selector, merged."""

    host: str
    export_to: tuple[str, ...]
    """Sorted; empty: the mesh default."""
    selector: Labels
    policy: Policy


class HostTable:
    """Rules by host; the most specific host decides, whether or not its rules fit."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._exact: dict[str, list[Rule]] = {}
        wild: dict[str, list[Rule]] = {}
        for rule in rules:
            table = wild if hosts.is_wildcard(rule.host) else self._exact
            table.setdefault(rule.host, []).append(rule)
        self._wild = sorted(wild.items(), key=lambda item: hosts.specificity(item[0]))

    def find(self, host: str) -> Sequence[Rule]:
        """Return the rules of the most specific host that covers `host`."""
        found = self._exact.get(host)
        if found is not None:
            return found
        return next((rules for wild, rules in self._wild if hosts.covers(wild, host)), ())


class NamespaceRules:
    """The DestinationRules of one namespace, in three tables."""

    def __init__(
        self, resources: Iterable[Resource], namespace: str, domain: str, default: Sequence[str]
    ) -> None:
        self.resources = {r.key: r for r in resources}
        # Rules that select workloads come first, as in Istio: a general one must not hide them.
        ordered = sorted(
            self.resources.values(), key=lambda r: (not _selector(_spec(r)), r.age_key)
        )
        made = self.rules = _merged(ordered, namespace, domain)
        private = [r for r in made if _is_private(r.export_to, default, namespace)]
        self.own = HostTable(r for r in made if _serves_home(r.export_to, namespace))
        self.exported = HostTable(r for r in made if r not in private)
        self.private = HostTable(private)
        self.names = frozenset(
            to for r in made for to in named(r.export_to, default, namespace)
        ).difference(("*", "~", namespace))
        """Other namespaces that are named as those that may see something."""
        is_plain = not private and all(
            is_public(r.export_to, default) and not r.selector and not hosts.is_wildcard(r.host)
            for r in made
        )
        self.plain: frozenset[str] | None = frozenset(r.host for r in made) if is_plain else None
        """The hosts of the rules, where each is for one host and for everybody."""


class Rules:
    """The DestinationRules of the mesh, by namespace."""

    def __init__(self, domain: str, root: str, default: Sequence[str]) -> None:
        self._domain = domain
        self._root = root
        self._default = default
        self._by_namespace: dict[str, NamespaceRules] = {}
        self._named: frozenset[str] = frozenset()

    def updated(self, changed: Mapping[Key, Resource | None]) -> "Rules":
        """Return the index after some DestinationRules changed (None: went); the rest is shared."""
        following = Rules(self._domain, self._root, self._default)
        following._by_namespace = dict(self._by_namespace)
        for namespace in {key.namespace for key in changed}:
            before = self._by_namespace.get(namespace)
            kept = dict(before.resources) if before else {}
            for key, resource in changed.items():
                if key.namespace == namespace:
                    kept.pop(key, None)
                    if resource is not None:
                        kept[key] = resource
            following._by_namespace.pop(namespace, None)
            if kept:
                following._by_namespace[namespace] = NamespaceRules(
                    kept.values(), namespace, self._domain, self._default
                )
        named = (known.names for known in following._by_namespace.values())
        following._named = frozenset().union(*named)
        return following

    def merged(self) -> Iterator[Rule]:
        """Yield every rule as it stands after merging, namespace by namespace."""
        for known in self._by_namespace.values():
            yield from known.rules

    def are_as_public(self, client: str, services: Mapping[str, Sequence[Service]]) -> bool:
        """Tell whether clients in a namespace find for every service what those in no namespace would.

        So it is where nothing is for that namespace alone, and it says nothing of the services of others;
        those are given by host name.
        """
        if client in self._named:
            return False
        known = self._by_namespace.get(client)
        if known is None:
            return True
        return known.plain is not None and all(
            service.namespace == client
            for host in known.plain
            for service in services.get(host, ())
        )

    def lookup(self, host: str, client: str, labels: Labels, service: str) -> Policy | None:
        """Return the policy for a host: client namespace, then the service's, then the root namespace.

        A client in the root namespace looks there last, lest mesh-wide rules hide a service's own;
        only rules private to the root namespace come first.
        """
        known = self._by_namespace.get(client)
        if known is not None:
            table = known.private if client == self._root else known.own
            found = table.find(host)
            if found:
                return _for_workload(found, labels)
        for namespace in dict.fromkeys((service, self._root)):
            found = self._exported(namespace, host, client)
            if found:
                return _for_workload(found, labels)
        return None

    def _exported(self, namespace: str, host: str, client: str) -> Sequence[Rule]:
        known = self._by_namespace.get(namespace)
        if known is None:
            return ()
        return [
            r
            for r in known.exported.find(host)
            if exported(r.export_to, self._default, namespace, client)
        ]


def _for_workload(rules: Sequence[Rule], labels: Labels) -> Policy | None:
    """Return the first rule that selects the workload, else the oldest for all workloads."""
    named = dict(labels)
    for rule in rules:
        if rule.selector and selects(rule.selector, named):
            return rule.policy
    return next((rule.policy for rule in rules if not rule.selector), None)


def _spec(resource: Resource) -> DestinationRule:
    assert isinstance(resource.spec, DestinationRule)
    return resource.spec


def _selector(spec: DestinationRule) -> Labels:
    return pairs(spec.workload_selector.match_labels) if spec.workload_selector else ()


def _serves_home(export_to: tuple[str, ...], namespace: str) -> bool:
    return not export_to or any(to in ("*", ".", namespace) for to in export_to)


def _is_private(export_to: tuple[str, ...], default: Sequence[str], namespace: str) -> bool:
    if not export_to:
        return "." in default
    return len(export_to) == 1 and export_to[0] in (".", namespace)


def _merged(resources: Iterable[Resource], namespace: str, domain: str) -> list[Rule]:
    groups: dict[tuple[str, tuple[str, ...], Labels], list[Resource]] = {}
    for resource in resources:
        spec = _spec(resource)
        host = hosts.fqdn(spec.host, namespace, domain)
        selector = _selector(spec)
        # A rule for some workloads of its namespace means nothing to other namespaces.
        export_to = (".",) if selector else tuple(sorted(set(spec.export_to)))
        _join(groups, host, export_to, selector, resource)
    return [
        Rule(host=host, export_to=export_to, selector=selector, policy=_merge(group, host))
        for (host, export_to, selector), group in groups.items()
    ]


def _join(
    groups: dict[tuple[str, tuple[str, ...], Labels], list[Resource]],
    host: str,
    export_to: tuple[str, ...],
    selector: Labels,
    resource: Resource,
) -> None:
    """Add to the group of equal visibility, and to older ones that are seen by fewer."""
    for (other, visible, selected), group in groups.items():
        narrower = visible and visible != export_to and set(visible) < set(export_to)
        if other == host and selected == selector and narrower:
            group.append(resource)
    groups.setdefault((host, export_to, selector), []).append(resource)


def _merge(group: list[Resource], host: str) -> Policy:
    """Join subsets (the first of a name stays) and take the first top traffic policy there is."""
    subsets: dict[str, Subset] = {}
    policy = None
    for resource in group:
        spec = _spec(resource)
        policy = policy or spec.traffic_policy
        for subset in spec.subsets:
            subsets.setdefault(subset.name, subset)
    first = _spec(group[0])
    merged = msgspec.structs.replace(
        first, host=host, traffic_policy=policy, subsets=tuple(subsets.values())
    )
    return Policy(resources=tuple(group), spec=merged)
