"""Pods as workloads, and the places of Nodes."""

import re
from collections.abc import Mapping

from rhumb.model.endpoint import Health, Locality
from rhumb.model.kinds.pod import Container, Pod
from rhumb.model.kinds.workload_entry import WorkloadEntry
from rhumb.model.resource import Meta, Resource
from rhumb.registry.workloads import (
    LOCALITY_LABEL,
    TLS_MODE,
    WORKLOAD_NAME,
    Entry,
    is_address,
    workload,
)

_REGION = ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region")
_ZONE = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")
_SUBZONE = ("topology.istio.io/subzone",)
_TEMPLATE_HASH = ("pod-template-hash", "rollouts-pod-template-hash")
_OVER = ("Succeeded", "Failed")
_CRON_JOB = re.compile(r"(.+)-\d{8,10}")
"""A Job's name is that of its CronJob and a time in seconds or minutes."""


def place(node: Resource) -> Locality:
    """Return the locality of a Node: region, zone and Istio's subzone, from its labels."""

    def said(names: tuple[str, ...]) -> str:
        return next((node.meta.labels[n] for n in names if node.meta.labels.get(n)), "")

    return Locality(said(_REGION), said(_ZONE), said(_SUBZONE))


def entry(resource: Resource, nodes: Mapping[str, Locality]) -> Entry | None:
    """Read a Pod; None while it has no address, and once it is over or goes away.

    A Pod whose status does not speak of readiness is taken as ready: files seldom do.
    """
    spec, meta, status = resource.spec, resource.meta, resource.status
    assert isinstance(spec, Pod)
    found = addresses(status)
    if not found or meta.deleted or status.get("phase") in _OVER:
        return None
    labels = dict(meta.labels)
    locality = labels.get(LOCALITY_LABEL, "").replace(".", "/")
    known = WorkloadEntry(
        address=found[0],
        ports=_named_ports(spec),
        locality=locality or str(nodes.get(spec.node_name, Locality())),
        service_account=spec.service_account_name or "default",
    )
    return Entry(
        resource=resource,
        spec=known,
        workload=workload(known, labels, meta.namespace, _workload_name(meta)),
        mtls=labels.get(TLS_MODE) == "istio",
        health=_health(status),
        addresses=found,
        node=spec.node_name,
        dns_name=spec.hostname,
        subdomain=spec.subdomain,
        is_pod=True,
    )


def addresses(status: Mapping[str, object]) -> tuple[str, ...]:
    """Return the addresses of a Pod, the primary one first."""
    found = [str(status.get("podIP") or "")]
    many = status.get("podIPs")
    listed = many if isinstance(many, (list, tuple)) else ()
    found += [str(one.get("ip")) for one in listed if isinstance(one, Mapping)]
    return tuple(dict.fromkeys(a for a in found if is_address(a)))


def _named_ports(spec: Pod) -> dict[str, int]:
    """Return the TCP ports that have names; init containers count when they stay."""
    staying = [c for c in spec.init_containers if c.restart_policy == "Always"]
    found: dict[str, int] = {}
    for container in (*spec.containers, *staying):
        for name, number in _ports(container):
            found.setdefault(name, number)
    return found


def _ports(container: Container) -> list[tuple[str, int]]:
    return [
        (p.name, p.container_port)
        for p in container.ports
        if p.name and p.protocol.upper() in ("", "TCP")
    ]


def _workload_name(meta: Meta) -> str:
    """Return the name of the Deployment, StatefulSet or Job that a Pod belongs to, else its own."""
    if meta.labels.get(WORKLOAD_NAME):
        return meta.labels[WORKLOAD_NAME]
    kind, name = meta.owner
    if not name:
        return meta.name
    if kind == "ReplicaSet":
        for label in _TEMPLATE_HASH:
            suffix = f"-{meta.labels.get(label, '')}"
            if suffix != "-" and name.endswith(suffix):
                return name.removesuffix(suffix)
    if kind == "Job":
        scheduled = _CRON_JOB.fullmatch(name)
        return scheduled.group(1) if scheduled else name
    return name


def _health(status: Mapping[str, object]) -> Health:
    conditions = status.get("conditions")
    for one in conditions if isinstance(conditions, (list, tuple)) else ():
        if isinstance(one, Mapping) and one.get("type") == "Ready":
            return Health.HEALTHY if one.get("status") == "True" else Health.UNHEALTHY
    return Health.HEALTHY if status.get("phase") in (None, "Running") else Health.UNHEALTHY
