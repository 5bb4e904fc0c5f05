"""Endpoints and workloads: the addresses behind a service, and who stands there."""

import enum

import msgspec

Labels = tuple[tuple[str, str], ...]
"""Sorted (name, value) pairs: hashable labels."""


class Health(enum.StrEnum):
    """Whether traffic may be sent."""

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    """Known, not serving: never balanced to."""
    DRAINING = "DRAINING"


class Locality(msgspec.Struct, frozen=True, order=True):
    """region/zone/subzone; empty parts are unknown."""

    region: str = ""
    zone: str = ""
    subzone: str = ""

    @classmethod
    def parse(cls, text: str) -> "Locality":
        """Read "region/zone/subzone" or a prefix of it."""
        parts = [*text.split("/", 2), "", "", ""]
        return cls(parts[0], parts[1], parts[2])

    def __str__(self) -> str:
        return "/".join((self.region, self.zone, self.subzone)).rstrip("/")


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """A pod, a machine or a local process: the identity and labels that metrics and policy use."""

    name: str
    """Workload (deployment) name, not the instance's: labels of metrics, e.g. `reviews-v1`."""
    namespace: str
    labels: Labels = ()
    service_account: str = ""
    network: str = ""
    cluster: str = ""
    locality: Locality = Locality()

    @property
    def canonical_name(self) -> str:
        """Return Istio's canonical service name."""
        labels = dict(self.labels)
        for label in ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app"):
            if labels.get(label):
                return labels[label]
        return self.name

    @property
    def canonical_revision(self) -> str:
        """Return Istio's canonical revision, `latest` when no label says."""
        labels = dict(self.labels)
        for label in (
            "service.istio.io/canonical-revision",
            "app.kubernetes.io/version",
            "version",
        ):
            if labels.get(label):
                return labels[label]
        return "latest"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One address of one service port."""

    address: str
    """IPv4, IPv6, a DNS name (DNS resolutions), or unix:///path."""
    port: int
    """Port on the workload; 0 for a unix socket."""
    service_port: int
    """Number of the service port it serves."""
    workload: Workload
    weight: int = 1
    mtls: bool = False
    """The endpoint has a sidecar (label security.istio.io/tlsMode is istio, or a WorkloadEntry with account)."""
    health: Health = Health.HEALTHY
    node: str = ""
    hostname: str = ""
    """Instance name that DNS answers below a headless service; empty: none."""
    additional: tuple[str, ...] = ()
    """Addresses of the other IP family."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return all addresses, the primary one first."""
        return (self.address, *self.additional)
