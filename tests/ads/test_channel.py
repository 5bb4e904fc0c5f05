"""Conversations about rejections: what is tried again, what is not, what the client keeps."""

from collections.abc import Callable

import msgspec
import pytest
from envoy.config.cluster.v3 import cluster_pb2 as cluster
from envoy.service.discovery.v3 import discovery_pb2 as discovery

from rhumb.ads.channel import DeltaChannel, Response, SotwChannel, State, mentioned
from rhumb.cache.encoded import Entry
from rhumb.cache.tables import Table
from rhumb.cache.versions import Differences
from rhumb.xds import wire
from rhumb.xds.delta import DeltaWatch
from rhumb.xds.events import Answer, DeltaRequest, SotwRequest
from rhumb.xds.sotw import SotwWatch
from rhumb.xds.types import XdsType

CDS, RDS = XdsType.CDS, XdsType.RDS
NAMES = ("a", "b", "c", "d", "e", "f", "g", "h")


class Tables:
    """Makes tables from {name: version}."""

    def __init__(self, kind: XdsType = CDS) -> None:
        self.kind = kind
        self.count = 0

    def __call__(self, **versions: int) -> Table:
        self.count += 1
        entries = {}
        for name, version in versions.items():
            value = cluster.Cluster(name=name, alt_stat_name=str(version)).SerializeToString()
            packed = wire.any_value(self.kind.value, value)
            spelled = wire.delta_resource(name, f"v{version}", packed)
            entries[name] = Entry(name, f"v{version}", spelled, len(packed))
        return Table(self.kind, self.count, entries)


class Delta:
    """A client of one delta channel; `words` says why it refuses a set of resources, "" accepts."""

    def __init__(self, words: Callable[[dict[str, str]], str], kind: XdsType = CDS) -> None:
        self.channel = DeltaChannel(DeltaWatch(kind), Differences())
        self.words = words
        self.held: dict[str, str] = {}
        self.sent: list[list[str]] = []
        self._nonce = 0
        self.ask(DeltaRequest(type=kind, subscribe=("*",)))

    def ask(self, request: DeltaRequest) -> None:
        for action in self.channel.watch.receive(request):
            assert isinstance(action, Answer)
            self.channel.answer(action)

    def settle(self, target: Table) -> None:
        for _ in range(40):
            self._nonce += 1
            found = self.channel.next(target, may_remove=True, nonce=str(self._nonce), now=0.0)
            if found is None:
                return
            self.take(found)
        raise AssertionError(self.sent)

    def take(self, found: Response) -> None:
        response = discovery.DeltaDiscoveryResponse.FromString(found.data)
        fresh = {r.name: r.version for r in response.resources}
        self.sent.append(sorted(fresh))
        words = self.words(fresh)
        if words:
            self.channel.reject(words)
            return
        self.held |= fresh
        for name in response.removed_resources:
            self.held.pop(name, None)
        self.channel.accept()


def bad(
    name: str, version: str = "v1", words: str = "proto constraint failed"
) -> Callable[[dict[str, str]], str]:
    return lambda fresh: words if fresh.get(name) == version else ""


@pytest.mark.parametrize("name", NAMES)
def test_who_is_not_named_is_found_by_halves_and_all_others_arrive(name: str) -> None:
    make, client = Tables(), Delta(bad(name))
    target = make(**dict.fromkeys(NAMES, 1))
    client.settle(target)
    assert client.held.keys() == set(NAMES) - {name}
    assert client.channel.refused.keys() == {name}
    assert len(client.sent) <= 2 * 3 + 1
    assert client.channel.state(target) is State.NACK
    assert client.channel.is_settled(target), "nothing more will come until something changes"


def test_who_is_named_is_not_tried_twice() -> None:
    make = Tables()
    client = Delta(bad("c", words="Error adding/updating cluster(s) c: no good"))
    client.settle(make(**dict.fromkeys(NAMES, 1)))
    assert client.sent == [list(NAMES), [n for n in NAMES if n != "c"]]


def test_a_refused_resource_is_sent_again_only_when_it_has_changed() -> None:
    make, client = Tables(), Delta(bad("a"))
    client.settle(make(a=1, b=1))
    client.sent.clear()
    client.settle(make(a=1, b=2))
    assert client.sent == [["b"]]
    target = make(a=2, b=2)
    client.settle(target)
    assert client.sent == [["b"], ["a"]]
    assert client.held == {"a": "v2", "b": "v2"}
    assert client.channel.state(target) is State.SYNCED
    assert client.channel.error == ""


def test_two_that_are_bad_are_both_found() -> None:
    make = Tables()
    client = Delta(lambda fresh: "no" if {"b", "g"} & fresh.keys() else "")
    client.settle(make(**dict.fromkeys(NAMES, 1)))
    assert client.held.keys() == set(NAMES) - {"b", "g"}
    assert client.channel.refused.keys() == {"b", "g"}


def test_what_changes_while_halves_are_tried_is_sent_as_it_is_now() -> None:
    make, client = Tables(), Delta(bad("a"))
    target = make(**dict.fromkeys(NAMES, 1))
    found = client.channel.next(target, may_remove=True, nonce="n", now=0.0)
    assert found is not None
    client.take(found)
    client.settle(make(a=2, **dict.fromkeys(NAMES[1:], 1)))
    assert client.held == dict.fromkeys(NAMES[1:], "v1") | {"a": "v2"}
    assert not client.channel.refused


def test_the_rejection_of_a_resource_that_then_goes_leaves_nothing_behind() -> None:
    make, client = Tables(), Delta(bad("a"))
    client.settle(make(a=1, b=1))
    target = make(b=1)
    client.settle(target)
    assert not client.channel.refused


class Sotw:
    """A client that wants everything, each time in full; it applies what is good and names the rest."""

    def __init__(self, refuses: set[tuple[str, str]]) -> None:
        self.channel = SotwChannel(SotwWatch(CDS), Differences())
        self.refuses = refuses
        self.held: dict[str, str] = {}
        self.count = 0
        for action in self.channel.watch.receive(SotwRequest(type=CDS)):
            assert isinstance(action, Answer)
            self.channel.answer(action)

    def settle(self, target: Table) -> None:
        for _ in range(10):
            self.count += 1
            found = self.channel.next(target, may_remove=True, nonce=str(self.count), now=0.0)
            if found is None:
                return
            response = discovery.DiscoveryResponse.FromString(found.data)
            clusters = [cluster.Cluster.FromString(r.value) for r in response.resources]
            fresh = {c.name: f"v{c.alt_stat_name}" for c in clusters}
            refused = {n for n, v in fresh.items() if (n, v) in self.refuses}
            self.held = {
                n: self.held[n] if n in refused else v
                for n, v in fresh.items()
                if n not in refused or n in self.held
            }
            if refused:
                words = ", ".join(f"{n}: bad" for n in sorted(refused))
                self.channel.reject(f"Error adding/updating cluster(s) {words}")
            else:
                self.channel.accept()
        raise AssertionError(self.held)


def test_a_full_state_keeps_the_last_good_version_of_what_was_refused() -> None:
    make, client = Tables(), Sotw({("a", "v2")})
    client.settle(make(a=1, b=1))
    client.settle(make(a=2, b=2))
    assert client.held == {"a": "v1", "b": "v2"}
    client.settle(make(a=2, b=3))
    assert client.held == {"a": "v1", "b": "v3"}, "and does not lose it with the next change"
    assert client.channel.rejects == 1
    target = make(a=3, b=3)
    client.settle(target)
    assert client.held == {"a": "v3", "b": "v3"}
    assert client.channel.state(target) is State.SYNCED


def test_a_full_state_leaves_out_what_never_was_good() -> None:
    make, client = Tables(), Sotw({("a", "v1"), ("a", "v2")})
    client.settle(make(a=1, b=1))
    assert client.held == {"b": "v1"}
    client.settle(make(a=2, b=1))
    assert client.held == {"b": "v1"}
    assert client.channel.refused["a"].last_good is None


def test_names_are_found_in_an_error_as_whole_words() -> None:
    def entries(*names: str) -> tuple[Entry, ...]:
        return tuple(Entry(n, "v", b"", 0) for n in names)

    long, short = "outbound|80||a.default.svc.cluster.local", "outbound|80||a.default"
    found = mentioned(f"Error adding/updating cluster(s) {long}: bad", entries(long, short, "80"))
    assert [e.name for e in found] == [long]
    assert [
        e.name for e in mentioned("listener 0.0.0.0_80: bad.", entries("0.0.0.0_80", "_80"))
    ] == ["0.0.0.0_80"]
    assert mentioned("something else", entries("a", "b")) == ()
    assert [e.name for e in mentioned("see 9080.", entries("9080", "908"))] == ["9080"]


def patched(make: Tables, name: str, **versions: int) -> tuple[Table, Table]:
    """Return a table in which a resource is patched, and one in which it is not."""
    plain = make(**{**versions, name: 0})
    table = make(**versions)
    entries = dict(table.entries)
    entries[name] = msgspec.structs.replace(
        entries[name], without_patches=lambda: plain.entries[name]
    )
    return Table(make.kind, table.number, entries), plain


def test_a_client_that_has_nothing_gets_the_resource_without_the_patch_that_it_refuses() -> None:
    make, client = Tables(), Delta(bad("a"))
    target, _ = patched(make, "a", a=1, b=1)
    client.settle(target)
    assert client.held == {"a": "v0", "b": "v1"}
    assert client.channel.state(target) is State.NACK
    assert client.channel.refused.keys() == {"a"}
    client.sent.clear()
    client.settle(make(a=2, b=1))
    assert client.held["a"] == "v2"
    assert client.channel.refused == {}


def test_once_the_patch_is_gone_nothing_is_refused_any_more() -> None:
    make, client = Tables(), Delta(bad("a"))
    target, plain = patched(make, "a", a=1, b=1)
    client.settle(target)
    client.settle(plain)
    assert client.held == {"a": "v0", "b": "v1"}
    assert client.channel.state(plain) is State.SYNCED


def test_a_client_keeps_what_it_had_rather_than_lose_all_patches() -> None:
    make, client = Tables(), Delta(bad("a", "v2"))
    client.settle(make(a=1, b=1))
    target, _ = patched(make, "a", a=2, b=1)
    client.settle(target)
    assert client.held == {"a": "v1", "b": "v1"}
    assert client.channel.state(target) is State.NACK


def test_a_resource_that_is_bad_without_patches_too_is_tried_once_so() -> None:
    make = Tables()
    client = Delta(lambda fresh: "no" if "a" in fresh else "")
    target, _ = patched(make, "a", a=1, b=1)
    client.settle(target)
    assert client.held == {"b": "v1"}
    assert client.channel.refused.keys() == {"a"}
