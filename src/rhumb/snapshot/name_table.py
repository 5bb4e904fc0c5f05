"""The names that a sidecar's DNS answers."""

from rhumb.ir.bundle import NameRecord, NameTable
from rhumb.model.endpoint import Endpoint, Health
from rhumb.model.service import Registry, Service
from rhumb.registry.join import Catalog
from rhumb.snapshot.snapshot import Scope


def name_table(scope: Scope, catalog: Catalog) -> NameTable:
    """Return a record for each visible service that has an address (Istio: dns.BuildNameTable).

    A headless service answers with its healthy endpoints, an ExternalName with the addresses of the
    service that it stands for.
    """
    records = []
    for service in scope.services:
        addresses = _addresses(service, scope, catalog)
        if addresses:
            kubernetes = service.registry is Registry.KUBERNETES
            records.append(
                NameRecord(
                    host=service.hostname,
                    addresses=addresses,
                    registry=service.registry,
                    short_name=service.name if kubernetes else "",
                    namespace=service.namespace if kubernetes else "",
                )
            )
    return NameTable(records=tuple(records))


def _addresses(service: Service, scope: Scope, catalog: Catalog) -> tuple[str, ...]:
    if service.external_name:
        target = scope.service(service.external_name)
        return _addresses(target, scope, catalog) if target and target is not service else ()
    if service.headless:
        found = catalog.endpoints.get((service.hostname, service.namespace), ())
        return tuple(dict.fromkeys(e.address for e in found if _answers(e)))
    given = tuple(a for a in service.addresses if "/" not in a)
    return given or ((service.auto_address,) if service.auto_address else ())


def _answers(endpoint: Endpoint) -> bool:
    return endpoint.health is Health.HEALTHY and not endpoint.address.startswith("unix://")
