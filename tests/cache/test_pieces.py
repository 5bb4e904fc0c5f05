"""Tables of several pieces behave as the one table that they stand for."""

from collections.abc import Mapping

from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryResponse
from hypothesis import given
from hypothesis import strategies as st

from rhumb.cache.encoded import Encoded, Entry
from rhumb.cache.tables import Table, join
from rhumb.cache.versions import Differences
from rhumb.xds.types import XdsType

ENCODED = Encoded(
    lambda value: (str(value).partition("=")[0], XdsType.CDS.value, str(value).encode())
)
Content = Mapping[str, int]
CONTENTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 2), max_size=6)
WORLDS = st.lists(CONTENTS, min_size=3, max_size=3)


def entries(content: Content) -> dict[str, Entry]:
    return {name: ENCODED[f"{name}={value}"] for name, value in content.items()}


class Made:
    """Pieces and what they come to, with numbers of their own."""

    def __init__(self) -> None:
        self.number = 0

    def table(self, content: Mapping[str, Entry]) -> Table:
        self.number += 1
        return Table(XdsType.CDS, self.number, content)

    def joined(self, pieces: list[Table]) -> Table:
        self.number += 1
        return join(XdsType.CDS, self.number, tuple(pieces))


@given(WORLDS)
def test_later_pieces_hide_what_earlier_ones_have(contents: list[Content]) -> None:
    made = Made()
    found = made.joined([made.table(entries(each)) for each in contents]).entries
    expected: dict[str, Entry] = {}
    for each in contents:
        expected |= entries(each)
    assert dict(found) == expected
    assert len(found) == len(expected)
    assert all((name in found) is (name in expected) for name in "abcdefg")


@given(WORLDS, WORLDS, st.integers(0, 7))
def test_differences_are_those_of_the_whole(
    one: list[Content], other: list[Content], kept: int
) -> None:
    made, memo = Made(), Differences()
    first = [made.table(entries(each)) for each in one]
    later = [
        piece if kept >> at & 1 else made.table(entries(each))
        for at, (piece, each) in enumerate(zip(first, other, strict=True))
    ]
    before, after = made.joined(first), made.joined(later)
    found = memo.between(before, after, None)
    whole = memo.between(made.table(dict(before.entries)), made.table(dict(after.entries)), None)
    assert {e.name: e.version for e in found.changed} == {e.name: e.version for e in whole.changed}
    assert {e.name for e in found.removed} == {e.name for e in whole.removed}
    assert len(found.changed) == len(whole.changed)
    sent = DeltaDiscoveryResponse.FromString(found.body).resources
    assert {each.name: each.version for each in sent} == {e.name: e.version for e in found.changed}
    first_one = memo.between(None, after, None)
    assert {e.name: e.version for e in first_one.changed} == {
        n: e.version for n, e in after.entries.items()
    }
    sent = DeltaDiscoveryResponse.FromString(first_one.body).resources
    assert len(first_one.changed) == len(sent) == len(after.entries)


def test_what_differs_in_a_piece_alone_is_sent_as_the_same_bytes() -> None:
    made, memo = Made(), Differences()
    public, later = made.table(entries({"a": 1, "b": 1})), made.table(entries({"a": 1, "b": 2}))
    own, others = made.table(entries({"a": 2})), made.table(entries({"b": 0}))
    alone = memo.between(public, later, None)
    assert memo.between(made.joined([public, own]), made.joined([later, own]), None) is alone
    hidden = memo.between(made.joined([public, others]), made.joined([later, others]), None)
    assert not hidden.changed
    assert not hidden.removed
