"""Rules for PeerAuthentication."""

from rhumb.model.kinds.peer_authentication import PeerAuthentication
from rhumb.model.kinds.wire import NONE
from rhumb.model.resource import Resource
from rhumb.validation import rules
from rhumb.validation.rules import Report


def check_peer_authentication(
    _resource: Resource, spec: PeerAuthentication, report: Report
) -> None:
    """Check a PeerAuthentication."""
    at = "spec.portLevelMtls"
    has_selector = spec.selector is not None and bool(spec.selector.match_labels)
    # An empty map that was written differs from none.
    if spec.port_level_mtls is not NONE and not spec.port_level_mtls:
        report.error(
            at,
            "spec.portLevelMtls in body should have at least 1 properties: "
            "port level mTLS, if defined, must have at least one element",
        )
    if spec.port_level_mtls and not has_selector:
        report.error(
            at,
            "portLevelMtls requires selector: mesh/namespace peer authentication cannot have port level mTLS",
            "add `selector.matchLabels`",
        )
    for port in spec.port_level_mtls:
        if not 1 <= port <= 65535:
            report.error(
                f"{at}[{port}]", "port must be between 1-65535: port must be in range 1..65535"
            )
    rules.check_label_match(report, "spec.selector", spec.selector)
