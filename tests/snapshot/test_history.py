"""However a world came about, it is the same world: incremental equals from scratch."""

import random
from collections.abc import Iterable
from types import MappingProxyType

from hypothesis import given, settings
from hypothesis import strategies as st

from rhumb.model.codec import make
from rhumb.model.kinds import destination_rule as dr
from rhumb.model.kinds import endpoint_slice as es
from rhumb.model.kinds import gateway as gw
from rhumb.model.kinds import kubernetes as k8s
from rhumb.model.kinds import peer_authentication as pa
from rhumb.model.kinds import selector
from rhumb.model.kinds import service_entry as se
from rhumb.model.kinds import sidecar as sc
from rhumb.model.kinds import virtual_service as vs
from rhumb.model.kinds.kubernetes import ObjectReference
from rhumb.model.kinds.mesh_config import MeshConfig
from rhumb.model.kinds.pod import Container, ContainerPort, Node, Pod
from rhumb.model.kinds.table import BY_NAME
from rhumb.model.kinds.wire import Kind
from rhumb.model.kinds.workload_entry import WorkloadEntry
from rhumb.model.proxy import Proxy, Role
from rhumb.model.resource import Changes, Key, Meta, Resource, ResourceSet
from rhumb.snapshot.affects import EDS
from rhumb.snapshot.build import World, build, empty
from rhumb.snapshot.view import View

NETWORKING = "networking.istio.io"
NAMESPACES = ("a", "b", "istio-system")
ADDRESSES = ("1.1.1.1", "1.1.1.2", "1.1.1.3")
LABELS = ({"app": "x"}, {"app": "y"}, {"app": "x", "v": "1"})
HOSTS = ("n.a.svc.cluster.local", "m.b.svc.cluster.local", "x.com", "*.x.com", "z.x.com")
EXPORTS = ((), (".",), ("*",), ("b",), ("~",))

namespaces = st.sampled_from(NAMESPACES)
names = st.sampled_from(["n", "m"])
hosts = st.sampled_from(HOSTS)
labels = st.sampled_from(LABELS)
exports = st.sampled_from(EXPORTS)
created = st.sampled_from(["", "2001-01-01T00:00:00Z", "2002-01-01T00:00:00Z"])


def _services() -> st.SearchStrategy[Kind]:
    return st.builds(
        k8s.Service,
        cluster_ip=st.sampled_from(["10.0.0.1", "None"]),
        selector=st.one_of(labels, st.just({})),
        ports=st.sampled_from(
            [
                (k8s.ServicePort(name="http", port=80, target_port=8080),),
                (k8s.ServicePort(port=80, target_port="http"), k8s.ServicePort(port=90)),
            ]
        ),
    )


def _workloads() -> st.SearchStrategy[WorkloadEntry]:
    return st.builds(
        WorkloadEntry,
        address=st.sampled_from(ADDRESSES),
        labels=labels,
        ports=st.sampled_from([{}, {"http": 7}]),
        service_account=st.sampled_from(["", "sa"]),
        weight=st.integers(0, 2),
    )


def _service_entries() -> st.SearchStrategy[Kind]:
    return st.builds(
        se.ServiceEntry,
        hosts=st.lists(hosts, min_size=1, max_size=2, unique=True).map(tuple),
        ports=st.just((se.ServicePort(number=80, name="http", protocol="HTTP"),)),
        resolution=st.sampled_from(list(se.ServiceResolution)),
        endpoints=st.one_of(st.just(()), _workloads().map(lambda w: (w,))),
        workload_selector=st.one_of(
            st.none(), labels.map(lambda found: selector.WorkloadSelector(labels=found))
        ),
        export_to=exports,
    )


def _virtual_services() -> st.SearchStrategy[Kind]:
    destination = hosts.map(lambda host: vs.Destination(host=host))
    routes = destination.map(lambda d: (vs.HttpRouteDestination(destination=d),))
    http = st.builds(
        vs.HttpRoute,
        route=routes,
        delegate=st.one_of(st.none(), st.builds(vs.Delegate, name=names, namespace=namespaces)),
    )
    return st.builds(
        vs.VirtualService,
        hosts=st.lists(hosts, max_size=2, unique=True).map(tuple),
        gateways=st.sampled_from([(), ("mesh", "n"), ("b/m",)]),
        http=http.map(lambda one: (one,)),
        export_to=exports,
    )


def _destination_rules() -> st.SearchStrategy[Kind]:
    return st.builds(
        dr.DestinationRule,
        host=st.one_of(hosts, st.just("n")),
        subsets=st.sampled_from([(), (dr.Subset(name="v1"),), (dr.Subset(name="v2"),)]),
        traffic_policy=st.sampled_from([None, dr.TrafficPolicy(tls=dr.ClientTls())]),
        export_to=exports,
        workload_selector=st.one_of(
            st.none(), labels.map(lambda found: selector.LabelMatch(match_labels=found))
        ),
    )


def _sidecars() -> st.SearchStrategy[Kind]:
    patterns = st.builds("{}/{}".format, st.sampled_from(["*", ".", "b", "~a"]), hosts)
    egress = st.builds(
        sc.EgressListener,
        hosts=st.lists(patterns, min_size=1, max_size=2).map(tuple),
        port=st.sampled_from([None, sc.SidecarPort(number=80, protocol="HTTP", name="h")]),
    )
    return st.builds(
        sc.Sidecar,
        workload_selector=st.one_of(
            st.none(), labels.map(lambda found: selector.WorkloadSelector(labels=found))
        ),
        egress=st.lists(egress, max_size=2).map(tuple),
    )


def _peer_authentications() -> st.SearchStrategy[Kind]:
    mtls = st.builds(pa.MutualTls, mode=st.sampled_from(list(pa.MutualTlsMode)))
    return st.builds(
        pa.PeerAuthentication,
        selector=st.one_of(
            st.none(), labels.map(lambda found: selector.LabelMatch(match_labels=found))
        ),
        mtls=st.one_of(st.none(), mtls),
        port_level_mtls=st.one_of(st.just({}), mtls.map(lambda one: MappingProxyType({8080: one}))),
    )


def _slices() -> st.SearchStrategy[Kind]:
    target = ObjectReference(kind="Pod", name="n")
    endpoint = st.builds(
        es.Endpoint,
        addresses=st.sampled_from(ADDRESSES).map(lambda one: (one,)),
        node_name=st.sampled_from(["", "n"]),
        target_ref=st.sampled_from([None, target]),
        conditions=st.sampled_from([None, es.EndpointConditions(ready=False)]),
    )
    return st.builds(
        es.EndpointSlice,
        endpoints=st.lists(endpoint, max_size=2).map(tuple),
        ports=st.just((es.EndpointPort(name="http", port=8080), es.EndpointPort(port=81))),
    )


POD_LABELS = st.builds(
    lambda own, mode: {**own, **mode},
    labels,
    st.sampled_from([{}, {"security.istio.io/tlsMode": "istio"}]),
)
META_LABELS: dict[str, st.SearchStrategy[dict[str, str]]] = {
    "Pod": POD_LABELS,
    "Node": st.sampled_from([{}, {"topology.kubernetes.io/region": "r"}]),
    "EndpointSlice": st.sampled_from([{}, {"kubernetes.io/service-name": "n"}]),
}
SICK = {"conditions": ({"type": "Healthy", "status": "False"},)}
STATUS: dict[str, st.SearchStrategy[dict[str, object]]] = {
    "WorkloadEntry": st.sampled_from([{}, SICK]),
    "Pod": st.builds(
        lambda address, phase: {"podIP": address, "phase": phase},
        st.sampled_from(("", *ADDRESSES)),
        st.sampled_from(["Running", "Pending", "Failed"]),
    ),
}

SPECS: dict[tuple[str, str], st.SearchStrategy[Kind]] = {
    ("", "Service"): _services(),
    ("", "Pod"): st.builds(
        Pod,
        node_name=st.sampled_from(["", "n", "m"]),
        containers=st.sampled_from(
            [(), (Container(ports=(ContainerPort(name="http", container_port=7),)),)]
        ),
    ),
    ("", "Node"): st.just(Node()),
    ("discovery.k8s.io", "EndpointSlice"): _slices(),
    (NETWORKING, "WorkloadEntry"): _workloads(),
    (NETWORKING, "ServiceEntry"): _service_entries(),
    (NETWORKING, "VirtualService"): _virtual_services(),
    (NETWORKING, "DestinationRule"): _destination_rules(),
    (NETWORKING, "Sidecar"): _sidecars(),
    (NETWORKING, "Gateway"): labels.map(lambda found: gw.Gateway(selector=found)),
    ("security.istio.io", "PeerAuthentication"): _peer_authentications(),
    ("mesh.istio.io", "MeshConfig"): st.builds(
        MeshConfig,
        trust_domain=st.sampled_from(["", "td"]),
        default_service_export_to=st.sampled_from([(), (".",)]),
        root_namespace=st.sampled_from(["", "b"]),
    ),
}


KINDS = [*sorted(SPECS), ("", "Service"), *[(NETWORKING, "WorkloadEntry"), ("", "Pod")] * 3]
"""Workloads are many, and change most."""


@st.composite
def resources(draw: st.DrawFn) -> Resource:
    kind = draw(st.sampled_from(KINDS))
    meta = Meta(
        name=draw(names),
        namespace=draw(namespaces),
        created=draw(created),
        labels=draw(META_LABELS.get(kind[1], st.just({}))),
    )
    status = draw(STATUS.get(kind[1], st.just({})))
    return make(BY_NAME[kind], meta, draw(SPECS[kind]), status=status)


edits = st.lists(st.tuples(resources(), st.booleans()), max_size=5)
"""One step: resources to put, or (True) to remove."""
histories = st.lists(edits, min_size=1, max_size=8)


def apply(known: ResourceSet, step: Iterable[tuple[Resource, bool]]) -> tuple[ResourceSet, Changes]:
    found: dict[Key, tuple[Resource, bool]] = {r.key: (r, gone) for r, gone in step}
    upserts = [r for r, gone in found.values() if not gone]
    return known.apply(upserts, [r.key for r, gone in found.values() if gone])


def from_scratch(known: ResourceSet) -> World:
    return build(empty(), known, Changes(added=frozenset(known)))


def views() -> list[View]:
    return [
        View(role=role, namespace=namespace, labels=tuple(sorted(found.items())))
        for role in (Role.SIDECAR, Role.ROUTER)
        for namespace in NAMESPACES
        for found in LABELS
    ]


def observed(world: World) -> dict[str, object]:
    """Return everything that the world says, in values that compare."""
    return {
        "mesh": (world.mesh.trust_domain, world.mesh.root_namespace, world.mesh.default_export_to),
        "services": dict(world.catalog.services),
        "by_host": {host: world.services(host) for host in world.catalog.by_host},
        "endpoints": dict(world.catalog.endpoints),
        "at": [world.workload_at(address) for address in ADDRESSES],
        "findings": world.findings,
        "instances": [
            world.view(Proxy.parse(f"sidecar~{a}~n.{ns}~{ns}.svc.cluster.local", {"LABELS": found}))
            for a in (*ADDRESSES, "9.9.9.9")
            for ns in NAMESPACES
            for found in LABELS
        ],
        "views": [_observed_by(world, view) for view in views()],
        "mtls": [
            (_key(found.resource), found.mode)
            for ns in NAMESPACES
            for one in LABELS
            for port in (80, 8080)
            for found in (world.mtls(ns, tuple(sorted(one.items())), port),)
        ],
        "delegates": [
            (_key(found.resource), found.spec) if found else None
            for ns in NAMESPACES
            for name in ("n", "m")
            for root in NAMESPACES
            for found in (world.delegate(ns, name, root),)
        ],
    }


def _observed_by(world: World, view: View) -> list[object]:
    scope = world.scope(view)
    said: list[object] = [scope.services, scope.outbound_allow_any, _key(scope.sidecar)]
    for listener in scope.egress:
        routing = [(_key(r.resource), r.spec) for r in listener.routing]
        said.append((listener.port, listener.capture, listener.services, routing))
    for service in scope.services:
        policy = world.policy(view, service)
        if policy is not None:
            said.append(([_key(r) for r in policy.resources], policy.spec))
    said += [_key(servers.resource) for servers in world.gateways(view)]
    if view.role is Role.ROUTER:  # nobody else has servers whose routes these are
        said += [_key(r.resource) for r in world.gateway_routing(view, "b/m")]
    return said


def _key(resource: Resource | None) -> Key | None:
    return resource.key if resource is not None else None


@settings(deadline=None, max_examples=60)
@given(st.lists(resources(), min_size=15, max_size=40), histories)
def test_history_does_not_matter(
    found: list[Resource], history: list[list[tuple[Resource, bool]]]
) -> None:
    known = ResourceSet(found)
    world = from_scratch(known)
    for step in history:
        observed(world)  # whatever it remembers of this must not show up later
        known, changes = apply(known, step)
        world = build(world, known, changes)
    assert observed(world) == observed(from_scratch(known))


@settings(deadline=None, max_examples=80)
@given(st.lists(resources(), min_size=15, max_size=40), st.data())
def test_removing_one_object_removes_all_of_it(found: list[Resource], data: st.DataObject) -> None:
    known = ResourceSet(found)
    world = from_scratch(known)
    observed(world)
    left, changes = known.apply((), [data.draw(st.sampled_from(sorted(known)))])
    assert observed(build(world, left, changes)) == observed(from_scratch(left))


@settings(deadline=None, max_examples=50)
@given(st.lists(resources(), max_size=25), st.randoms(use_true_random=False))
def test_the_order_of_input_does_not_matter(found: list[Resource], shuffle: random.Random) -> None:
    unique = list({r.key: r for r in found}.values())
    first = observed(from_scratch(ResourceSet(unique)))
    shuffle.shuffle(unique)
    assert observed(from_scratch(ResourceSet(unique))) == first


@settings(deadline=None, max_examples=60)
@given(st.lists(resources(), min_size=10, max_size=30), edits)
def test_nothing_changes_that_the_impact_does_not_name(
    found: list[Resource], step: list[tuple[Resource, bool]]
) -> None:
    before = from_scratch(ResourceSet(found))
    observed(before)
    known, changes = apply(before.resources, step)
    after = build(before, known, changes)
    old, new, impact = before.catalog, after.catalog, after.impact
    for key in old.services.keys() | new.services.keys():
        if key not in impact.services:
            assert old.services[key] is new.services[key]
        if key not in impact.endpoints:
            assert old.endpoints.get(key) is new.endpoints.get(key)
    if impact.is_full:
        return
    for view in views():
        same = before.scope(view) is after.scope(view)
        if impact.types <= {EDS}:
            assert same
            assert _observed_by(before, view) == _observed_by(after, view)
        if not impact.matters(before.scope(view), after.scope(view)):
            assert _observed_by(before, view) == _observed_by(after, view)
            for service in after.scope(view).services:
                assert before.endpoints(service) == after.endpoints(service)


@settings(deadline=None, max_examples=50)
@given(st.lists(resources(), max_size=25))
def test_a_change_that_is_taken_back_leaves_nothing_behind(found: list[Resource]) -> None:
    start = ResourceSet(found[: len(found) // 2])
    world = from_scratch(start)
    more, changes = start.apply(found[len(found) // 2 :], ())
    there = build(world, more, changes)
    undo = Changes(added=changes.removed, changed=changes.changed, removed=changes.added)
    assert observed(build(there, start, undo)) == observed(world)
