"""Perspective: the snapshot as one view sees it, with the look-ups that every translation needs."""

from collections.abc import Iterable, Iterator, Mapping

from rhumb.base import hosts
from rhumb.model.kinds.destination_rule import ConsistentHash, DestinationRule, TrafficPolicy
from rhumb.model.kinds.proxy_config import ProxyConfig
from rhumb.model.service import Registry, Service
from rhumb.snapshot import own_config
from rhumb.snapshot.snapshot import Mesh, Scope, Snapshot
from rhumb.snapshot.view import View
from rhumb.translate.traffic_policy import BY_CLIENT

WILDCARD = "0.0.0.0"  # noqa: S104 - an address that Envoy matches, nothing binds here
WILDCARD_V6 = "::"
LOOPBACK = "127.0.0.1"


class Perspective:
    """Made for one translation and dropped with it; all answers are functions of snapshot and view."""

    def __init__(self, snapshot: Snapshot, view: View) -> None:
        self.snapshot = snapshot
        self.view = view
        self.scope: Scope = snapshot.scope(view)
        self.labels: Mapping[str, str] = dict(view.labels)
        self._policies: dict[str, DestinationRule | None] = {}
        self._aliases: dict[str, list[str]] | None = None

    @property
    def mesh(self) -> Mesh:
        """Return the mesh-wide settings."""
        return self.snapshot.mesh

    @property
    def proxy_config(self) -> ProxyConfig:
        """Return what the proxy brings, else what the mesh says of all proxies."""
        own = own_config.read(self.view.proxy_config) if self.view.proxy_config else None
        return own or self.mesh.config.default_config or ProxyConfig()

    def rule(self, service: Service) -> DestinationRule | None:
        """Return the DestinationRule in force for a service."""
        if service.hostname not in self._policies:
            found = self.snapshot.policy(self.view, service)
            self._policies[service.hostname] = found.spec if found else None
        return self._policies[service.hostname]

    def traffic_policy(self, service: Service) -> TrafficPolicy | None:
        """Return the top traffic policy for a service."""
        rule = self.rule(service)
        return rule.traffic_policy if rule else None

    def consistent_hash(self, service: Service, subset: str, port: int) -> ConsistentHash | None:
        """Return the hash key for a destination: port of the subset, subset, port of the rule, rule, service."""
        rule = self.rule(service)
        policies = [rule.traffic_policy] if rule else []
        policies += [s.traffic_policy for s in rule.subsets if s.name == subset] if rule else []
        found = BY_CLIENT if service.client_ip_affinity else None
        for policy in policies:
            blocks = _load_balancers(policy, port)
            for block in blocks:
                found = block
        return found

    def concrete(self, service: Service) -> Service:
        """Follow an ExternalName service to the service it stands for, itself when there is none."""
        seen = {service.hostname}
        while service.external_name:
            target = self.scope.service(service.external_name)
            if target is None or target.hostname in seen:
                break
            seen.add(target.hostname)
            service = target
        return service

    def is_alias(self, service: Service) -> bool:
        """Tell whether a service is another name of a visible one."""
        return bool(service.external_name)

    def aliases(self, service: Service) -> tuple[str, ...]:
        """Return the other names (ExternalName) of a service, sorted."""
        if self._aliases is None:
            self._aliases = {}
            for other in self.scope.services:
                target = self.concrete(other)
                if target is not other:
                    self._aliases.setdefault(target.hostname, []).append(other.hostname)
        return tuple(sorted(self._aliases.get(service.hostname, ())))

    def addresses(self, service: Service) -> tuple[str, ...]:
        """Return the addresses by which the view may call a service; empty when it has none."""
        can = self.view.capabilities
        if service.addresses and service.registry is Registry.EXTERNAL:
            return service.addresses  # as written, each for itself
        if service.addresses:
            return can.of_families(service.addresses)
        return can.of_families(service.auto_addresses) if can.dns_capture else ()

    def more_wildcards(self, address: str) -> tuple[str, ...]:
        """Return the wildcard of the other family, beside IPv4's, for a view that has both."""
        both = self.view.capabilities.dual_stack and address == WILDCARD
        return (WILDCARD_V6,) if both else ()


def _load_balancers(policy: TrafficPolicy | None, port: int) -> Iterator[ConsistentHash | None]:
    """Yield the hash of a policy, then of its port, where such a block exists."""
    if policy is None:
        return
    if policy.load_balancer is not None:
        yield policy.load_balancer.consistent_hash
    for block in policy.port_level_settings:
        if block.port is not None and block.port.number == port:
            yield block.load_balancer.consistent_hash if block.load_balancer else None


def labels_match(wanted: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Tell whether all wanted labels are there."""
    return all(labels.get(name) == value for name, value in wanted.items())


def covering(patterns: Iterable[str], host: str) -> str | None:
    """Return the most specific pattern that covers a host name."""
    found = [p for p in patterns if hosts.covers(p, host)]
    return min(found, key=hosts.specificity) if found else None
