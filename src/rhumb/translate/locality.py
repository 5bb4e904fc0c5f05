"""Which localities come first: distribution and failover (istio-api: Locality LB)."""

from collections.abc import Mapping, Sequence

import msgspec

from rhumb.ir.endpoint import LbEndpoint, LocalityGroup
from rhumb.model.endpoint import Endpoint, Locality
from rhumb.model.kinds.destination_rule import LocalityLbSetting


class Placed(msgspec.Struct, frozen=True):
    """An endpoint with what Envoy gets of it."""

    source: Endpoint
    endpoint: LbEndpoint


def groups(
    found: Sequence[Placed],
    client: Locality,
    labels: Mapping[str, str],
    setting: LocalityLbSetting | None,
    *,
    fails_over: bool,
) -> tuple[LocalityGroup, ...]:
    """Return endpoints by locality and priority, sorted.

    `distribute` always counts; failover only where outlier detection can find out that it is due.
    """
    known = bool(client.region)
    if setting is not None and setting.distribute and known:
        weights = _distribution(setting, client, {p.source.workload.locality for p in found})
        if weights is not None:
            return _grouped(found, {}, weights)
    if not fails_over:
        return _grouped(found, {}, None)
    if setting is not None and setting.failover_priority:
        ranks = {id(p): _label_rank(setting.failover_priority, labels, p.source) for p in found}
    elif known:
        ranks = {id(p): _rank(client, p.source.workload.locality, setting) for p in found}
    else:
        ranks = {}
    order = {rank: at for at, rank in enumerate(sorted(set(ranks.values())))}
    return _grouped(found, {key: order[rank] for key, rank in ranks.items()}, None)


def _grouped(
    found: Sequence[Placed],
    priorities: Mapping[int, int],
    weights: Mapping[Locality, int] | None,
) -> tuple[LocalityGroup, ...]:
    by_place: dict[tuple[int, Locality], list[LbEndpoint]] = {}
    for placed in found:
        key = (priorities.get(id(placed), 0), placed.source.workload.locality)
        by_place.setdefault(key, []).append(placed.endpoint)
    made = []
    for (priority, locality), endpoints in sorted(by_place.items()):
        weight = sum(e.weight for e in endpoints)
        if weights is not None:
            weight = weights.get(locality, 0)
            if not weight:
                continue
        made.append(
            LocalityGroup(
                locality=locality,
                priority=priority,
                weight=weight,
                endpoints=tuple(endpoints),
            )
        )
    return tuple(made)


def _rank(client: Locality, other: Locality, setting: LocalityLbSetting | None) -> int:
    """Return 0 for the same subzone, 1 zone, 2 region, 3 another region (4 if failover names a better one)."""
    if client.region == other.region:
        if client.zone != other.zone:
            return 2
        return 0 if client.subzone == other.subzone else 1
    for rule in setting.failover if setting else ():
        if rule.from_ == client.region:
            return 3 if rule.to == other.region else 4
    return 3


def _label_rank(wanted: Sequence[str], labels: Mapping[str, str], endpoint: Endpoint) -> int:
    """Return how many labels, from the first that differs on, do not match."""
    theirs = dict(endpoint.workload.labels)
    for at, text in enumerate(wanted):
        name, _, value = text.partition("=")
        if (value or labels.get(name)) != theirs.get(name):
            return len(wanted) - at
    return 0


def _distribution(
    setting: LocalityLbSetting, client: Locality, known: set[Locality]
) -> dict[Locality, int] | None:
    for rule in setting.distribute:
        if not _covers(rule.from_, client):
            continue
        weights: dict[Locality, int] = {}
        for pattern, weight in sorted(rule.to.items()):
            matching = sorted(place for place in known if _covers(pattern, place))
            for at, place in enumerate(matching):
                # Integer shares whose sum is the weight: the first ones carry the rest.
                share = weight // len(matching) + (at < weight % len(matching))
                weights[place] = weights.get(place, 0) + share
        return weights
    return None


def _covers(pattern: str, place: Locality) -> bool:
    parts = pattern.split("/")
    mine = (place.region, place.zone, place.subzone)
    for at, part in enumerate(parts):
        if part == "*":
            return True
        if at >= len(mine) or part != mine[at]:
            return False
    return True
