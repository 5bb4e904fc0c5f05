"""What namespaces see is what exportTo says, however it was found."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from rhumb.model.service import Registry, Service
from rhumb.snapshot.seen import NOBODY, Seen, choose
from rhumb.snapshot.visible import exported

NAMESPACES = ("a", "b", "c")
VIEWERS = (NOBODY, *NAMESPACES, "d")
EXPORTS = st.sampled_from(((), ("*",), (".",), ("~",), ("b",), ("a", "c"), (".", "b"), (".", "*")))
SERVICES = st.builds(
    lambda host, namespace, export_to, registry, created: Service(
        hostname=host,
        namespace=namespace,
        name=host,
        ports=(),
        export_to=export_to,
        registry=registry,
        created=created,
    ),
    st.sampled_from(("one.x", "two.x", "three.y", "four.y")),
    st.sampled_from(NAMESPACES),
    EXPORTS,
    st.sampled_from((Registry.KUBERNETES, Registry.EXTERNAL)),
    st.sampled_from(("", "2020", "2021")),
)
MESHES = st.lists(SERVICES, max_size=8, unique_by=lambda s: (s.hostname, s.namespace))
Groups = Mapping[str, tuple[Service, ...]]


def by_host(services: list[Service]) -> Groups:
    return {s.hostname: tuple(o for o in services if o.hostname == s.hostname) for s in services}


def visible(groups: Groups, default: tuple[str, ...], viewer: str) -> Groups:
    found = {
        host: tuple(s for s in group if exported(s.export_to, default, s.namespace, viewer))
        for host, group in groups.items()
    }
    return {host: group for host, group in found.items() if group}


def check(seen: Seen, groups: Groups, default: tuple[str, ...]) -> None:
    for viewer in VIEWERS:
        expected = visible(groups, default, viewer)
        assert seen.groups(viewer) == expected
        chosen = tuple(choose(expected[host], viewer) for host in sorted(expected))
        assert seen.chosen(viewer) == chosen
        if chosen == seen.chosen(NOBODY):
            assert seen.chosen(viewer) is seen.chosen(NOBODY)


@given(MESHES, MESHES, EXPORTS.filter(bool))
def test_each_namespace_sees_what_is_exported_to_it(
    before: list[Service], after: list[Service], default: tuple[str, ...]
) -> None:
    old, new = by_host(before), by_host(after)
    seen = Seen(old, default)
    check(seen, old, default)
    check(seen.following(new, old.keys() | new.keys()), new, default)
    changed = {h for h in old.keys() | new.keys() if old.get(h) != new.get(h)}
    check(seen.following(new, changed), new, default)
