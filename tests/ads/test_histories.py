"""Random histories of a mesh: what a client has gathered by differences is what a newcomer gets."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rhumb.cache.encoded import Encoded
from rhumb.encode.dispatch import encode
from rhumb.model.resource import Key, Resource, ResourceSet
from rhumb.snapshot.build import World, build, empty
from rhumb.testing.ads import Link, views_of
from rhumb.testing.fake_envoy import APART, KINDS, METADATA, RDS, FakeEnvoy, sidecar
from rhumb.testing.world import resources

NAMES = ("a", "b", "c")


class State(msgspec.Struct, frozen=True):
    """One service of the mesh at one moment."""

    endpoints: int = 1
    subsets: bool = False
    weight: int = 100
    port: int = 9080
    sends_to: str = ""
    """Another service that its VirtualService sends everything to."""
    limit: int = 0
    """A setting of its cluster."""


STATES = st.builds(
    State,
    endpoints=st.integers(0, 2),
    subsets=st.booleans(),
    weight=st.sampled_from((100, 90, 50)),
    port=st.sampled_from((9080, 9081)),
    sends_to=st.sampled_from(("", *NAMES)),
    limit=st.integers(0, 2),
)
STEPS = st.lists(st.tuples(st.sampled_from(NAMES), st.none() | STATES), min_size=1, max_size=6)


def yaml(name: str, state: State) -> str:
    versions = ("v1", "v2") if state.subsets else ("",)
    texts = [
        f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  clusterIP: 10.96.0.{ord(name) - 90}
  selector: {{app: {name}}}
  ports: [{{name: http, port: {state.port}, targetPort: 9080}}]
"""
    ]
    texts += [
        f"""
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: {name}-{version}-{number}}}
spec:
  address: 10.1.{ord(name)}.{number + (10 if version == "v2" else 1)}
  labels: {{app: {name}, version: {version or "v1"}}}
  serviceAccount: {name}
"""
        for version in versions
        for number in range(state.endpoints)
    ]
    destination = state.sends_to or name
    rule = f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {name}}}
spec:
  host: {name}
  trafficPolicy: {{connectionPool: {{tcp: {{maxConnections: {state.limit + 10}}}}}}}
"""
    subsets = "  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]"
    if state.limit or state.subsets:
        texts.append(rule + (subsets if state.subsets else ""))
    if state.subsets:
        texts.append(f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}}}
spec:
  hosts: [{name}]
  http:
  - route:
    - {{destination: {{host: {name}, subset: v1}}, weight: {state.weight}}}
    - {{destination: {{host: {name}, subset: v2}}, weight: {100 - state.weight}}}
""")
    elif state.sends_to:
        texts.append(f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}}}
spec:
  hosts: [{name}]
  http: [{{route: [{{destination: {{host: {destination}}}}}]}}]
""")
    return "\n---\n".join(texts)


class Mesh:
    """Services by name, and the snapshots that follow from changing them."""

    def __init__(self) -> None:
        self.states: dict[str, State] = {}
        self.resources = ResourceSet()
        self.world: World = empty()
        self._held: dict[str, dict[Key, Resource]] = {}

    def set(self, name: str, state: State | None) -> None:
        before = self._held.get(name, {})
        made = resources(yaml(name, state)) if state else ()
        after = {each.key: each for each in made}
        self.resources, changes = self.resources.apply(after.values(), before.keys() - after.keys())
        self._held[name] = after
        if state is None:
            self.states.pop(name, None)
        else:
            self.states[name] = state
        if changes:
            self.world = build(self.world, self.resources, changes)

    def missing(self) -> bool:
        """Tell whether a route leads to a service that does not exist, which is the user's doing."""
        return any(
            state.sends_to and not state.subsets and self._gone(state.sends_to, state.port)
            for state in self.states.values()
        )

    def _gone(self, name: str, port: int) -> bool:
        other = self.states.get(name)
        return other is None or other.port != port


def have(envoy: FakeEnvoy) -> dict[str, dict[str, bytes]]:
    return {kind.short: envoy.texts(kind) for kind in KINDS}


def newcomer(world: World, *, delta: bool, apart: bool = False) -> FakeEnvoy:
    envoy = FakeEnvoy(sidecar(), APART if apart else METADATA, delta=delta)
    Link(views_of(world), envoy).settle()
    return envoy


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, st.lists(st.integers(0, 3), min_size=6, max_size=6), st.booleans())
def test_differences_lead_where_a_fresh_start_leads(
    steps: list[tuple[str, State | None]], pauses: list[int], burst: bool
) -> None:
    mesh = Mesh()
    mesh.set("a", State())
    encoded = Encoded(encode)
    links = [
        Link(views_of(mesh.world, encoded), FakeEnvoy(sidecar(), metadata, delta=delta))
        for delta, metadata in ((True, METADATA), (False, METADATA), (True, APART))
    ]
    for link in links:
        link.settle()
    for (name, state), pause in zip(steps, pauses, strict=False):
        mesh.set(name, state)
        for link in links:
            view = link.connection.view
            assert view is not None
            link.publish(link.views.following(mesh.world, {view}))
            # The next change may come in the middle of the push for this one.
            for _ in range(pause):
                response = link.next()
                for request in link.envoy.receive(response) if response else ():
                    link.hear(request)
    for link in links:
        link.settle(burst=burst)
        assert not link.envoy.warming, "a cluster waits for endpoints for ever"
    fresh = have(newcomer(mesh.world, delta=True))
    assert have(newcomer(mesh.world, delta=False)) == fresh
    apart = have(newcomer(mesh.world, delta=True, apart=True))
    assert [have(link.envoy) for link in links] == [fresh, fresh, apart]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, st.booleans(), st.booleans(), st.booleans())
def test_no_route_leads_nowhere_at_any_moment(
    steps: list[tuple[str, State | None]], delta: bool, burst: bool, apart: bool
) -> None:
    mesh = Mesh()
    mesh.set("a", State())
    metadata = APART if apart else METADATA
    link = Link(views_of(mesh.world), FakeEnvoy(sidecar(), metadata, delta=delta))
    link.settle()
    excused = False
    for name, state in steps:
        mesh.set(name, state)
        excused = excused or mesh.missing()
        assert link.connection.view is not None
        link.publish(link.views.following(mesh.world, {link.connection.view}))
        link.settle(check_nothing if excused else lambda: check(link.envoy), burst=burst)
        excused = mesh.missing()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, STEPS, st.integers(0, 8), st.booleans(), st.booleans())
def test_who_comes_back_ends_where_a_newcomer_ends(
    before: list[tuple[str, State | None]],
    during: list[tuple[str, State | None]],
    cut: int,
    delta: bool,
    apart: bool,
) -> None:
    mesh = Mesh()
    for name, state in before:
        mesh.set(name, state)
    metadata = APART if apart else METADATA
    link = Link(views_of(mesh.world), FakeEnvoy(sidecar(), metadata, delta=delta))
    for _ in range(cut):  # the control plane dies in the middle of something
        response = link.next()
        for request in link.envoy.receive(response) if response else ():
            link.hear(request)
    for name, state in during:
        mesh.set(name, state)
    again = Link(views_of(mesh.world), link.envoy)  # another process: nothing is remembered
    again.settle()
    assert not link.envoy.warming, "a cluster waits for endpoints for ever"
    assert have(link.envoy) == have(newcomer(mesh.world, delta=delta, apart=apart))


def check_nothing() -> None:
    """Pass: the configuration itself has a route to nowhere."""


def check(envoy: FakeEnvoy) -> None:
    assert not envoy.dangling()


@pytest.mark.parametrize("delta", [True, False])
def test_nothing_changed_nothing_sent(delta: bool) -> None:
    mesh = Mesh()
    mesh.set("a", State(subsets=True))
    link = Link(views_of(mesh.world), FakeEnvoy(sidecar(), METADATA, delta=delta))
    assert link.settle() > 3
    assert link.connection.view is not None
    link.publish(link.views.following(mesh.world, {link.connection.view}))
    assert link.settle() == 0
    if delta:
        again = Link(views_of(mesh.world), link.envoy)
        assert again.settle() == 0


def test_after_a_restart_only_what_changed_is_sent() -> None:
    mesh = Mesh()
    for name in NAMES:
        mesh.set(name, State(subsets=True))
    link = Link(views_of(mesh.world), FakeEnvoy(sidecar(), METADATA))
    link.settle()
    mesh.set("b", State(subsets=True, weight=50))
    link.envoy.responses.clear()
    Link(views_of(mesh.world), link.envoy).settle()
    assert [(kind, names) for kind, names, _ in link.envoy.responses] == [(RDS, ("9080",))]
