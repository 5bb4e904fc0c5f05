"""Proxy -> View: which service ports a workload serves, and what its proxy can do."""

import ipaddress
import json
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from rhumb.model.kinds.sidecar import Sidecar
from rhumb.model.proxy import Proxy, Role, UserAgent
from rhumb.model.resource import Resource
from rhumb.model.service import Protocol, Registry, Service
from rhumb.registry import kubernetes
from rhumb.registry.catalog import Catalog, ServiceKey
from rhumb.registry.conflicts import contributing, ports_of
from rhumb.registry.workloads import NETWORK_LABEL, Entry, selects
from rhumb.snapshot import own_config
from rhumb.snapshot.view import Capabilities, Instance, View

_TRIED = (1, 40)
"""The Envoy whose way with virtual hosts that come one by one was tried (docs/adr/0007)."""


def view(proxy: Proxy, catalog: Catalog, domain: str) -> View:
    """Return what matters of a proxy.

    It serves a port when one of its addresses is among the service's endpoints in its own namespace; a
    workload that is not registered (yet) is matched by the service's selector instead. What the proxy does
    not say of itself (labels, locality, network, cluster) its WorkloadEntry says.
    """
    own = _entry(proxy, catalog)
    known = own.workload if own is not None else None
    labels = proxy.labels or (known.labels if known else ())
    instances = _instances(proxy, own, catalog) if proxy.role is not Role.AGENT else ()
    return View(
        role=proxy.role,
        namespace=proxy.namespace,
        domain=_domain(proxy.domain) or domain,
        labels=labels,
        service_account=proxy.service_account,
        locality=known.locality if known and not proxy.locality.region else proxy.locality,
        network=(
            proxy.network or (known.network if known else "") or dict(labels).get(NETWORK_LABEL, "")
        ),
        cluster=proxy.cluster or (known.cluster if known else ""),
        interception=proxy.interception,
        node=_node(proxy, own) if catalog.node_local else "",
        proxy_config=own_config.shaping(proxy.metadata),
        instances=instances,
        capabilities=capabilities(proxy),
    )


def addressed(view: View, proxy: Proxy, sidecar: Resource | None) -> View:
    """Add the workload's address where the Sidecar in force has listeners that are bound to it."""
    spec = sidecar.spec if sidecar is not None else None
    if not isinstance(spec, Sidecar) or all(listener.bind for listener in spec.ingress):
        return view
    return msgspec.structs.replace(view, address=_unicast(proxy.addresses))


def _unicast(addresses: Iterable[str]) -> str:
    """Return the first address that others can reach the workload at, empty for a loopback alone."""
    for text in addresses:
        try:
            found = ipaddress.ip_address(text)
        except ValueError:
            continue
        special = found.is_loopback or found.is_link_local or found.is_multicast
        if not special and not found.is_unspecified:
            return text
    return ""


def _node(proxy: Proxy, own: Entry | None) -> str:
    return str(proxy.metadata.get("NODE_NAME") or "") or (own.node if own is not None else "")


def _domain(text: str) -> str:
    """Read `cluster.local` from `NAMESPACE.svc.cluster.local`."""
    return text.partition(".svc.")[2]


def _entry(proxy: Proxy, catalog: Catalog) -> Entry | None:
    found = [
        e
        for address in proxy.addresses
        for e in catalog.entries_at.get(address, ())
        if e.workload.namespace == proxy.namespace
    ]
    names = (str(proxy.metadata.get("WORKLOAD_ENTRY") or ""), proxy.name)
    named = next((e for name in names for e in found if e.name == name), None)
    return named or next(iter(found), None)


def _instances(proxy: Proxy, own: Entry | None, catalog: Catalog) -> tuple[Instance, ...]:
    found = set(_by_address(proxy, own, catalog)) or set(_by_labels(proxy, catalog))
    return tuple(
        sorted(
            found,
            key=lambda i: (i.target_port, not i.created, i.created, i.hostname, i.port.number),
        )
    )


def _by_address(proxy: Proxy, own: Entry | None, catalog: Catalog) -> Iterator[Instance]:
    addresses = set(proxy.addresses)
    others = [e for a in proxy.addresses for e in catalog.entries_at.get(a, ()) if e is not own]
    shares = own is not None and own.is_pod and any(e.is_pod for e in others)
    for key in {key for a in addresses for key in catalog.served_at.get(a, ())}:
        service = catalog.services[key]
        if service.namespace != proxy.namespace:
            continue
        if own is not None and shares and not selects(service.selector, dict(own.workload.labels)):
            continue  # of another Pod in the Node's own network
        for endpoint in catalog.endpoints[key]:
            if addresses.isdisjoint(endpoint.addresses):
                continue
            if _is_own(endpoint.hostname, proxy):
                yield from _instance(service, endpoint.service_port, endpoint.port)


def _is_own(name: str, proxy: Proxy) -> bool:
    """Tell this workload's endpoints from those of others behind the same address.

    Without capture all sidecars of a machine share 127.0.0.1; then the entry's name decides.
    """
    entry = str(proxy.metadata.get("WORKLOAD_ENTRY") or "")
    return not entry or not name or name == entry


def _by_labels(proxy: Proxy, catalog: Catalog) -> Iterator[Instance]:
    labels = dict(proxy.labels)
    keys: set[ServiceKey] = set()
    for pair in proxy.labels:
        keys.update(key for key, _ in catalog.selecting.get((proxy.namespace, pair), ()))
    named = _named_ports(proxy.metadata)
    for key in keys:
        service = catalog.services[key]
        for claim in contributing(catalog.claims[key]):
            selector = claim.service.selector
            if not selector or not selects(selector, labels):
                continue
            targets: Mapping[int, int | str] = {}
            if claim.service.registry is Registry.KUBERNETES:
                targets = kubernetes.target_ports(claim.resource)
            for port in ports_of(service, claim):
                target = targets.get(port.number, port.target_port or port.number)
                number = named.get(target, 0) if isinstance(target, str) else target
                yield from _instance(service, port.number, number)


def _named_ports(metadata: Mapping[str, object]) -> dict[str, int]:
    """Read POD_PORTS, a JSON text: `[{"name": "http", "containerPort": 8080}]`."""
    said = metadata.get("POD_PORTS")
    try:
        ports = json.loads(said) if isinstance(said, str) else said
    except ValueError:
        return {}
    found = {}
    for port in ports if isinstance(ports, list) else ():
        if isinstance(port, Mapping) and isinstance(port.get("containerPort"), int):
            found[str(port.get("name"))] = int(port["containerPort"])
    return found


def _instance(service: Service, number: int, target: int) -> Iterator[Instance]:
    port = service.port(number)
    if port is not None and port.protocol is not Protocol.UDP and target:
        yield Instance(service.hostname, service.namespace, port, target, service.created)


def _is_current(program: UserAgent) -> bool:
    """Tell whether a client is an Envoy, and does not say that it is older than those that were tried."""
    return program.name == "envoy" and (program.version or _TRIED) >= _TRIED


def capabilities(proxy: Proxy) -> Capabilities:
    """Read what a proxy can do, most of it from its metadata; booleans are strings there."""
    metadata, addresses = proxy.metadata, proxy.addresses

    def yes(name: str) -> bool:
        return str(metadata.get(name) or "").lower() in ("true", "1")

    port = str(metadata.get("HTTP_PROXY_PORT") or "0")
    return Capabilities(
        file_sds=yes("RHUMB_FILE_SDS"),
        own_resolver=yes("RHUMB_RESOLVER"),
        stats_access_logger=yes("RHUMB_STATS"),
        vhds=yes("RHUMB_VHDS") if "RHUMB_VHDS" in metadata else _is_current(proxy.user_agent),
        http_proxy_port=int(port) if port.isdigit() else 0,
        dns_capture=yes("DNS_CAPTURE"),
        http10=yes("HTTP10"),
        unprivileged=yes("UNPRIVILEGED_POD"),
        bind=str(metadata.get("RHUMB_BIND") or ""),
        ipv6=bool(addresses) and all(":" in a for a in addresses),
        dual_stack=yes("DUAL_STACK") and len({":" in a for a in addresses}) > 1,
    )
