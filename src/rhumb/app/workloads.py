"""A workload of the configuration as the proxy beside it would introduce itself."""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from rhumb.agent.node import metadata
from rhumb.agent.settings import Capture, Discovery, SidecarSettings
from rhumb.base.errors import RhumbError
from rhumb.model.endpoint import Labels
from rhumb.model.kinds import kubernetes
from rhumb.model.kinds.gateway import Gateway
from rhumb.model.kinds.table import CORE, NETWORKING
from rhumb.model.kinds.workload_group import WorkloadGroup
from rhumb.model.proxy import Interception, Proxy, Role
from rhumb.model.resource import ResourceSet
from rhumb.registry import pods
from rhumb.registry.workloads import entry, pairs, selects

_NO_ADDRESS = "0.0.0.0"  # noqa: S104 - stands for an address that no file tells


class _Workload(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    namespace: str
    labels: Labels
    address: str = _NO_ADDRESS
    workload: str = ""
    service_account: str = "default"
    is_entry: bool = False
    """A WorkloadEntry stands for it, by its own name."""
    alias: str = ""
    """Another name that it is known by."""

    @property
    def id(self) -> str:
        return f"{self.alias or self.name}.{self.namespace}"


def proxy_of(resources: ResourceSet, name: str) -> Proxy:
    """Return the proxy of a workload `NAME.NAMESPACE` (NAME alone: in `default`), as our agent starts it.

    That is a WorkloadEntry or Pod; else a WorkloadGroup or Service, which tell the labels of their workloads;
    else a gateway by the selector of a Gateway. It is a router when a Gateway selects it.
    Raises RhumbError when the files know no such workload.
    """
    wanted = name if "." in name else f"{name}.default"
    known: dict[str, _Workload] = {}
    for one in _workloads(resources):
        known.setdefault(one.id, one)
    found = known.get(wanted) or _gateway(resources, wanted)
    if found is None:
        close = difflib.get_close_matches(wanted, known, n=3) or sorted(known)[:5]
        raise RhumbError(
            f"the files know no workload {wanted}",
            hint=f"there is {', '.join(close)}"
            if close
            else "name a WorkloadEntry or a Service as NAME.NAMESPACE, or give --node",
        )
    return _introduced(found, is_router=_is_router(resources, found.labels))


def _workloads(resources: ResourceSet) -> Iterator[_Workload]:
    for resource in resources.of(NETWORKING, "WorkloadEntry"):
        read = entry(resource)
        yield _Workload(
            name=read.name,
            namespace=read.workload.namespace,
            labels=read.workload.labels,
            address=read.address or _NO_ADDRESS,
            workload=read.workload.name,
            service_account=read.workload.service_account or "default",
            is_entry=True,
        )
    yield from _pods(resources)
    for resource in resources.of(NETWORKING, "WorkloadGroup"):
        group = resource.spec
        assert isinstance(group, WorkloadGroup)
        said: dict[str, str] = {}
        account = ""
        if group.template is not None:
            said, account = {**group.template.labels}, group.template.service_account
        if group.metadata is not None:
            said |= group.metadata.labels
        yield _Workload(
            name=resource.meta.name,
            namespace=resource.meta.namespace,
            labels=pairs(said),
            service_account=account or "default",
        )
    for resource in resources.of(CORE, "Service"):
        service = resource.spec
        if isinstance(service, kubernetes.Service) and service.selector:
            yield _Workload(
                name=resource.meta.name,
                namespace=resource.meta.namespace,
                labels=pairs(service.selector),
            )


def _pods(resources: ResourceSet) -> Iterator[_Workload]:
    """Yield the Pods that have an address, also by the name of their Deployment."""
    for resource in resources.of(CORE, "Pod"):
        read = pods.entry(resource, {})
        if read is None:
            continue
        one = _Workload(
            name=read.name,
            namespace=read.workload.namespace,
            labels=read.workload.labels,
            address=read.address,
            workload=read.workload.name,
            service_account=read.workload.service_account,
        )
        yield one
        yield msgspec.structs.replace(one, alias=read.workload.name)


def _gateway(resources: ResourceSet, wanted: str) -> _Workload | None:
    """Return the gateway that users mean by `istio-ingressgateway` when the label is all that is written."""
    name, _, namespace = wanted.partition(".")
    for selector in _selectors(resources):
        if any(name in (value, f"istio-{value}") for value in selector.values()):
            return _Workload(name=name, namespace=namespace, labels=pairs(selector))
    return None


def _is_router(resources: ResourceSet, labels: Labels) -> bool:
    said = dict(labels)
    return any(selects(pairs(selector), said) for selector in _selectors(resources))


def _selectors(resources: ResourceSet) -> Iterator[Mapping[str, str]]:
    for resource in resources.of(NETWORKING, "Gateway"):
        if isinstance(resource.spec, Gateway) and resource.spec.selector:
            yield resource.spec.selector


def _introduced(found: _Workload, *, is_router: bool) -> Proxy:
    settings = SidecarSettings(
        name=found.name,
        namespace=found.namespace,
        addresses=(found.address,),
        discovery=Discovery(address=""),
        directory=Path(),
        workload=found.workload,
        labels=found.labels,
        service_account=found.service_account,
        role=Role.ROUTER if is_router else Role.SIDECAR,
        metadata={"WORKLOAD_ENTRY": found.name} if found.is_entry and not is_router else {},
        capture=Capture(
            mode=Interception.NONE if is_router else Interception.REDIRECT, dns=not is_router
        ),
    )
    return Proxy.parse(settings.node_id(), metadata(settings))
