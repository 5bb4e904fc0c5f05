"""Rules for DestinationRule."""

from rhumb.model.kinds.destination_rule import DestinationRule
from rhumb.model.resource import Resource
from rhumb.validation import rules
from rhumb.validation.routing import subset_name
from rhumb.validation.rules import Report
from rhumb.validation.traffic_policy import check_traffic_policy


def check_destination_rule(resource: Resource, spec: DestinationRule, report: Report) -> None:
    """Check a DestinationRule."""
    namespace = resource.meta.namespace
    report.error("spec.host", rules.wildcard_domain(spec.host))
    check_traffic_policy(report, "spec.trafficPolicy", namespace, spec.traffic_policy)
    seen: set[str] = set()
    for index, subset in enumerate(spec.subsets):
        at = f"spec.subsets[{index}]"
        if subset.name in seen:
            report.error(at, f"duplicate subset names: {subset.name}")
        seen.add(subset.name)
        report.error(f"{at}.name", subset_name(subset.name))
        rules.check_labels(report, f"{at}.labels", subset.labels)
        check_traffic_policy(report, f"{at}.trafficPolicy", namespace, subset.traffic_policy)
    rules.check_export_to(
        report, namespace, spec.export_to, is_selective=spec.workload_selector is not None
    )
    rules.check_label_match(report, "spec.workloadSelector", spec.workload_selector)
