import pytest

from rhumb.model.codec import make
from rhumb.model.finding import Finding, Level
from rhumb.model.kinds.table import BY_NAME
from rhumb.model.kinds.workload_entry import WorkloadEntry
from rhumb.model.resource import Changes, Key, Location, Meta, Resource
from rhumb.sources.store import ConfigStore

INFO = BY_NAME[("networking.istio.io", "WorkloadEntry")]


def entry(name: str, address: str = "192.0.2.1", file: str = "") -> Resource:
    meta = Meta(name=name, namespace="shop")
    return make(INFO, meta, WorkloadEntry(address=address), location=Location(file, 1))


def key(name: str) -> Key:
    return Key(INFO.group, INFO.kind, "shop", name)


def address(store: ConfigStore, name: str) -> str:
    spec = store.resources[key(name)].spec
    assert isinstance(spec, WorkloadEntry)
    return spec.address


def test_the_source_that_came_first_wins_and_the_other_is_told() -> None:
    store = ConfigStore()
    store.apply("files", [entry("a", "192.0.2.1", "a.yaml")])
    assert not store.put(entry("a", "192.0.2.2", "elsewhere"))
    assert address(store, "a") == "192.0.2.1"
    (finding,) = store.findings
    assert "(a.yaml:1)" in finding.message
    changes = store.apply("files", removed=[key("a")])
    assert changes.changed == {key("a")}
    assert address(store, "a") == "192.0.2.2"
    assert store.findings == ()


def test_subscribers_hear_of_what_changed_and_of_nothing_else() -> None:
    store = ConfigStore()
    heard: list[Changes] = []
    end = store.subscribe(heard.append)
    store.put(entry("a"))
    store.put(entry("a"))
    store.put(entry("a", "192.0.2.9"))
    store.remove(key("a"))
    store.remove(key("a"))
    only, none = frozenset({key("a")}), frozenset[Key]()
    assert heard == [
        Changes(only, none, none),
        Changes(none, only, none),
        Changes(none, none, only),
    ]
    end()
    store.put(entry("b"))
    assert len(heard) == 3


def test_a_subscriber_that_fails_does_not_keep_the_news_from_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_changes: Changes) -> None:
        raise RuntimeError("broken")

    store = ConfigStore()
    heard: list[Changes] = []
    store.subscribe(fail)
    store.subscribe(heard.append)
    store.put(entry("a"))
    assert len(heard) == 1
    assert "subscriber" in caplog.text


def test_a_status_stays_over_later_versions_until_it_is_taken_away() -> None:
    store = ConfigStore()
    store.set_status(key("a"), {"healthy": False})
    store.put(entry("a"))
    assert store.resources[key("a")].status == {"healthy": False}
    store.put(entry("a", "192.0.2.9"))
    assert store.resources[key("a")].status == {"healthy": False}
    assert store.set_status(key("a"), {"healthy": True}).changed == {key("a")}
    assert not store.set_status(key("a"), {"healthy": True})
    assert store.set_status(key("a"), None).changed == {key("a")}
    assert store.resources[key("a")].status == {}


def test_findings_of_a_source_replace_its_earlier_ones() -> None:
    store = ConfigStore()
    late = Finding(level=Level.ERROR, message="late", location=Location("b.yaml", 1))
    soon = Finding(level=Level.ERROR, message="soon", location=Location("a.yaml", 9))
    store.apply("files", findings=[late, soon])
    assert [f.message for f in store.findings] == ["soon", "late"]
    store.apply("files", [entry("a")])
    assert len(store.findings) == 2
    store.apply("files", findings=[])
    assert not store.findings


def test_a_set_that_was_read_never_changes() -> None:
    store = ConfigStore()
    store.put(entry("a"))
    before = store.resources
    store.put(entry("b"))
    assert set(before) == {key("a")}
