"""Rules for the Kubernetes kinds that shape the mesh, as the API server has them."""

from rhumb.model.kinds.kubernetes import Service
from rhumb.model.resource import Resource
from rhumb.validation import rules
from rhumb.validation.rules import Report

_TYPES = ("", "ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
_PROTOCOLS = ("", "TCP", "UDP", "SCTP")
_KUBERNETES = "Kubernetes refuses such a Service; give each port a name of its own"


def check_service(_resource: Resource, spec: Service, report: Report) -> None:
    """Check a Kubernetes Service."""
    if spec.type not in _TYPES:
        report.error(
            "spec.type",
            f'Unsupported value: "{spec.type}": supported values: {", ".join(_TYPES[1:])}',
        )
    if spec.type == "ExternalName" and not spec.external_name:
        report.error(
            "spec.externalName", "Required value: must be set for a Service of type ExternalName"
        )
    elif spec.external_name:
        report.error("spec.externalName", rules.fqdn(spec.external_name))
    if spec.cluster_ip not in ("", "None"):
        report.error("spec.clusterIP", rules.address(spec.cluster_ip))
    if spec.session_affinity not in ("", "None", "ClientIP"):
        report.error(
            "spec.sessionAffinity",
            f'Unsupported value: "{spec.session_affinity}": supported: None, ClientIP',
        )
    rules.check_labels(report, "spec.selector", spec.selector)
    _check_ports(report, spec)


def _check_ports(report: Report, spec: Service) -> None:
    names: set[str] = set()
    numbers: set[tuple[int, str]] = set()
    for index, port in enumerate(spec.ports):
        at = f"spec.ports[{index}]"
        report.error(f"{at}.port", rules.port(port.port))
        if port.protocol not in _PROTOCOLS:
            report.error(
                f"{at}.protocol", f'Unsupported value: "{port.protocol}": supported: TCP, UDP, SCTP'
            )
        if isinstance(port.target_port, int) and port.target_port:
            report.error(f"{at}.targetPort", rules.port(port.target_port))
        if len(spec.ports) > 1 and not port.name:
            report.warn(f"{at}.name", "Required value: several ports need names", _KUBERNETES)
        elif port.name:
            report.error(f"{at}.name", rules.port_name(port.name))
        if port.name and port.name in names:
            report.warn(f"{at}.name", f'Duplicate value: "{port.name}"', _KUBERNETES)
        if (port.port, port.protocol or "TCP") in numbers:
            report.error(f"{at}.port", f"Duplicate value: {port.port}")
        names.add(port.name)
        numbers.add((port.port, port.protocol or "TCP"))
