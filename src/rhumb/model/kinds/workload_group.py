"""WorkloadGroup (networking.istio.io): the template of WorkloadEntries that register themselves."""

from collections.abc import Mapping
from typing import ClassVar

from rhumb.model.kinds.wire import NONE, Int32, Kind, Oneofs, UInt32
from rhumb.model.kinds.workload_entry import WorkloadEntry


class GroupMetadata(Kind, frozen=True, kw_only=True):
    """Labels and annotations of the WorkloadEntries."""

    labels: Mapping[str, str] = NONE
    annotations: Mapping[str, str] = NONE


class HttpHeader(Kind, frozen=True, kw_only=True):
    """A header of an HTTP probe."""

    name: str = ""
    value: str = ""


class HttpHealthCheck(Kind, frozen=True, kw_only=True):
    """GET a path; 200 to 399 is healthy."""

    path: str = ""
    port: UInt32 = 0
    host: str = ""
    scheme: str = ""
    http_headers: tuple[HttpHeader, ...] = ()


class TcpHealthCheck(Kind, frozen=True, kw_only=True):
    """Connect to a port."""

    host: str = ""
    port: UInt32 = 0


class ExecHealthCheck(Kind, frozen=True, kw_only=True):
    """Run a command; exit code 0 is healthy."""

    command: tuple[str, ...] = ()


class GrpcHealthCheck(Kind, frozen=True, kw_only=True):
    """Call grpc.health.v1.Health/Check."""

    port: UInt32 = 0
    service: str = ""


class ReadinessProbe(Kind, frozen=True, kw_only=True):
    """How the agent finds out whether the application is ready; zeros mean Kubernetes' defaults."""

    ONEOFS: ClassVar[Oneofs] = (("httpGet", "tcpSocket", "exec", "grpc"),)

    initial_delay_seconds: Int32 = 0
    timeout_seconds: Int32 = 0
    """0: 1."""
    period_seconds: Int32 = 0
    """0: 10."""
    success_threshold: Int32 = 0
    """0: 1."""
    failure_threshold: Int32 = 0
    """0: 3."""
    http_get: HttpHealthCheck | None = None
    tcp_socket: TcpHealthCheck | None = None
    exec: ExecHealthCheck | None = None
    grpc: GrpcHealthCheck | None = None


class WorkloadGroup(Kind, frozen=True, kw_only=True):
    """Template and probe (istio-api networking/v1alpha3/workload_group.proto)."""

    metadata: GroupMetadata | None = None
    template: WorkloadEntry | None = None
    """Its `address` is ignored."""
    probe: ReadinessProbe | None = None
