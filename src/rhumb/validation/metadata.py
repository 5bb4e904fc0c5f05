"""Rules for the metadata of every object."""

import re

from rhumb.model.resource import Resource
from rhumb.validation import rules
from rhumb.validation.rules import Report

_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_RESERVED = ("internal.istio.io/parent-namespace", "internal.istio.io/parents")
_DRY_RUN = "istio.io/dry-run"
_ALWAYS_REJECT = "internal.istio.io/webhook-always-reject"


def check_metadata(resource: Resource, report: Report) -> None:
    """Check name, namespace, labels and reserved annotations."""
    meta = resource.meta
    if len(meta.name) > 253 or _NAME.fullmatch(meta.name) is None:
        report.error(
            "metadata.name",
            f'invalid name "{meta.name}": it must consist of lower case letters, digits, "-" and "."',
        )
    if meta.namespace and (
        not rules.is_dns_label(meta.namespace) or meta.namespace != meta.namespace.lower()
    ):
        report.error(
            "metadata.namespace", f'invalid namespace "{meta.namespace}": it must be a DNS label'
        )
    rules.check_labels(report, "metadata.labels", meta.labels)
    for name in _RESERVED:
        if name in meta.annotations:
            report.error(
                f"metadata.annotations[{name}]",
                f'"{name}" annotation found, this may not be set by users',
            )
    if _ALWAYS_REJECT in meta.annotations:
        report.error(
            f"metadata.annotations[{_ALWAYS_REJECT}]",
            f'"{_ALWAYS_REJECT}" annotation found, rejecting',
        )
    is_ours = resource.key.group.endswith("istio.io") and resource.key.kind != "AuthorizationPolicy"
    if _DRY_RUN in meta.annotations and is_ours:
        report.error(
            f"metadata.annotations[{_DRY_RUN}]",
            f"{meta.namespace}/{meta.name} has unsupported annotation {_DRY_RUN}, please remove the annotation",
        )
