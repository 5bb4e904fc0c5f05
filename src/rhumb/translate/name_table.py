"""The names that a sidecar's DNS answers (Istio: dns.BuildNameTable)."""

from rhumb.ir.bundle import NameRecord, NameTable
from rhumb.model.endpoint import Endpoint, Health
from rhumb.model.service import Registry, Service
from rhumb.snapshot.snapshot import Scope, Snapshot
from rhumb.snapshot.view import Capabilities, View


def name_table(snapshot: Snapshot, view: View) -> NameTable:
    """Return a record for each visible service that has an address, sorted by host name.

    A headless service answers with its healthy endpoints, each of which has a name of its own as well;
    an ExternalName with the addresses of the service that it stands for.
    """
    scope = snapshot.scope(view)
    records = {}
    for service in scope.services:
        addresses = _addresses(snapshot, scope, service, view.capabilities)
        if addresses:
            kubernetes = service.registry is Registry.KUBERNETES
            records[service.hostname] = NameRecord(
                host=service.hostname,
                addresses=addresses,
                registry=service.registry,
                short_name=service.name if kubernetes else "",
                namespace=service.namespace if kubernetes else "",
            )
        if service.headless:
            for name, found in _instances(snapshot, service).items():
                host = f"{name}.{service.hostname}"
                records.setdefault(
                    host,
                    NameRecord(
                        host=host,
                        addresses=found,
                        registry=service.registry,
                        short_name=f"{name}.{service.name}",
                        namespace=service.namespace,
                    ),
                )
    return NameTable(records=tuple(records[host] for host in sorted(records)))


def _addresses(
    snapshot: Snapshot,
    scope: Scope,
    service: Service,
    can: Capabilities,
    passed: frozenset[str] = frozenset(),
) -> tuple[str, ...]:
    if service.external_name:
        target = scope.service(service.external_name)
        if target is None or target.hostname in passed:
            return ()
        return _addresses(snapshot, scope, target, can, passed | {service.hostname})
    if service.headless:
        found = snapshot.endpoints(service)
        return tuple(dict.fromkeys(a for e in found if _answers(e) for a in e.addresses))
    given = tuple(a for a in service.addresses if "/" not in a)
    return can.of_families(given or service.auto_addresses)


def _instances(snapshot: Snapshot, service: Service) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for endpoint in snapshot.endpoints(service):
        if endpoint.hostname and _answers(endpoint):
            found.setdefault(endpoint.hostname, {}).update(dict.fromkeys(endpoint.addresses))
    return {name: tuple(addresses) for name, addresses in sorted(found.items())}


def _answers(endpoint: Endpoint) -> bool:
    return endpoint.health is Health.HEALTHY and not endpoint.address.startswith("unix://")
