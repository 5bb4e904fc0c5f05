"""Tables are made once, shared while nothing changes, and never fall behind what changed."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from rhumb.cache.encoded import Encoded
from rhumb.cache.versions import Differences
from rhumb.cache.views import Failure, Views
from rhumb.model.proxy import Role
from rhumb.snapshot.affects import Impact
from rhumb.snapshot.snapshot import Scope, Snapshot
from rhumb.snapshot.view import View
from rhumb.translate.proxy import Part
from rhumb.xds.types import XdsType

CDS, EDS = XdsType.CDS, XdsType.EDS
A, B = View(role=Role.SIDECAR, namespace="a"), View(role=Role.SIDECAR, namespace="b")


class Plan(msgspec.Struct, frozen=True):
    name: str
    text: str


class Bench:
    """A world of texts; counts what is translated and encoded."""

    def __init__(self, **texts: str) -> None:
        self.translated: list[tuple[str, XdsType]] = []
        self.encoded: list[str] = []
        self.failures: list[Failure] = []
        self.memo = Encoded(self._encode)
        self.views = self.views_of(self.memo, **texts)

    def views_of(self, memo: Encoded, **texts: str) -> Views:
        return Views(self.world(**texts), self, memo, self.failures.append)

    @staticmethod
    def world(**texts: str) -> Snapshot:
        scope = Scope(services=(), egress=())
        return cast(
            "Snapshot",
            SimpleNamespace(
                texts=texts,
                common=lambda view: view,
                public=lambda view: view,
                scope=lambda _view: scope,
            ),
        )

    def parts(self, _world: object, view: View, kind: XdsType) -> tuple[Part, ...]:
        return (Part(view, kind, is_common=False),)

    def translate(
        self, world: object, part: Part, _hosts: object, _memory: object
    ) -> Iterable[tuple[str, Iterable[Plan]]]:
        self.translated.append((part.view.namespace, part.kind))
        for name, text in cast("Any", world).texts.items():
            if text == "no translation":
                raise ValueError(text)
            yield name, (Plan(name, text),)

    def _encode(self, plan: object) -> tuple[str, str, bytes]:
        assert isinstance(plan, Plan)
        self.encoded.append(plan.name)
        if plan.text == "no encoding":
            raise ValueError(plan.text)
        return plan.name, "type/x", plan.text.encode()


def about(kind: XdsType) -> Impact:
    return Impact(types=frozenset({kind}), wide=frozenset({kind}))


def test_a_table_is_made_once_and_bytes_are_shared_between_views() -> None:
    bench = Bench(x="1")
    first = bench.views.table(A, CDS)
    assert bench.views.table(A, CDS) is first
    assert bench.views.table(B, CDS).entries["x"] is first.entries["x"]
    assert bench.translated == [("a", CDS), ("b", CDS)]
    assert bench.encoded == ["x"]


def test_equal_content_is_the_same_table_and_the_rest_is_not_looked_at() -> None:
    bench = Bench(x="1")
    first = bench.views.table(A, CDS)
    same = bench.views.following(bench.world(x="1"), {A})
    assert same.table(A, CDS) is first
    bench.translated.clear()
    unaffected = same.following(bench.world(x="2"), {A}, about(EDS))
    assert unaffected.table(A, CDS) is first
    assert bench.translated == []


def test_what_nobody_looked_at_in_between_is_not_forgotten() -> None:
    bench = Bench(x="1")
    before = bench.views.table(A, CDS)
    unseen = bench.views.following(bench.world(x="2"), {A}, about(CDS))
    after = unseen.following(bench.world(x="2"), {A}, about(EDS))
    found = after.table(A, CDS)
    assert found is not before
    assert found.entries["x"].version != before.entries["x"].version


def test_views_that_nobody_has_any_more_are_dropped() -> None:
    bench = Bench(x="1")
    bench.views.table(A, CDS)
    bench.views.table(B, CDS)
    after = bench.views.following(bench.world(x="1"), {A}, Impact())
    after.table(A, CDS)
    assert bench.translated == [("a", CDS), ("b", CDS)]
    after.table(B, CDS)
    assert bench.translated[-1] == ("b", CDS)
    assert len(bench.translated) == 3


def test_a_defect_keeps_the_last_good_version_of_just_that_resource() -> None:
    bench = Bench(x="1", y="1")
    good = bench.views.table(A, CDS)
    after = bench.views.following(bench.world(x="no encoding", y="2"), {A})
    found = after.table(A, CDS)
    assert found.entries["x"] is good.entries["x"]
    assert found.entries["y"] is not good.entries["y"]
    assert [(f.resource, f.kept) for f in bench.failures] == [("x", True)]
    whole = after.following(bench.world(x="no translation"), {A})
    assert whole.table(A, CDS) is found
    assert bench.failures[-1].resource == ""
    fresh = Bench(x="no translation")
    assert fresh.views.table(A, CDS).entries == {}
    assert not fresh.failures[0].kept


def test_a_difference_is_computed_and_encoded_once_for_all_streams() -> None:
    bench = Bench(x="1", y="1", z="1")
    before = bench.views.table(A, CDS)
    after = bench.views.following(bench.world(x="2", y="1", w="1"), {A}).table(A, CDS)
    memo = Differences()
    found = memo.between(before, after, None)
    assert [e.name for e in found.changed] == ["x", "w"]
    assert [e.name for e in found.removed] == ["z"]
    assert memo.between(before, after, None) is found
    mine = memo.between(before, after, memo.intern(frozenset({"w", "z"})))
    assert [e.name for e in mine.changed] == ["w"]
    assert memo.between(before, after, memo.intern(frozenset({"z", "w"}))) is mine


def test_the_memos_are_bounded() -> None:
    texts = {f"n{i}": str(i) for i in range(50)}
    bench = Bench(**texts)
    bench.memo = Encoded(bench._encode, limit=10)
    table = bench.views_of(bench.memo, **texts).table(A, CDS)
    assert len(bench.memo) == 10
    assert len(table.entries) == 50
    memo = Differences(limit=1000, limit_bytes=200)
    for name in table.entries:
        memo.between(None, table, frozenset({name}))
        memo.whole(table, frozenset({name}))
        memo.intern(frozenset({name}))
    assert memo.size <= 200
