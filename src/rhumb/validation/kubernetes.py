"""Rules for the Kubernetes kinds that shape the mesh, as the API server has them."""

from collections.abc import Sequence

from rhumb.model.kinds.endpoint_slice import (
    SERVICE_NAME,
    EndpointPort,
    Endpoints,
    EndpointSlice,
)
from rhumb.model.kinds.kubernetes import Service
from rhumb.model.resource import Resource
from rhumb.validation import rules
from rhumb.validation.rules import Report

_EXPORT_TO = "networking.istio.io/exportTo"
_DISTRIBUTION = "networking.istio.io/traffic-distribution"
_TYPES = ("", "ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
_PROTOCOLS = ("", "TCP", "UDP", "SCTP")
_FAMILIES = ("IPv4", "IPv6")
_DISTRIBUTIONS = ("", "PreferClose", "PreferSameZone", "PreferSameNode")
_KUBERNETES = "Kubernetes refuses such a Service; give each port a name of its own"


def check_service(resource: Resource, spec: Service, report: Report) -> None:
    """Check a Kubernetes Service, and Istio's annotations of it."""
    _check_reach(resource, spec, report)
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


def _check_reach(resource: Resource, spec: Service, report: Report) -> None:
    """Check who sees the service, and by which addresses and endpoints."""
    for index, address in enumerate(spec.cluster_ips):
        if address != "None":
            report.error(f"spec.clusterIPs[{index}]", rules.address(address))
    for index, family in enumerate(spec.ip_families):
        _one_of(report, f"spec.ipFamilies[{index}]", family, _FAMILIES)
    _one_of(
        report, "spec.internalTrafficPolicy", spec.internal_traffic_policy, ("", "Cluster", "Local")
    )
    _one_of(report, "spec.trafficDistribution", spec.traffic_distribution, _DISTRIBUTIONS)
    annotations = resource.meta.annotations
    said = annotations.get(_DISTRIBUTION, "")
    if said not in _DISTRIBUTIONS:
        report.warn(
            f"metadata.annotations[{_DISTRIBUTION}]",
            f'"{said}" has no effect: endpoints of all places are used alike',
            f"write one of {', '.join(_DISTRIBUTIONS[1:])}",
        )
    for entry in annotations.get(_EXPORT_TO, "").split(","):
        name = entry.strip()
        if name and name not in (".", "*", "~") and not rules.is_dns_label(name):
            report.warn(
                f"metadata.annotations[{_EXPORT_TO}]",
                f'"{name}" exports to nobody: it is no namespace',
                "write namespaces with commas between them, or one of . * ~",
            )


def _one_of(report: Report, at: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        supported = ", ".join(k for k in known if k)
        report.error(at, f'Unsupported value: "{value}": supported values: {supported}')


def check_endpoint_slice(resource: Resource, spec: EndpointSlice, report: Report) -> None:
    """Check an EndpointSlice."""
    _one_of(report, "addressType", spec.address_type, (*_FAMILIES, "FQDN"))
    if spec.address_type == "FQDN":
        report.warn(
            "addressType",
            "FQDN has no effect, as in Istio: endpoints are addresses",
            "use a ServiceEntry with resolution DNS",
        )
    if not resource.meta.labels.get(SERVICE_NAME):
        report.warn(
            "metadata.labels",
            "the EndpointSlice has no effect: it is of no Service",
            f"add the label {SERVICE_NAME}",
        )
    for at, endpoint in enumerate(spec.endpoints):
        if not endpoint.addresses:
            report.error(f"endpoints[{at}].addresses", "Required value: at least one address")
        for index, address in enumerate(endpoint.addresses if spec.address_type != "FQDN" else ()):
            report.error(f"endpoints[{at}].addresses[{index}]", rules.address(address))
    _check_numbers(report, "ports", spec.ports)


def check_endpoints(_resource: Resource, spec: Endpoints, report: Report) -> None:
    """Check Endpoints."""
    for at, subset in enumerate(spec.subsets):
        for name, addresses in (
            ("addresses", subset.addresses),
            ("notReadyAddresses", subset.not_ready_addresses),
        ):
            for index, address in enumerate(addresses):
                report.error(f"subsets[{at}].{name}[{index}].ip", rules.address(address.ip))
        _check_numbers(report, f"subsets[{at}].ports", subset.ports)


def _check_numbers(report: Report, at: str, ports: Sequence[EndpointPort]) -> None:
    for index, port in enumerate(ports):
        if port.port:
            report.error(f"{at}[{index}].port", rules.port(port.port))


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
