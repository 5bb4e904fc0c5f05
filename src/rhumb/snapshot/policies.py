"""DestinationRules and PeerAuthentications: which one is in force."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from rhumb.base import hosts
from rhumb.model.endpoint import Labels
from rhumb.model.kinds.destination_rule import DestinationRule
from rhumb.model.kinds.peer_authentication import MutualTlsMode, PeerAuthentication
from rhumb.model.resource import Resource
from rhumb.registry.workloads import pairs, selects
from rhumb.snapshot.snapshot import Mtls, MtlsMode, Policy
from rhumb.snapshot.visible import exported


class Rule(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """DestinationRules of one namespace, host, exportTo and selector, merged."""

    host: str
    namespace: str
    export_to: tuple[str, ...]
    selector: Labels
    policy: Policy


class Rules:
    """The DestinationRules of the mesh, by namespace (Istio: destinationRuleIndex)."""

    def __init__(self, resources: Iterable[Resource], domain: str, default: Sequence[str]) -> None:
        self._default = default
        found: dict[tuple[str, str, tuple[str, ...], Labels], list[Resource]] = {}
        for resource in resources:
            spec = resource.spec
            assert isinstance(spec, DestinationRule)
            namespace = resource.meta.namespace
            host = hosts.fqdn(spec.host, namespace, domain)
            selector = pairs(spec.workload_selector.match_labels) if spec.workload_selector else ()
            export_to = (".",) if selector else tuple(sorted(spec.export_to))
            found.setdefault((namespace, host, export_to, selector), []).append(resource)
        self._exact: dict[tuple[str, str], list[Rule]] = {}
        self._wild: dict[str, list[Rule]] = {}
        for (namespace, host, export_to, selector), group in found.items():
            rule = Rule(
                host=host,
                namespace=namespace,
                export_to=export_to,
                selector=selector,
                policy=_merge(group, host),
            )
            if hosts.is_wildcard(host):
                self._wild.setdefault(namespace, []).append(rule)
            else:
                self._exact.setdefault((namespace, host), []).append(rule)
        for rules in self._wild.values():
            rules.sort(key=lambda r: hosts.specificity(r.host))

    def lookup(
        self, host: str, client: str, labels: Labels, service: str, root: str
    ) -> Policy | None:
        """Return the policy for a host: client namespace, then the service's, then the root namespace."""
        for namespace in dict.fromkeys((client, service, root)):
            found = self._in(namespace, host, client, dict(labels))
            if found is not None:
                return found.policy
        return None

    def _in(self, namespace: str, host: str, client: str, labels: Mapping[str, str]) -> Rule | None:
        exact = self._exact.get((namespace, host), [])
        wild = [r for r in self._wild.get(namespace, []) if hosts.covers(r.host, host)]
        visible = [
            r
            for r in (*exact, *wild)
            if exported(r.export_to, self._default, namespace, client)
            and selects(r.selector, labels)
        ]
        if not visible:
            return None
        best = visible[0].host
        # Among rules of one host, one that selects this workload beats the general one.
        return min((r for r in visible if r.host == best), key=lambda r: -len(r.selector))


def _merge(group: list[Resource], host: str) -> Policy:
    subsets: dict[str, object] = {}
    policy = None
    first = group[0].spec
    assert isinstance(first, DestinationRule)
    for resource in group:
        spec = resource.spec
        assert isinstance(spec, DestinationRule)
        policy = policy or spec.traffic_policy
        for subset in spec.subsets:
            subsets.setdefault(subset.name, subset)
    merged = msgspec.structs.replace(
        first, host=host, traffic_policy=policy, subsets=tuple(subsets.values())
    )
    return Policy(resources=tuple(group), spec=merged)


_MODES = {
    MutualTlsMode.DISABLE: MtlsMode.DISABLE,
    MutualTlsMode.PERMISSIVE: MtlsMode.PERMISSIVE,
    MutualTlsMode.STRICT: MtlsMode.STRICT,
}


class PeerPolicies:
    """The PeerAuthentications of the mesh: workload over namespace over mesh; the oldest in a level."""

    def __init__(self, resources: Iterable[Resource], root: str) -> None:
        self._root = root
        self._wide: dict[str, Resource] = {}
        self._selecting: dict[str, list[Resource]] = {}
        for resource in resources:
            spec = resource.spec
            assert isinstance(spec, PeerAuthentication)
            if spec.selector is not None and spec.selector.match_labels:
                self._selecting.setdefault(resource.meta.namespace, []).append(resource)
            else:
                self._wide.setdefault(resource.meta.namespace, resource)

    def workload(self, namespace: str, labels: Labels) -> Mtls:
        """Return the mode of a workload for ports without an entry of their own."""
        for resource in self._levels(namespace, labels):
            spec = resource.spec
            assert isinstance(spec, PeerAuthentication)
            mode = _MODES.get(spec.mtls.mode) if spec.mtls else None
            if mode is not None:
                return Mtls(mode, resource, "spec.mtls.mode")
        return Mtls(MtlsMode.PERMISSIVE)

    def ports(self, namespace: str, labels: Labels) -> tuple[tuple[int, Mtls], ...]:
        """Return the ports with an entry of their own, resolved; UNSET inherits."""
        chosen = self._selected(namespace, labels)
        if chosen is None:
            return ()
        spec = chosen.spec
        assert isinstance(spec, PeerAuthentication)
        inherited = self.workload(namespace, labels)
        found = []
        for port, mtls in sorted(spec.port_level_mtls.items()):
            mode = _MODES.get(mtls.mode)
            field = f"spec.portLevelMtls[{port}]"
            found.append((port, Mtls(mode, chosen, field) if mode is not None else inherited))
        return tuple(found)

    def _selected(self, namespace: str, labels: Labels) -> Resource | None:
        named = dict(labels)
        for resource in self._selecting.get(namespace, []):
            spec = resource.spec
            assert isinstance(spec, PeerAuthentication)
            assert spec.selector is not None
            if selects(pairs(spec.selector.match_labels), named):
                return resource
        return None

    def _levels(self, namespace: str, labels: Labels) -> list[Resource]:
        levels = (
            self._selected(namespace, labels),
            self._wide.get(namespace) if namespace != self._root else None,
            self._wide.get(self._root),
        )
        return [level for level in levels if level is not None]
