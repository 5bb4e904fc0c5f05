"""A server's side of a stream and a FakeEnvoy, joined without gRPC: messages pass one at a time."""

from collections import deque
from collections.abc import Callable

from envoy.service.discovery.v3 import discovery_pb2 as discovery

from rhumb.ads import requests
from rhumb.ads.connection import Connection, Nack
from rhumb.cache.encoded import Encoded
from rhumb.cache.versions import Differences
from rhumb.cache.views import Failure, Views
from rhumb.encode.dispatch import encode
from rhumb.snapshot.snapshot import Snapshot
from rhumb.snapshot.view import whole
from rhumb.testing.fake_envoy import FakeEnvoy, Response
from rhumb.translate import proxy
from rhumb.xds.types import XdsType

ACK_TIMEOUT_S = 5.0


def raising(failure: Failure) -> None:
    """Make a contained failure loud."""
    raise AssertionError(failure)


def views_of(snapshot: Snapshot, encoded: Encoded | None = None) -> Views:
    """Return the views of a snapshot."""
    return Views(snapshot, proxy, Encoded(encode) if encoded is None else encoded, raising)


class Link:
    """One stream between a FakeEnvoy and the server, with a clock that the test moves."""

    def __init__(
        self,
        views: Views,
        envoy: FakeEnvoy,
        differences: Differences | None = None,
        *,
        one_by_one: bool = False,
    ) -> None:
        """With `one_by_one` the server speaks after each of the first requests, before it hears the next."""
        self.views = views
        self.envoy = envoy
        self.nacks: list[Nack] = []
        self.now = 1000.0
        self.bytes = 0
        self._differences = Differences() if differences is None else differences
        self._one_by_one = one_by_one
        self._waiting: deque[Response] = deque()
        """What the client has yet to hear."""
        self.connect()

    def connect(self) -> None:
        """Begin a new stream, as after a disconnection."""
        self.connection = Connection(
            delta=self.envoy.delta,
            differences=self._differences,
            ack_timeout_s=ACK_TIMEOUT_S,
            max_names=1_000_000,
            on_nack=self.nacks.append,
        )
        self.connection.proxy = requests.parse_node(self.envoy.node)
        self.publish(self.views)
        self._waiting.clear()
        for request in self.envoy.connect():
            self.hear(request)
            while self._one_by_one and (response := self.next()) is not None:
                self._waiting.append(response)

    def publish(self, views: Views) -> None:
        """Serve another snapshot."""
        self.views = views
        assert self.connection.proxy is not None
        view = views.snapshot.view(self.connection.proxy)
        self.connection.view = view if self.connection.is_delta else whole(view)

    def hear(self, request: requests.Request) -> None:
        """Pass a request to the server."""
        kind = XdsType(request.type_url)
        self.connection.receive(requests.parse(kind, request, 10_000, 1_000_000))

    def next(self) -> Response | None:
        """Take the server's next response; None when it has nothing to say."""
        found = self.connection.next(self.views, self.now)
        if found is None:
            return None
        data = found[1].data
        self.bytes += len(data)
        if self.envoy.delta:
            return discovery.DeltaDiscoveryResponse.FromString(data)
        return discovery.DiscoveryResponse.FromString(data)

    def settle(
        self,
        after_each: Callable[[], None] = lambda: None,
        *,
        burst: bool = False,
        limit: int = 500,
    ) -> int:
        """Pass messages until both are quiet; return how many responses that took.

        In a burst the server says all it has to say before the client hears any of it, and speaks
        again after every single request: the worst order that a network allows.
        """
        waiting = self._waiting
        for count in range(limit):
            while (burst or not waiting) and (response := self.next()) is not None:
                waiting.append(response)
            if not waiting:
                return count
            for request in self.envoy.receive(waiting.popleft()):
                self.hear(request)
                while burst and (response := self.next()) is not None:
                    waiting.append(response)
            after_each()
        raise AssertionError(f"no end after {limit} responses: {self.envoy.responses[-6:]}")
