"""An ADS client that behaves as Envoy does, without proxying anything.

It asks in Envoy's order (clusters, their endpoints, listeners, their routes), follows what it gets with
further subscriptions, accepts or rejects as Envoy words it, and comes back after a disconnection with
what it holds. `dangling` tells what a request could run into.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec
from envoy.config.cluster.v3 import cluster_pb2 as cluster
from envoy.config.core.v3 import base_pb2 as core
from envoy.config.endpoint.v3 import endpoint_pb2 as endpoint
from envoy.config.listener.v3 import listener_pb2 as listener
from envoy.config.route.v3 import route_components_pb2 as components
from envoy.config.route.v3 import route_pb2 as route
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from envoy.service.discovery.v3 import discovery_pb2 as discovery
from google.protobuf.any_pb2 import Any
from google.protobuf.json_format import ParseDict

from rhumb.xds.types import XdsType

CDS, EDS, LDS, RDS, VHDS = XdsType.CDS, XdsType.EDS, XdsType.LDS, XdsType.RDS, XdsType.VHDS
KINDS = (CDS, EDS, LDS, RDS, VHDS)
"""All that it may ask for."""

Request = discovery.DeltaDiscoveryRequest | discovery.DiscoveryRequest
Response = discovery.DeltaDiscoveryResponse | discovery.DiscoveryResponse
Reject = Callable[[XdsType, str, bytes], str]
"""(type, resource name, serialized resource) to the reason for refusing it; "" accepts."""

METADATA = {"NAMESPACE": "default", "SERVICE_ACCOUNT": "client", "RHUMB_FILE_SDS": "true"}
APART = METADATA | {"RHUMB_VHDS": "true"}
"""Of one that takes virtual hosts as resources of their own."""


def sidecar(number: int = 1) -> str:
    """Return the node id of a client in the default namespace."""
    return f"sidecar~10.0.0.{number}~client-{number}.default~default.svc.cluster.local"


class Held(msgspec.Struct, frozen=True):
    """One resource as the client has it."""

    version: str
    value: bytes


def accept(_type: XdsType, _name: str, _value: bytes) -> str:
    """Refuse nothing."""
    return ""


class FakeEnvoy:
    """The client's state across connections; feed it responses, send what it returns."""

    def __init__(
        self,
        node_id: str,
        metadata: Mapping[str, object] | None = None,
        *,
        delta: bool = True,
        reject: Reject = accept,
        types: Iterable[XdsType] = (),
    ) -> None:
        """`types`, when given, are all asked for at once and in full, as an agent's stream does."""
        self.node = core.Node(id=node_id)
        ParseDict(dict(metadata or {}), self.node.metadata)
        self.delta = delta
        self.reject = reject
        self.held: dict[XdsType, dict[str, Held]] = {}
        self.names: dict[XdsType, frozenset[str]] = {}
        """Subscriptions by name; a type that is asked for in full is absent."""
        self.warming: set[str] = set()
        """Clusters that wait for endpoints; what they were before serves on."""
        self.active: set[str] = set()
        """Clusters that take requests."""
        self.responses: list[tuple[XdsType, tuple[str, ...], tuple[str, ...]]] = []
        """(type, resources, removed) of every response, in order."""
        self.rejected: list[tuple[XdsType, str]] = []
        self._fixed = tuple(types)
        self._asked: list[XdsType] = []
        self._versions: dict[XdsType, str] = {}
        self._nonces: dict[XdsType, str] = {}
        self._said_who = False
        self._held_back: list[Callable[[], Request]] = []
        """Nothing is said of clusters while one waits for endpoints."""

    def connect(self) -> list[Request]:
        """Begin a stream: the first requests, with what is held from before."""
        self._said_who = False
        self._nonces.clear()
        self._held_back.clear()
        again = list(dict.fromkeys((*self._asked, *self._fixed))) or [CDS]
        self._asked = again
        now = [kind for kind in again if kind is not CDS or not self.warming]
        if len(now) < len(again):
            self._held_back.append(lambda: self._first(CDS))
        return [self._first(kind) for kind in now]

    def receive(self, response: Response) -> list[Request]:
        """Apply a response; return the ACK or NACK and the subscriptions that follow from it."""
        kind = XdsType(response.type_url)
        self._nonces[kind] = response.nonce
        error = self._apply(kind, response)
        if error:
            self.rejected.append((kind, error))
        elif isinstance(response, discovery.DiscoveryResponse):
            self._versions[kind] = response.version_info
        answer = self._judge(kind, error)
        if kind is CDS and self.warming:
            self._held_back.append(lambda: answer)
            return self._follow(kind)
        # The answer first: a server must not take it for a sign that all follows from it is asked for.
        return [answer, *self._resumed(), *self._follow(kind)]

    def texts(self, kind: XdsType) -> dict[str, bytes]:
        """Return what is held of a type: name to serialized resource."""
        return {name: held.value for name, held in sorted(self.held.get(kind, {}).items())}

    def dangling(self) -> list[str]:
        """Return routes to clusters that are missing or not ready: requests would fail."""
        tables = {
            name: route.RouteConfiguration.FromString(held.value)
            for name, held in self.held.get(RDS, {}).items()
        }
        hosts = {name: list(table.virtual_hosts) for name, table in tables.items()}
        for name, held in self.held.get(VHDS, {}).items():
            hosts[name] = [components.VirtualHost.FromString(held.value)]
        return [
            f"{name} -> {target}"
            for name, found in hosts.items()
            for target in route_targets(found)
            if target not in self.active
        ]

    def _resumed(self) -> list[Request]:
        """Return what is asked, or answered, of clusters once none waits for endpoints any more."""
        if self.warming:
            return []
        found = [make() for make in self._held_back]
        self._held_back.clear()
        return found

    # --- requests ------------------------------------------------------------------------

    def _introduce(self, request: Request) -> Request:
        if not self._said_who:
            request.node.CopyFrom(self.node)
            self._said_who = True
        return request

    def _first(self, kind: XdsType) -> Request:
        if kind not in self._asked:
            self._asked.append(kind)
        names = sorted(self.names.get(kind, ()))
        if not self.delta:
            request = discovery.DiscoveryRequest(
                type_url=kind.value, resource_names=names, version_info=self._versions.get(kind, "")
            )
            return self._introduce(request)
        versions = {name: held.version for name, held in self.held.get(kind, {}).items()}
        return self._introduce(
            discovery.DeltaDiscoveryRequest(
                type_url=kind.value,
                resource_names_subscribe=names or (["*"] if kind not in (EDS, RDS, VHDS) else []),
                initial_resource_versions=versions,
            )
        )

    def _judge(self, kind: XdsType, error: str) -> Request:
        request: Request
        if self.delta:
            request = discovery.DeltaDiscoveryRequest(
                type_url=kind.value,
                response_nonce=self._nonces.get(kind, ""),
            )
        else:
            request = discovery.DiscoveryRequest(
                type_url=kind.value,
                response_nonce=self._nonces.get(kind, ""),
                version_info=self._versions.get(kind, ""),
                resource_names=sorted(self.names.get(kind, ())),
            )
        if error:
            request.error_detail.code = 13
            request.error_detail.message = error
        return request

    def _subscribe(self, kind: XdsType, names: frozenset[str]) -> Iterator[Request]:
        before = self.names.get(kind)
        if before == names:
            return
        self.names[kind] = names
        held = self.held.get(kind, {})
        self.held[kind] = {name: each for name, each in held.items() if name in names}
        if before is None or kind not in self._asked:
            yield self._first(kind)
        elif self.delta:
            yield discovery.DeltaDiscoveryRequest(
                type_url=kind.value,
                resource_names_subscribe=sorted(names - before),
                resource_names_unsubscribe=sorted(before - names),
            )
        else:
            yield self._judge(kind, "")

    # --- responses -----------------------------------------------------------------------

    def _apply(self, kind: XdsType, response: Response) -> str:
        if isinstance(response, discovery.DeltaDiscoveryResponse):
            fresh = {r.name: Held(r.version, r.resource.value) for r in response.resources}
            removed = tuple(response.removed_resources)
        else:
            fresh = {
                name_of(kind, each): Held(response.version_info, each.value)
                for each in response.resources
            }
            held = self.held.get(kind, {})
            # Only the types that are asked for in full lose what a full state leaves out.
            removed = tuple(held.keys() - fresh.keys()) if kind not in (EDS, RDS) else ()
        self.responses.append((kind, tuple(fresh), removed))
        bad = {
            name: reason
            for name, each in fresh.items()
            if (reason := self.reject(kind, name, each.value))
        }
        if bad and kind not in (CDS, LDS):
            return "; ".join(bad.values())  # all or nothing, and no word of which
        if kind is VHDS:
            # What is for a route that is not there (yet) nobody listens to.
            known = self.apart()
            fresh = {n: each for n, each in fresh.items() if n.rpartition("/")[0] in known}
        if kind in self.names:
            # Answers to what it has asked for no more are let go by.
            fresh = {n: each for n, each in fresh.items() if n in self.names[kind]}
        mine = self.held.setdefault(kind, {})
        good = {name: each for name, each in fresh.items() if name not in bad}
        self._warm(kind, mine, good)
        mine.update(good)
        for name in removed:
            mine.pop(name, None)
            if kind is CDS:
                self.warming.discard(name)
                self.active.discard(name)
            if kind is EDS and name in self.warming:
                self.warming.discard(name)  # that there are none is an answer, too
                self.active.add(name)
        word = "cluster" if kind is CDS else "listener"
        listed = ", ".join(f"{name}: {reason}" for name, reason in bad.items())
        return f"Error adding/updating {word}(s) {listed}" if bad else ""

    def _warm(self, kind: XdsType, mine: Mapping[str, Held], good: Mapping[str, Held]) -> None:
        if kind is EDS:
            self.warming -= good.keys()
            self.active |= good.keys()
        elif kind is CDS:
            for name, each in good.items():
                before = mine.get(name)
                if before is not None and before.value == each.value:
                    continue  # Envoy skips what is equal
                if service_name(cluster.Cluster.FromString(each.value)):
                    self.warming.add(name)
                else:
                    self.warming.discard(name)  # it may have waited for endpoints as what it was
                    self.active.add(name)

    def apart(self) -> set[str]:
        """Return the route configurations whose virtual hosts come by themselves."""
        return {
            name
            for name, held in self.held.get(RDS, {}).items()
            if route.RouteConfiguration.FromString(held.value).HasField("vhds")
        }

    def _follow(self, kind: XdsType) -> list[Request]:
        out: list[Request] = []
        if kind is CDS:
            found = (
                service_name(cluster.Cluster.FromString(h.value)) for h in self.held[CDS].values()
            )
            names = frozenset(n for n in found if n)
            if names or EDS in self.names:
                out += self._subscribe(EDS, names)
        if kind is LDS:
            wanted = frozenset(
                name
                for held in self.held[LDS].values()
                for name in route_names(listener.Listener.FromString(held.value))
            )
            if wanted or RDS in self.names:
                out += self._subscribe(RDS, wanted)
        if kind in (LDS, RDS):
            routes = self.apart()
            held = self.held.get(VHDS, {})
            self.held[VHDS] = {n: h for n, h in held.items() if n.rpartition("/")[0] in routes}
            if routes and VHDS not in self._asked:
                out.append(self._first(VHDS))
        if kind in (CDS, EDS) and LDS not in self._asked and not self.warming and not self._fixed:
            out.append(self._first(LDS))
        return out


def name_of(kind: XdsType, packed: Any) -> str:
    """Return the name inside a resource, as state-of-the-world clients know it."""
    match kind:
        case XdsType.CDS:
            name: str = cluster.Cluster.FromString(packed.value).name
        case XdsType.EDS:
            name = endpoint.ClusterLoadAssignment.FromString(packed.value).cluster_name
        case XdsType.LDS:
            name = listener.Listener.FromString(packed.value).name
        case XdsType.RDS:
            name = route.RouteConfiguration.FromString(packed.value).name
        case _:
            name = kind.short
    return name


def service_name(each: cluster.Cluster) -> str:
    """Return the EDS resource that a cluster asks for; "" when it asks for none."""
    if each.type != cluster.Cluster.EDS:
        return ""
    return each.eds_cluster_config.service_name or each.name


def route_names(each: listener.Listener) -> Iterator[str]:
    """Yield the route configurations that a listener asks for."""
    for chain in (*each.filter_chains, each.default_filter_chain):
        for one in chain.filters:
            if one.typed_config.Is(hcm.HttpConnectionManager.DESCRIPTOR):
                manager = hcm.HttpConnectionManager.FromString(one.typed_config.value)
                if manager.rds.route_config_name:
                    yield manager.rds.route_config_name


def route_targets(hosts: Iterable[components.VirtualHost]) -> Iterator[str]:
    """Yield the clusters that virtual hosts send requests to."""
    for host in hosts:
        for one in host.routes:
            yield from _action_targets(one.route)


def _action_targets(action: components.RouteAction) -> Iterator[str]:
    if action.cluster:
        yield action.cluster
    for weighted in action.weighted_clusters.clusters:
        if weighted.weight.value:
            yield weighted.name
