"""Which localities come first: distribution, failover and zone awareness (istio-api: Locality LB)."""

from collections.abc import Mapping, Sequence

import msgspec

from rhumb.ir.cluster import ZoneAware
from rhumb.ir.endpoint import LbEndpoint, LocalityGroup
from rhumb.model.endpoint import Endpoint, Locality
from rhumb.model.kinds.destination_rule import (
    LoadBalancer,
    LocalityLbSetting,
    ZoneAwareLbSetting,
)
from rhumb.model.service import Service
from rhumb.registry.workloads import NETWORK_LABEL
from rhumb.snapshot.snapshot import Mesh
from rhumb.snapshot.view import View

_REGION = "topology.kubernetes.io/region"
_ZONE = "topology.kubernetes.io/zone"
_SUBZONE = "topology.istio.io/subzone"
_CLUSTER = "topology.istio.io/cluster"
_NODE = "kubernetes.io/hostname"
_SAME_ZONE = (NETWORK_LABEL, _REGION, _ZONE)
_DISTRIBUTIONS = {
    "PreferClose": _SAME_ZONE,
    "PreferSameZone": _SAME_ZONE,
    "PreferSameNode": (*_SAME_ZONE, _SUBZONE, _NODE),
}

Rank = tuple[int, int]
"""By labels, then by region: the least comes first."""


class Placed(msgspec.Struct, frozen=True):
    """An endpoint with what Envoy gets of it."""

    source: Endpoint
    endpoint: LbEndpoint


class Preference(msgspec.Struct, frozen=True):
    """The setting in force for one cluster: one of the two."""

    setting: LocalityLbSetting | None = None
    zones: ZoneAwareLbSetting | None = None
    is_forced: bool = False
    """Nearer endpoints come first even where nothing can find out that they fail."""


def preference(balancer: LoadBalancer | None, service: Service, mesh: Mesh) -> Preference | None:
    """Return what the DestinationRule says, else the service, else the mesh; None when it is off."""
    if balancer is not None and balancer.zone_aware_lb_setting is not None:
        return Preference(zones=balancer.zone_aware_lb_setting)
    if balancer is not None and balancer.locality_lb_setting is not None:
        return _unless_off(balancer.locality_lb_setting)
    labels = _DISTRIBUTIONS.get(service.traffic_distribution)
    if labels is not None:
        return Preference(LocalityLbSetting(failover_priority=labels), is_forced=True)
    if mesh.config.zone_aware_lb_setting is not None:
        return Preference(zones=mesh.config.zone_aware_lb_setting)
    return _unless_off(mesh.config.locality_lb_setting or LocalityLbSetting())


def _unless_off(setting: LocalityLbSetting) -> Preference | None:
    return None if setting.enabled is False else Preference(setting)


def is_weighted(wanted: Preference | None, *, detects: bool) -> bool:
    """Tell whether localities are balanced by weight, not their endpoints.

    `detects`: the cluster has outlier detection, without which nothing ever fails over.
    """
    if wanted is None or wanted.setting is None:
        return False
    setting = wanted.setting
    explicit = bool(setting.failover or setting.failover_priority)
    return bool(setting.distribute) or (explicit and (detects or wanted.is_forced))


def zone_aware(wanted: Preference | None) -> ZoneAware | None:
    """Return Envoy's own zone aware routing; None: as Envoy does by default."""
    if wanted is None or wanted.zones is None:
        return None
    return ZoneAware(
        enabled=wanted.zones.enabled is not False, min_cluster_size=wanted.zones.min_cluster_size
    )


def groups(
    found: Sequence[Placed], view: View, wanted: Preference | None, *, detects: bool
) -> tuple[LocalityGroup, ...]:
    """Return endpoints by locality and priority, sorted.

    Distribution always counts; failover where outlier detection can find out that it is due.
    """
    if wanted is None:
        return _grouped(found, {})
    if wanted.zones is not None:
        if wanted.zones.enabled is False:
            return _grouped(found, {})
        return _grouped(found, _by_zones(found, view, wanted.zones))
    setting = wanted.setting or LocalityLbSetting()
    if setting.distribute:
        return _distributed(_grouped(found, {}), view.locality, setting)
    if not (detects or wanted.is_forced):
        return _grouped(found, {})
    return _grouped(found, _by_failover(found, view, setting))


def _grouped(found: Sequence[Placed], ranks: Mapping[int, Rank]) -> tuple[LocalityGroup, ...]:
    order = {rank: at for at, rank in enumerate(sorted(set(ranks.values())))}
    by_place: dict[tuple[int, Locality], list[LbEndpoint]] = {}
    for placed in found:
        priority = order[ranks[id(placed)]] if ranks else 0
        key = (priority, placed.source.workload.locality)
        by_place.setdefault(key, []).append(placed.endpoint)
    return tuple(
        LocalityGroup(
            locality=locality,
            priority=priority,
            weight=sum(e.weight for e in endpoints),
            endpoints=tuple(endpoints),
        )
        for (priority, locality), endpoints in sorted(by_place.items())
    )


def _by_failover(
    found: Sequence[Placed], view: View, setting: LocalityLbSetting
) -> Mapping[int, Rank]:
    """Rank by labels where these are named, and by region where no labels are or regions are too."""
    labels = _labels(view)
    regions = bool(setting.failover) or not setting.failover_priority
    return {
        id(p): (
            _label_rank(setting.failover_priority, labels, _endpoint_labels(p.source)),
            _region_rank(view.locality, p.source.workload.locality, setting) if regions else 0,
        )
        for p in found
    }


def _by_zones(
    found: Sequence[Placed], view: View, setting: ZoneAwareLbSetting
) -> Mapping[int, Rank]:
    """Rank the own region first, in all its zones alike, then the region that takes over."""
    labels = _labels(view)
    heirs = [rule.to for rule in setting.failover if rule.from_ == view.locality.region][:1]
    ranks: dict[int, Rank] = {}
    for placed in found:
        region = placed.source.workload.locality.region
        own = region == view.locality.region
        ranks[id(placed)] = (
            _label_rank(setting.failover_priority, labels, _endpoint_labels(placed.source)),
            0 if own else 1 if region in heirs else 2,
        )
    return ranks


def _region_rank(client: Locality, other: Locality, setting: LocalityLbSetting) -> int:
    """Return 0 for the same subzone, 1 zone, 2 region, 3 another region (4 if failover names a better one)."""
    if client.region == other.region:
        if client.zone != other.zone:
            return 2
        return 0 if client.subzone == other.subzone else 1
    for rule in setting.failover:
        if rule.from_ == client.region:
            return 3 if rule.to == other.region else 4
    return 3


def _label_rank(wanted: Sequence[str], mine: Mapping[str, str], theirs: Mapping[str, str]) -> int:
    """Return how many labels, from the first that differs on, do not match.

    Another network, where the network stands first, comes after all that the own one has.
    """
    other_network = 0
    for at, text in enumerate(wanted):
        name, _, value = text.partition("=")
        if (value or mine.get(name, "")) == theirs.get(name, ""):
            continue
        if at == 0 and name == NETWORK_LABEL:
            other_network = len(wanted)
            continue
        return other_network + len(wanted) - at
    return other_network


def _labels(view: View) -> Mapping[str, str]:
    known = _topology(view.locality, view.network, view.cluster)
    if view.node:
        known[_NODE] = view.node
    return dict(view.labels) | known


def _endpoint_labels(endpoint: Endpoint) -> Mapping[str, str]:
    workload = endpoint.workload
    known = _topology(workload.locality, workload.network, workload.cluster)
    if endpoint.node:
        known[_NODE] = endpoint.node
    return dict(workload.labels) | known


def _topology(place: Locality, network: str, cluster: str) -> dict[str, str]:
    """Return the labels that say where a workload is, as if it carried them (Istio: AugmentLabels)."""
    known = {
        NETWORK_LABEL: network,
        _CLUSTER: cluster,
        _REGION: place.region,
        _ZONE: place.zone,
        _SUBZONE: place.subzone,
    }
    return {name: value for name, value in known.items() if value}


def _distributed(
    found: Sequence[LocalityGroup], client: Locality, setting: LocalityLbSetting
) -> tuple[LocalityGroup, ...]:
    """Give the localities the shares that the client's locality says; those without a share get nothing."""
    rule = next((r for r in setting.distribute if _covers(r.from_, client)), None)
    if rule is None:
        return tuple(found)
    left = list(found)
    shared: list[LocalityGroup] = []
    for pattern, weight in sorted(rule.to.items(), key=lambda item: ("*" in item[0], item[0])):
        covered = [g for g in left if _covers(pattern, g.locality)]
        left = [g for g in left if g not in covered]
        total = sum(g.weight for g in covered)
        shared += [
            msgspec.structs.replace(g, weight=-(-g.weight * weight // total))  # rounded up
            for g in covered
            if weight
        ]
    return tuple(sorted(shared, key=lambda g: (g.priority, g.locality)))


def _covers(pattern: str, place: Locality) -> bool:
    parts = pattern.split("/")
    mine = (place.region, place.zone, place.subzone)
    for at, part in enumerate(parts):
        if part == "*":
            return True
        if at >= len(mine) or part != mine[at]:
            return False
    return True
