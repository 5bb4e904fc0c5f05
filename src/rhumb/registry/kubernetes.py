"""Kubernetes Services as services."""

from rhumb.model.kinds import kubernetes
from rhumb.model.resource import Resource
from rhumb.model.service import Port, Registry, Resolution, Service
from rhumb.registry import protocols
from rhumb.registry.entries import TRAFFIC_DISTRIBUTION

EXPORT_TO = "networking.istio.io/exportTo"


def service(resource: Resource, domain: str) -> Service | None:
    """Return the service that a Kubernetes Service describes; None when it has no ports."""
    spec = resource.spec
    assert isinstance(spec, kubernetes.Service)
    ports = tuple(_port(p) for p in _ports(spec))
    if not ports and not spec.external_name:
        return None
    meta = resource.meta
    headless = spec.cluster_ip == "None"
    addresses = tuple(
        dict.fromkeys(a for a in (spec.cluster_ip, *spec.cluster_ips) if a and a != "None")
    )
    external_name = spec.external_name if spec.type == "ExternalName" else ""
    exported = meta.annotations.get(EXPORT_TO, "")
    return Service(
        hostname=hostname(meta.name, meta.namespace, domain),
        namespace=meta.namespace,
        name=meta.name,
        ports=ports,
        addresses=addresses,
        resolution=Resolution.PASSTHROUGH if headless else Resolution.STATIC,
        registry=Registry.KUBERNETES,
        mesh_external=bool(external_name),
        headless=headless,
        export_to=tuple(p.strip() for p in exported.split(",") if p.strip()),
        labels=tuple(sorted(meta.labels.items())),
        selector=tuple(sorted(spec.selector.items())),
        external_name=external_name,
        families=spec.ip_families or tuple("IPv6" if ":" in a else "IPv4" for a in addresses),
        client_ip_affinity=spec.session_affinity == "ClientIP",
        node_local=spec.internal_traffic_policy == "Local",
        traffic_distribution=spec.traffic_distribution
        or meta.annotations.get(TRAFFIC_DISTRIBUTION, ""),
        created=meta.created,
        key=resource.key,
        location=resource.location,
    )


def hostname(name: str, namespace: str, domain: str) -> str:
    """Return the host name of a Kubernetes Service."""
    return f"{name}.{namespace}.svc.{domain}"


def publishes_unready(resource: Resource) -> bool:
    """Tell whether Pods count before they are ready."""
    spec = resource.spec
    assert isinstance(spec, kubernetes.Service)
    return spec.publish_not_ready_addresses


def target_ports(resource: Resource) -> dict[int, int | str]:
    """Return what each port number leads to on the workload: a number, or a port's name."""
    spec = resource.spec
    assert isinstance(spec, kubernetes.Service)
    return {p.port: p.target_port or p.port for p in _ports(spec)}


def _ports(spec: kubernetes.Service) -> list[kubernetes.ServicePort]:
    """Return the ports, without those for UDP whose number is one for TCP too (DNS has such)."""
    tcp = {p.port for p in spec.ports if p.protocol in ("", "TCP")}
    return [p for p in spec.ports if p.protocol in ("", "TCP") or p.port not in tcp]


def _port(port: kubernetes.ServicePort) -> Port:
    target = port.target_port or port.port
    return Port(
        number=port.port,
        name=port.name,
        protocol=protocols.of_service_port(
            port.port, port.name, port.protocol or "TCP", port.app_protocol
        ),
        target_port=_number(target),
    )


def _number(target: int | str) -> int:
    if isinstance(target, int):
        return target
    return int(target) if target.isdigit() else 0
