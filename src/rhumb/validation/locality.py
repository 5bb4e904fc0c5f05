"""Rules for locality weights and failover."""

from collections.abc import Iterable, Sequence

from rhumb.model.kinds.destination_rule import (
    Distribute,
    Failover,
    LocalityLbSetting,
    ZoneAwareLbSetting,
)
from rhumb.validation.rules import Report

_TOPOLOGY = (
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.istio.io/subzone",
)


def check_locality(
    report: Report, at: str, setting: LocalityLbSetting | None, *, has_outlier: bool
) -> None:
    """Check localityLbSetting; failover needs outlier detection beside it."""
    if setting is None:
        return
    if setting.distribute and setting.failover:
        report.error(at, "can not simultaneously specify 'distribute' and 'failover'")
        return
    if setting.failover:
        for label in setting.failover_priority:
            if label in _TOPOLOGY:
                report.error(
                    f"{at}.failoverPriority",
                    f"can not simultaneously set 'failover' and topology label '{label}' in 'failover_priority'",
                )
                return
    _check_distribute(report, f"{at}.distribute", setting.distribute)
    _check_needs_outlier(
        report, at, setting.failover, setting.failover_priority, has_outlier=has_outlier
    )
    _check_failover(
        report, f"{at}.failover", setting.failover, "locality lb failover", "only specify region"
    )


def check_zone_aware(
    report: Report, at: str, setting: ZoneAwareLbSetting | None, *, has_outlier: bool
) -> None:
    """Check zoneAwareLbSetting."""
    if setting is None:
        return
    for label in setting.failover_priority:
        if label in _TOPOLOGY:
            report.error(
                f"{at}.failoverPriority",
                f"'failover_priority' for zone aware lb must not use topology label '{label}'; "
                "region- and zone-level routing are handled automatically",
            )
    if setting.min_cluster_size == 0:
        report.error(
            f"{at}.minClusterSize", "Invalid value: 0: should be greater than or equal to 1"
        )
    _check_needs_outlier(
        report, at, setting.failover, setting.failover_priority, has_outlier=has_outlier
    )
    _check_failover(
        report,
        f"{at}.failover",
        setting.failover,
        "zone aware lb failover",
        "only specifies region; zone and subzone failover are handled automatically",
    )


def _check_needs_outlier(
    report: Report,
    at: str,
    failover: Sequence[Failover],
    priority: Sequence[str],
    *,
    has_outlier: bool,
) -> None:
    if (failover or priority) and not has_outlier:
        report.warn(
            at,
            "outlier detection policy must be provided for failover",
            "add outlierDetection beside it",
        )


def _check_failover(
    report: Report, at: str, failover: Sequence[Failover], what: str, only: str
) -> None:
    for index, entry in enumerate(failover):
        where, both = f"{at}[{index}]", entry.from_ + entry.to
        if entry.from_ == entry.to:
            report.error(where, f"{what} settings must specify different regions")
        if "/" in both:
            report.error(where, f"{what} {only}")
        if "*" in both:
            report.error(where, f"{what} region should not contain '*' wildcard")


def _check_distribute(report: Report, at: str, distribute: Sequence[Distribute]) -> None:
    for index, entry in enumerate(distribute):
        where = f"{at}[{index}].to"
        if any(not 1 <= weight <= 100 for weight in entry.to.values()):
            report.error(where, "locality weight must be in range [1, 100]")
            return
        total = sum(entry.to.values())
        if total != 100:
            report.error(where, f"total locality weight {total} != 100")
            return
        report.error(where, _overlaps(entry.to))
    report.error(at, _overlaps(entry.from_ for entry in distribute))


def _overlaps(localities: Iterable[str]) -> str | None:
    """Check that no two localities can be the same place."""
    seen: set[tuple[str, ...]] = set()
    for locality in localities:
        if "*" in locality and (locality.count("*") > 1 or not locality.endswith("*")):
            return (
                f"locality {locality} wildcard '*' number can not exceed 1 and must be in the end"
            )
        parts = tuple(locality.split("/", 2))
        if "" in parts:
            return f"locality {locality} must not contain empty region/zone/subzone info"
        bare = parts[:-1] if parts[-1] == "*" else parts
        if any(_is_within(bare, other) or _is_within(other, bare) for other in seen):
            return f"locality {locality} overlap with previous specified ones"
        seen.add(bare)
    return None


def _is_within(inner: tuple[str, ...], outer: tuple[str, ...]) -> bool:
    return inner[: len(outer)] == outer
