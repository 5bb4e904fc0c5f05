"""Proxies as they introduce themselves: Envoy's node id and Istio's metadata."""

import enum
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from rhumb.base.errors import RhumbError
from rhumb.model.endpoint import Labels, Locality


class Role(enum.StrEnum):
    """What a proxy is for."""

    SIDECAR = "sidecar"
    ROUTER = "router"
    WAYPOINT = "waypoint"
    AGENT = "agent"
    """Our own agent's stream: names, trust bundle and health, no Envoy resources."""


class Interception(enum.StrEnum):
    """How traffic reaches a sidecar."""

    REDIRECT = "REDIRECT"
    TPROXY = "TPROXY"
    NONE = "NONE"


_ROLES = frozenset(role.value for role in Role)
_TOPOLOGY = (
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.istio.io/subzone",
)
_INTERCEPTIONS = frozenset(mode.value for mode in Interception)
_NOWHERE = Locality()


class UserAgent(msgspec.Struct, frozen=True):
    """Which program a client says it is (Envoy: Node.user_agent_name and user_agent_build_version)."""

    name: str = ""
    version: tuple[int, int] | None = None
    """Major and minor number; None: not said."""


_UNKNOWN = UserAgent()


class Proxy(msgspec.Struct, frozen=True, kw_only=True):
    """One connected proxy: all that was said in its Node, parsed."""

    id: str
    """The whole node id, `sidecar~10.1.2.3~reviews-v1-0.default~default.svc.cluster.local`."""
    role: Role
    addresses: tuple[str, ...]
    name: str
    """Instance name, `reviews-v1-0`."""
    namespace: str
    domain: str
    labels: Labels = ()
    service_account: str = ""
    workload: str = ""
    network: str = ""
    cluster: str = ""
    locality: Locality = _NOWHERE
    version: str = ""
    """ISTIO_VERSION as claimed."""
    interception: Interception = Interception.REDIRECT
    user_agent: UserAgent = _UNKNOWN
    metadata: Mapping[str, object] = MappingProxyType({})
    """Everything else, as sent."""

    @classmethod
    def parse(
        cls,
        node_id: str,
        metadata: Mapping[str, object],
        locality: Locality = _NOWHERE,
        user_agent: UserAgent = _UNKNOWN,
    ) -> "Proxy":
        """Read `type~ip~name.namespace~domain` and Istio's metadata.

        Raises RhumbError when the id has another shape: nothing can be served to such a node.
        """
        parts = node_id.split("~")
        if len(parts) != 4 or parts[0] not in _ROLES or "." not in parts[2]:
            raise RhumbError(
                f'node id "{node_id}" is not TYPE~IP~NAME.NAMESPACE~DOMAIN',
                hint="TYPE is sidecar, router, waypoint or agent; e.g. sidecar~10.0.0.2~reviews-1.default~default.svc.cluster.local",
            )
        name, namespace = parts[2].rsplit(".", 1)
        labels = _labels(metadata.get("LABELS"))
        said = metadata.get("INSTANCE_IPS")
        addresses = tuple(a for a in str(said).split(",") if a) if said else ()
        return cls(
            id=node_id,
            role=Role(parts[0]),
            addresses=addresses or (parts[1],),
            name=name,
            namespace=str(metadata.get("NAMESPACE") or namespace),
            domain=parts[3],
            labels=labels,
            service_account=str(metadata.get("SERVICE_ACCOUNT") or ""),
            workload=str(metadata.get("WORKLOAD_NAME") or ""),
            network=str(metadata.get("NETWORK") or ""),
            cluster=str(metadata.get("CLUSTER_ID") or ""),
            locality=_locality(labels) or locality,
            version=str(metadata.get("ISTIO_VERSION") or ""),
            interception=_interception(metadata),
            user_agent=user_agent,
            metadata=MappingProxyType(dict(metadata)),
        )


def _labels(said: object) -> Labels:
    if not isinstance(said, Mapping):
        return ()
    return tuple(sorted((str(k), str(v)) for k, v in said.items()))


def _locality(labels: Labels) -> Locality | None:
    """Read where the platform says that the workload is; Istio trusts it more than the node's own word."""
    found = dict(labels)
    parts = tuple(found.get(label, "") for label in _TOPOLOGY)
    return Locality(*parts) if any(parts) else None


def _interception(metadata: Mapping[str, object]) -> Interception:
    said = str(metadata.get("INTERCEPTION_MODE") or "REDIRECT")
    return Interception(said) if said in _INTERCEPTIONS else Interception.REDIRECT
