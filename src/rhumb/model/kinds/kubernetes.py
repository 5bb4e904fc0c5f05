"""Kubernetes kinds of the core group that shape the mesh."""

from collections.abc import Mapping

import msgspec

from rhumb.model.kinds.wire import NONE, Int32, Kind


class ServicePort(Kind, frozen=True, kw_only=True):
    """One port of a Kubernetes Service."""

    name: str = ""
    port: Int32 = 0
    protocol: str = ""
    """TCP, UDP or SCTP; empty: TCP."""
    app_protocol: str = ""
    target_port: int | str = 0
    """Number or name of a workload's port; 0: `port`."""
    node_port: Int32 = 0


class ClientIpConfig(Kind, frozen=True, kw_only=True):
    """How long a client stays with its endpoint."""

    timeout_seconds: Int32 | None = None


class SessionAffinityConfig(Kind, frozen=True, kw_only=True):
    """Settings of session affinity."""

    client_ip: ClientIpConfig | None = msgspec.field(default=None, name="clientIP")


class Service(Kind, frozen=True, kw_only=True):
    """The `spec` of a Kubernetes Service."""

    ports: tuple[ServicePort, ...] = ()
    selector: Mapping[str, str] = NONE
    type: str = ""
    """ClusterIP (also when empty), NodePort, LoadBalancer or ExternalName."""
    cluster_ip: str = msgspec.field(default="", name="clusterIP")
    """An address, or "None" for a headless service."""
    cluster_ips: tuple[str, ...] = msgspec.field(default=(), name="clusterIPs")
    external_ips: tuple[str, ...] = msgspec.field(default=(), name="externalIPs")
    external_name: str = ""
    session_affinity: str = ""
    """None or ClientIP."""
    session_affinity_config: SessionAffinityConfig | None = None
    internal_traffic_policy: str = ""
    """Cluster or Local."""
    external_traffic_policy: str = ""
    traffic_distribution: str = ""
    publish_not_ready_addresses: bool = False
    ip_families: tuple[str, ...] = ()
    ip_family_policy: str = ""
    load_balancer_ip: str = msgspec.field(default="", name="loadBalancerIP")
    load_balancer_class: str = ""
    load_balancer_source_ranges: tuple[str, ...] = ()
    allocate_load_balancer_node_ports: bool | None = None
    health_check_node_port: Int32 = 0


class Namespace(Kind, frozen=True, kw_only=True):
    """The `spec` of a Namespace; what matters stands in its labels."""

    finalizers: tuple[str, ...] = ()


class ObjectReference(Kind, frozen=True, kw_only=True):
    """A reference to another object of the namespace."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    field_path: str = ""


class ServiceAccount(Kind, frozen=True, kw_only=True):
    """The body of a ServiceAccount (it has no `spec`)."""

    secrets: tuple[ObjectReference, ...] = ()
    image_pull_secrets: tuple[ObjectReference, ...] = ()
    automount_service_account_token: bool | None = None


class Secret(Kind, frozen=True, kw_only=True):
    """The body of a Secret (it has no `spec`); use `content` to read it."""

    type: str = ""
    data: Mapping[str, bytes] = NONE
    string_data: Mapping[str, str] = NONE
    immutable: bool | None = None

    def content(self, name: str) -> bytes:
        """Return the decoded value of one key, b"" when absent; `stringData` wins."""
        if name in self.string_data:
            return self.string_data[name].encode()
        return self.data.get(name, b"")


class ConfigMap(Kind, frozen=True, kw_only=True):
    """The body of a ConfigMap (it has no `spec`)."""

    data: Mapping[str, str] = NONE
    binary_data: Mapping[str, bytes] = NONE
    immutable: bool | None = None
