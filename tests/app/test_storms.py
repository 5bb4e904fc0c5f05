"""A control plane and its streams without gRPC: everything happens in any order, and at rest all is as from nothing."""

import asyncio
import random
from collections import deque
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from envoy.service.discovery.v3 import discovery_pb2 as discovery
from google.protobuf.any_pb2 import Any
from tests.cache.random_objects import NAMES, NAMESPACES, random_resources
from tests.cache.test_histories import spell

from rhumb.ads import requests
from rhumb.ads.connection import Connection, Nack
from rhumb.ads.stream import Caller, Stream
from rhumb.app.control_plane import ControlPlane
from rhumb.cache.encoded import Encoded
from rhumb.cache.views import Failure, Views
from rhumb.model.resource import Changes, Key, Resource
from rhumb.snapshot.build import World, build, empty
from rhumb.snapshot.view import whole
from rhumb.testing.clock import FakeClock
from rhumb.testing.control_plane import settings
from rhumb.testing.fake_envoy import CDS, KINDS, LDS, VHDS, FakeEnvoy
from rhumb.testing.world import resources
from rhumb.translate import proxy as translator
from rhumb.xds.types import XdsType

ROUNDS = 5
CLIENTS = 12
ACK_TIMEOUT_S = 5.0
ROOM_BYTES = 5000
"""Of first responses that may be on their way: new clients wait for each other."""


def _refused(nack: Nack) -> None:
    raise AssertionError(nack)


def _raise(failure: Failure) -> None:
    assert failure.patch is not None, failure


class Client:
    """An Envoy and the server's side of its stream; what is said lies on the wire until somebody listens."""

    def __init__(self, plane: ControlPlane, clock: FakeClock, chance: random.Random) -> None:
        self.plane, self.clock = plane, clock
        namespace, app = chance.choice(NAMESPACES), chance.choice(NAMES)
        metadata = {
            "NAMESPACE": namespace,
            "LABELS": {"app": app, "version": chance.choice(("v1", "v2"))},
            "SERVICE_ACCOUNT": chance.choice(("sa", "sb")),
            "RHUMB_VHDS": chance.choice(("true", "true", "false")),
            "INTERCEPTION_MODE": chance.choice((*["REDIRECT"] * 5, "NONE")),
        }
        address, role = f"1.1.1.{chance.randrange(4)}", "sidecar"
        if chance.random() < 0.1:
            role, metadata["LABELS"] = "router", {"app": "a", "version": "v1"}
        name = f"{role}~{address}~x.{namespace}~{namespace}.svc.cluster.local"
        self.envoy = FakeEnvoy(name, metadata, delta=chance.random() < 0.85)
        self.connect()

    def connect(self) -> None:
        """Open a stream."""
        connection = Connection(
            delta=self.envoy.delta,
            differences=self.plane.ads.differences,
            ack_timeout_s=ACK_TIMEOUT_S,
            max_names=1000,
            on_nack=_refused,
        )
        self.stream = Stream(connection, Caller(), self.clock.monotonic())
        self.up = deque(self.envoy.connect())
        self.down: deque[bytes] = deque()
        self.is_asleep = False
        self._speaking = self._speech(self.stream)

    def disconnect(self) -> None:
        """Lose the stream with all that is on its way."""
        self.plane.ads._forget(self.stream)

    @property
    def is_busy(self) -> bool:
        """Tell whether something is on its way, or about to be said."""
        stream = self.stream
        return bool(
            self.up or self.down or stream.is_awake or stream.is_queued or not self.is_asleep
        )

    def hear(self) -> None:
        """Have the server take a request."""
        if self.up:
            self.plane.ads._hear(self.stream, self.up.popleft(), checked=False)

    def speak(self) -> None:
        """Have the server write, if it has anything to say."""
        next(self._speaking)

    def listen(self) -> None:
        """Have Envoy take a response."""
        if self.down:
            data = self.down.popleft()
            said: discovery.DeltaDiscoveryResponse | discovery.DiscoveryResponse
            if self.envoy.delta:
                said = discovery.DeltaDiscoveryResponse.FromString(data)
            else:
                said = discovery.DiscoveryResponse.FromString(data)
            self.up.extend(self.envoy.receive(said))

    def _speech(self, stream: Stream) -> Iterator[None]:
        """Do what the task of a stream does, with a pause after each write."""
        while True:
            stream.is_awake = self.is_asleep = False
            while (response := self.plane.ads._next(stream)) is not None:
                self.plane.ads._newcomers.sends(stream, len(response))
                self.down.append(response)
                yield
            self.is_asleep = True
            while not stream.is_awake:
                yield


class Storm:
    """A control plane to which everything happens."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.chance = random.Random(seed)
        self.clock = FakeClock()
        self.plane = ControlPlane(settings(folder, folder, first_bytes=ROOM_BYTES), self.clock)
        self.plane.store.subscribe(self.plane._changed)
        self.clients: list[Client] = []
        self._encoded = Encoded(spell)

    def step(self) -> None:
        """Let one thing happen."""
        chance, client = self.chance, self.chance.choice(self.clients or [None])
        what = chance.random()
        if what < 0.04:
            self._change()
        elif what < 0.09:
            self._push()
        elif client is None or (what < 0.1 and len(self.clients) < CLIENTS):
            self.clients.append(Client(self.plane, self.clock, chance))
        elif what < 0.105:
            client.disconnect()
            if chance.random() < 0.3:
                self.clients.remove(client)
            else:
                client.connect()
        elif what < 0.107:
            self.clock.advance(timedelta(seconds=chance.choice((0.1, 1, 6))))
            self.plane.ads._look_for_the_late()
        else:
            act = chance.choice(
                (client.hear, client.speak, client.listen, self.plane.ads._newcomers._work)
            )
            for _ in range(chance.choice((1, 1, 3, 20))):
                act()

    def settle(self) -> None:
        """Push what waits, and let everybody say and hear everything; no time passes."""
        while self.plane._pending or self.plane._moving:
            self._push()
        for _ in range(3000):
            busy = [client for client in self.clients if client.is_busy]
            if not busy:
                return
            for client in busy:
                client.hear()
                self.plane.ads._newcomers._work()
                client.speak()
                client.listen()
        raise AssertionError([c.envoy.responses[-6:] for c in self.clients if c.is_busy])

    def check(self) -> None:
        """Compare what every Envoy has with what a newcomer to the last files would be given."""
        known = self.plane.store.resources
        world = build(empty(), known, Changes(added=frozenset(known)))
        views = Views(world, translator, self._encoded, _raise)
        for client in self.clients:
            envoy = client.envoy
            assert not envoy.warming, (envoy.node.id, envoy.warming)
            stream = client.stream
            assert (stream.behind, stream.connection.is_new) == (None, False), envoy.node.id
            for kind in KINDS:
                if kind is CDS or kind is LDS or kind in envoy.names or kind in envoy.held:
                    assert envoy.texts(kind) == _wanted(world, views, envoy, kind), kind

    def _change(self) -> None:
        known = self.plane.store.resources
        upserts: dict[Key, Resource] = {}
        removed: set[Key] = set()
        for _ in range(self.chance.choice((1, 1, 1, 2, 3, 6))):
            if len(known) > 8 and self.chance.random() < (0.5 if len(known) > 25 else 0.3):
                removed.add(self.chance.choice(sorted(known)))
            else:
                upserts |= {r.key: r for r in random_resources(self.chance)}
        self.plane.store.apply("files", upserts.values(), removed - upserts.keys())

    def _push(self) -> None:
        """Push what one of the two lanes holds."""
        now = self.clock.monotonic()
        if self.plane._moving and self.chance.random() < 0.7:
            self.plane._push_endpoints(now)
        else:
            self.plane._push(now)


def _wanted(world: World, views: Views, envoy: FakeEnvoy, kind: XdsType) -> dict[str, bytes]:
    view = world.view(requests.parse_node(envoy.node))
    entries = views.table(view if envoy.delta else whole(view), kind).entries
    names = set(entries)
    if kind in envoy.names:
        names &= envoy.names[kind]
    if kind is VHDS:
        apart = envoy.apart()
        names = {name for name in names if name.rpartition("/")[0] in apart}
    return {name: Any.FromString(entries[name].packed).value for name in sorted(names)}


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_at_rest_all_is_as_from_nothing(seed: int, tmp_path: Path) -> None:
    asyncio.run(_weather(Storm(seed, tmp_path)))


async def _weather(storm: Storm) -> None:
    for _ in range(ROUNDS):
        for _ in range(storm.chance.choice((30, 300, 1500))):
            storm.step()
        storm.settle()
        storm.check()
    for client in storm.clients:
        client.disconnect()
    assert not storm.plane.ads.served, "a stream that ended is still served"
    storm.plane.ads.close()


SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: a}
spec: {clusterIP: 10.0.0.1, selector: {app: a}, ports: [{name: http, port: %d}]}
"""
WORKLOAD = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: a}
spec: {address: 1.1.1.%d, labels: {app: a}}
"""


def test_what_came_in_one_lane_and_was_pushed_by_the_other_goes_again(tmp_path: Path) -> None:
    plane = ControlPlane(settings(tmp_path, tmp_path), FakeClock())
    plane.store.subscribe(plane._changed)
    (workload,) = resources(WORKLOAD % 1)
    plane.store.apply("files", (*resources(SERVICE % 80), workload))
    plane.store.apply("files", resources(WORKLOAD % 2))
    plane._push_endpoints(0.0)
    plane.store.apply("files", resources(SERVICE % 81), (workload.key,))
    plane._push(0.0)
    assert not plane.world.catalog.endpoints
    assert not plane._pending
