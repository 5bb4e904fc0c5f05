"""Pod and Node: what Kubernetes knows of workloads. Fields that do not matter here are passed over."""

from typing import ClassVar

from rhumb.model.kinds.wire import Int32, Kind


class ContainerPort(Kind, frozen=True, kw_only=True):
    """One port of a container."""

    OPEN: ClassVar[bool] = True

    name: str = ""
    container_port: Int32 = 0
    protocol: str = ""
    """TCP, UDP or SCTP; empty: TCP."""


class Container(Kind, frozen=True, kw_only=True):
    """One container of a Pod."""

    OPEN: ClassVar[bool] = True

    name: str = ""
    ports: tuple[ContainerPort, ...] = ()
    restart_policy: str = ""
    """`Always` for an init container that stays (a sidecar)."""


class Pod(Kind, frozen=True, kw_only=True):
    """The `spec` of a Pod; addresses, phase and readiness stand in its status."""

    OPEN: ClassVar[bool] = True
    STATUS: ClassVar[tuple[str, ...] | None] = ("phase", "podIP", "podIPs", "conditions")

    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    node_name: str = ""
    service_account_name: str = ""
    """Empty: `default`."""
    host_network: bool = False
    hostname: str = ""
    subdomain: str = ""
    """A headless Service of this name has a DNS name for the Pod."""


class Node(Kind, frozen=True, kw_only=True):
    """The `spec` of a Node; region and zone stand in its labels, and its status is of no interest."""

    OPEN: ClassVar[bool] = True
    STATUS: ClassVar[tuple[str, ...] | None] = ()
