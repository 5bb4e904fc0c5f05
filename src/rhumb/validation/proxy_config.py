"""Rules for ProxyConfig."""

from rhumb.model.kinds.proxy_config_resource import ProxyConfigResource
from rhumb.model.resource import Resource
from rhumb.validation import rules
from rhumb.validation.rules import Report

_LONGEST_VALUE = 2048


def check_proxy_config(_resource: Resource, spec: ProxyConfigResource, report: Report) -> None:
    """Check a ProxyConfig."""
    rules.check_label_match(report, "spec.selector", spec.selector)
    if spec.concurrency is not None and spec.concurrency < 0:
        report.error("spec.concurrency", "concurrency must be greater than or equal to 0")
    for name, value in spec.environment_variables.items():
        if len(value) > _LONGEST_VALUE:
            report.error(
                f"spec.environmentVariables[{name}]",
                f"may not be more than {_LONGEST_VALUE} characters long",
            )
