"""The kinds that are served: names, versions, scope, and the Struct of each."""

import msgspec

from rhumb.model.kinds.destination_rule import DestinationRule
from rhumb.model.kinds.endpoint_slice import Endpoints, EndpointSlice
from rhumb.model.kinds.envoy_filter import EnvoyFilter
from rhumb.model.kinds.gateway import Gateway
from rhumb.model.kinds.kubernetes import ConfigMap, Namespace, Secret, Service, ServiceAccount
from rhumb.model.kinds.mesh_config import MeshConfig
from rhumb.model.kinds.peer_authentication import PeerAuthentication
from rhumb.model.kinds.pod import Node, Pod
from rhumb.model.kinds.proxy_config_resource import ProxyConfigResource
from rhumb.model.kinds.service_entry import ServiceEntry
from rhumb.model.kinds.sidecar import Sidecar
from rhumb.model.kinds.virtual_service import VirtualService
from rhumb.model.kinds.wire import Kind
from rhumb.model.kinds.workload_entry import WorkloadEntry
from rhumb.model.kinds.workload_group import WorkloadGroup

NETWORKING = "networking.istio.io"
SECURITY = "security.istio.io"
CORE = ""
DISCOVERY = "discovery.k8s.io"
MESH = "mesh.istio.io"
"""Group of MeshConfig, which is no object of its own in Kubernetes: it is read from ConfigMap `istio`."""


class KindInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One served kind."""

    group: str
    kind: str
    struct: type[Kind]
    versions: tuple[str, ...]
    """The preferred one first."""
    plural: str
    short_names: tuple[str, ...] = ()
    namespaced: bool = True
    has_spec: bool = True
    """False: the fields stand beside `metadata` (Secret, ConfigMap, ServiceAccount)."""

    @property
    def api_version(self) -> str:
        """Return the preferred `apiVersion`."""
        return f"{self.group}/{self.versions[0]}" if self.group else self.versions[0]


def _networking(
    struct: type[Kind],
    plural: str,
    *short: str,
    kind: str = "",
    versions: tuple[str, ...] = ("v1", "v1beta1", "v1alpha3"),
) -> KindInfo:
    return KindInfo(
        group=NETWORKING,
        kind=kind or struct.__name__,
        struct=struct,
        versions=versions,
        plural=plural,
        short_names=short,
    )


def _core(
    struct: type[Kind], plural: str, short: str, *, namespaced: bool = True, has_spec: bool = False
) -> KindInfo:
    return KindInfo(
        group=CORE,
        kind=struct.__name__,
        struct=struct,
        versions=("v1",),
        plural=plural,
        short_names=(short,) if short else (),
        namespaced=namespaced,
        has_spec=has_spec,
    )


KINDS: tuple[KindInfo, ...] = (
    _networking(VirtualService, "virtualservices", "vs"),
    _networking(DestinationRule, "destinationrules", "dr"),
    _networking(Gateway, "gateways", "gw"),
    _networking(ServiceEntry, "serviceentries", "se"),
    _networking(WorkloadEntry, "workloadentries", "we"),
    _networking(WorkloadGroup, "workloadgroups", "wg"),
    _networking(Sidecar, "sidecars"),
    _networking(EnvoyFilter, "envoyfilters", versions=("v1alpha3",)),
    _networking(ProxyConfigResource, "proxyconfigs", kind="ProxyConfig", versions=("v1beta1",)),
    KindInfo(
        group=SECURITY,
        kind="PeerAuthentication",
        struct=PeerAuthentication,
        versions=("v1", "v1beta1"),
        plural="peerauthentications",
        short_names=("pa",),
    ),
    _core(Service, "services", "svc", has_spec=True),
    _core(Pod, "pods", "po", has_spec=True),
    _core(Node, "nodes", "no", namespaced=False, has_spec=True),
    _core(Endpoints, "endpoints", "ep"),
    KindInfo(
        group=DISCOVERY,
        kind="EndpointSlice",
        struct=EndpointSlice,
        versions=("v1", "v1beta1"),
        plural="endpointslices",
        has_spec=False,
    ),
    _core(Namespace, "namespaces", "ns", namespaced=False, has_spec=True),
    _core(ServiceAccount, "serviceaccounts", "sa"),
    _core(Secret, "secrets", ""),
    _core(ConfigMap, "configmaps", "cm"),
    KindInfo(
        group=MESH,
        kind="MeshConfig",
        struct=MeshConfig,
        versions=("v1alpha1",),
        plural="meshconfigs",
        has_spec=False,
    ),
)

BY_NAME: dict[tuple[str, str], KindInfo] = {(info.group, info.kind): info for info in KINDS}
"""(group, kind) -> what is served under that name."""
