"""EndpointSlice (discovery.k8s.io) and its elder, Endpoints: the addresses behind a Service."""

from typing import ClassVar

from rhumb.model.kinds.kubernetes import ObjectReference
from rhumb.model.kinds.wire import Int32, Kind

SERVICE_NAME = "kubernetes.io/service-name"
"""Label of an EndpointSlice: the Service that it is for."""


class EndpointConditions(Kind, frozen=True, kw_only=True):
    """Whether an endpoint may be sent traffic; what is not said is the best."""

    OPEN: ClassVar[bool] = True

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Endpoint(Kind, frozen=True, kw_only=True):
    """One instance, at all ports of its slice."""

    OPEN: ClassVar[bool] = True

    addresses: tuple[str, ...] = ()
    conditions: EndpointConditions | None = None
    hostname: str = ""
    """Its DNS name below a headless Service."""
    node_name: str = ""
    target_ref: ObjectReference | None = None


class EndpointPort(Kind, frozen=True, kw_only=True):
    """One port of the instances, by the name of the Service's port."""

    OPEN: ClassVar[bool] = True

    name: str = ""
    port: Int32 = 0
    protocol: str = ""
    app_protocol: str = ""


class EndpointSlice(Kind, frozen=True, kw_only=True):
    """The body of an EndpointSlice; the label `kubernetes.io/service-name` says whose it is."""

    OPEN: ClassVar[bool] = True

    address_type: str = ""
    """IPv4, IPv6 or FQDN."""
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


class EndpointAddress(Kind, frozen=True, kw_only=True):
    """One instance of Endpoints."""

    OPEN: ClassVar[bool] = True

    ip: str = ""
    hostname: str = ""
    node_name: str = ""
    target_ref: ObjectReference | None = None


class EndpointSubset(Kind, frozen=True, kw_only=True):
    """Instances with the same ports."""

    OPEN: ClassVar[bool] = True

    addresses: tuple[EndpointAddress, ...] = ()
    not_ready_addresses: tuple[EndpointAddress, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


class Endpoints(Kind, frozen=True, kw_only=True):
    """The body of Endpoints, whose name is the Service's."""

    OPEN: ClassVar[bool] = True

    subsets: tuple[EndpointSubset, ...] = ()
