"""View: all that a translation may depend on, and nothing else.

Proxies with equal views receive the same bytes; the node id and the instance's addresses are
deliberately absent (`address` is the exception that Sidecars ask for).
"""

import msgspec

from rhumb.model.endpoint import Labels, Locality
from rhumb.model.proxy import Interception, Role
from rhumb.model.service import Port


class Instance(msgspec.Struct, frozen=True):
    """One service port that this workload serves: the source of an inbound chain and cluster."""

    hostname: str
    namespace: str
    port: Port
    target_port: int
    created: str = ""
    """Of the service: the oldest wins when two claim one target port."""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What the proxy said it can do, from its node metadata."""

    file_sds: bool = False
    """Our agent: `default` and `ROOTCA` are files below the proxy's working directory
    (./sds/default.json, ./sds/rootca.json). Otherwise Istio's: the static cluster sds-grpc."""
    own_resolver: bool = False
    """Its bootstrap says whom it asks for names."""
    stats_access_logger: bool = False
    """Emit istio_* metrics through envoy.access_loggers.stats (our agent joins the labels)."""
    vhds: bool = False
    http_proxy_port: int = 0
    dns_capture: bool = False
    http10: bool = False
    unprivileged: bool = False
    """A gateway that cannot bind ports below 1024."""
    bind: str = ""
    """Address that a gateway's servers without `bind` listen at; empty: the wildcard (RHUMB_BIND)."""
    ipv6: bool = False
    """It has IPv6 addresses alone."""
    dual_stack: bool = False
    """It has addresses of both families, and wants to be called at both (DUAL_STACK)."""

    def of_families(self, addresses: tuple[str, ...]) -> tuple[str, ...]:
        """Return the addresses that the proxy can call; all of them when it can call none."""
        if self.dual_stack:
            return addresses
        return tuple(a for a in addresses if (":" in a) is self.ipv6) or addresses


class PatchRef(msgspec.Struct, frozen=True):
    """One patch of an EnvoyFilter."""

    namespace: str
    name: str
    index: int
    """In `spec.configPatches`."""
    is_inbound: bool = False
    """It is for the side that serves alone: nothing that is about others is touched."""
    is_of_routes: bool = False
    """It changes route configurations, or what is in them."""


class View(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """The attributes of a proxy that shape its configuration."""

    role: Role
    namespace: str
    domain: str = "cluster.local"
    """DNS domain of the mesh, without namespace and `svc`."""
    labels: Labels = ()
    service_account: str = ""
    locality: Locality = Locality()
    network: str = ""
    cluster: str = ""
    interception: Interception = Interception.REDIRECT
    node: str = ""
    """Where the workload runs, and only while some service prefers, or has, endpoints of one Node."""
    address: str = ""
    """The workload's own address, and only where its Sidecar has ingress listeners without `bind`:
    they are named by it, and bound to it. Empty: the wildcard."""
    proxy_config: str = ""
    """What the proxy says of its own ProxyConfig (`rhumb.snapshot.own_config`); empty: the mesh's counts."""
    instances: tuple[Instance, ...] = ()
    patches: tuple[PatchRef, ...] = ()
    """Those of EnvoyFilters that are for this proxy, in the order in which they apply."""
    capabilities: Capabilities = Capabilities()

    def instance_at(self, number: int) -> Instance | None:
        """Return what an ingress listener of a Sidecar stands for: a service's port, else a target port.

        Istio knows the first alone. Without capture a listener has the number that others send to,
        which is a target port.
        """
        found = [i for i in self.instances if i.port.number == number]
        found += [i for i in self.instances if i.target_port == number]
        return found[0] if found else None


def whole(view: View) -> View:
    """Return a view that receives virtual hosts inside their route configurations."""
    if not view.capabilities.vhds:
        return view
    can = msgspec.structs.replace(view.capabilities, vhds=False)
    return msgspec.structs.replace(view, capabilities=can)
