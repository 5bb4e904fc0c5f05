"""Proxy -> View: which service ports a workload serves, and what its proxy can do."""

from collections.abc import Mapping

from rhumb.model.endpoint import Endpoint
from rhumb.model.proxy import Proxy, Role
from rhumb.model.service import Protocol, Service
from rhumb.registry.join import Catalog, ServiceKey
from rhumb.registry.workloads import selects
from rhumb.snapshot.view import Capabilities, Instance, View


def view(proxy: Proxy, catalog: Catalog, by_address: Mapping[str, tuple[ServiceKey, ...]]) -> View:
    """Return what matters of a proxy.

    A sidecar serves a port when one of its addresses is among the service's endpoints in its own
    namespace; a workload that is not registered (yet) is matched by the service's selector instead.
    """
    instances = _instances(proxy, catalog, by_address) if proxy.role is Role.SIDECAR else ()
    return View(
        role=proxy.role,
        namespace=proxy.namespace,
        labels=proxy.labels,
        service_account=proxy.service_account,
        locality=proxy.locality,
        network=proxy.network,
        cluster=proxy.cluster,
        interception=proxy.interception,
        instances=instances,
        capabilities=capabilities(proxy.metadata, proxy.addresses),
    )


def _instances(
    proxy: Proxy, catalog: Catalog, by_address: Mapping[str, tuple[ServiceKey, ...]]
) -> tuple[Instance, ...]:
    found: set[Instance] = set()
    addresses = set(proxy.addresses)
    for key in {key for a in addresses for key in by_address.get(a, ())}:
        service = catalog.services[key]
        if service.namespace != proxy.namespace:
            continue
        for endpoint in catalog.endpoints[key]:
            if endpoint.address in addresses and _is_own(endpoint, proxy):
                found |= _instance(service, endpoint.service_port, endpoint.port)
    if not found:
        found = _by_labels(proxy, catalog)
    return tuple(
        sorted(
            found,
            key=lambda i: (i.target_port, not i.created, i.created, i.hostname, i.port.number),
        )
    )


def _is_own(endpoint: Endpoint, proxy: Proxy) -> bool:
    """Tell this workload's endpoints from those of others behind the same address.

    Without capture all sidecars of a machine share 127.0.0.1; then the entry's name decides.
    """
    entry = str(proxy.metadata.get("WORKLOAD_ENTRY") or "")
    return not entry or not endpoint.hostname or endpoint.hostname == entry


def _by_labels(proxy: Proxy, catalog: Catalog) -> set[Instance]:
    found: set[Instance] = set()
    labels = dict(proxy.labels)
    for (_, namespace), service in catalog.services.items():
        if namespace == proxy.namespace and service.selector and selects(service.selector, labels):
            for port in service.ports:
                found |= _instance(service, port.number, port.target_port or port.number)
    return found


def _instance(service: Service, number: int, target: int) -> set[Instance]:
    port = service.port(number)
    if port is None or port.protocol is Protocol.UDP or not target:
        return set()
    return {Instance(service.hostname, service.namespace, port, target, service.created)}


def capabilities(metadata: Mapping[str, object], addresses: tuple[str, ...]) -> Capabilities:
    """Read what a proxy can do from its metadata; booleans are strings there."""

    def yes(name: str) -> bool:
        return str(metadata.get(name) or "").lower() in ("true", "1")

    port = str(metadata.get("HTTP_PROXY_PORT") or "0")
    return Capabilities(
        file_sds=yes("RHUMB_FILE_SDS"),
        stats_access_logger=yes("RHUMB_STATS"),
        vhds=yes("RHUMB_VHDS"),
        http_proxy_port=int(port) if port.isdigit() else 0,
        dns_capture=yes("DNS_CAPTURE"),
        http10=yes("HTTP10"),
        unprivileged=yes("UNPRIVILEGED_POD"),
        ipv6=bool(addresses) and all(":" in a for a in addresses),
    )
