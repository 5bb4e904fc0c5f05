"""Patches that resources in force go without are told once, from however many tables and pieces."""

from hypothesis import given
from hypothesis import strategies as st

from rhumb.cache.encoded import Entry
from rhumb.cache.left_out import of_tables
from rhumb.cache.tables import Table, join
from rhumb.ir.origin import Origin
from rhumb.ir.patch import LeftOut
from rhumb.xds.types import XdsType

PATCHES = [
    Origin(kind="EnvoyFilter", namespace="a", name=f"p-{n}", field="spec", file="a.yaml", line=n)
    for n in range(4)
]
PIECES = st.lists(
    st.dictionaries(st.sampled_from("abc"), st.sets(st.integers(0, 3)), max_size=3),
    min_size=3,
    max_size=3,
)


def entry(name: str, patches: set[int]) -> Entry:
    return Entry(
        name, "1", b"", 0, left_out=tuple(LeftOut(PATCHES[n], "no") for n in sorted(patches))
    )


@given(PIECES)
def test_all_that_is_in_force_is_looked_at_and_nothing_else(
    contents: list[dict[str, set[int]]],
) -> None:
    pieces = [
        Table(XdsType.CDS, number, {name: entry(name, patches) for name, patches in each.items()})
        for number, each in enumerate(contents)
    ]
    first, second, third = pieces
    joined = (first, second, third), (second, third)
    tables = [third, *(join(XdsType.CDS, 3, each) for each in joined)]
    wanted = {left.origin for t in tables for e in t.entries.values() for left in e.left_out}
    found = of_tables(tables)
    assert [each.location.line for each in found] == sorted(patch.line for patch in wanted)
    assert all("left out of CDS" in each.message for each in found)
