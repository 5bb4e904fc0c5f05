"""Selectors of workloads, as the kinds of every group use them."""

from collections.abc import Mapping

from rhumb.model.kinds.wire import NONE, Kind


class WorkloadSelector(Kind, frozen=True, kw_only=True):
    """Selects by `labels` (Sidecar, ServiceEntry)."""

    labels: Mapping[str, str] = NONE


class LabelMatch(Kind, frozen=True, kw_only=True):
    """Selects by `matchLabels` (DestinationRule and the security kinds)."""

    match_labels: Mapping[str, str] = NONE


class LabelSelectorRequirement(Kind, frozen=True, kw_only=True):
    """One condition of a Kubernetes label selector."""

    key: str = ""
    operator: str = ""
    """`In`, `Exists` or their opposites."""
    values: tuple[str, ...] = ()


class LabelSelector(Kind, frozen=True, kw_only=True):
    """A Kubernetes label selector."""

    match_labels: Mapping[str, str] = NONE
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()


class TargetReference(Kind, frozen=True, kw_only=True):
    """An object that a policy is attached to (Istio's PolicyTargetReference)."""

    group: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""
    """Must be empty: the policy's own."""
