import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from rhumb.base.errors import RhumbError
from rhumb.model.kinds.mesh_config import MeshConfig
from rhumb.model.kinds.service_entry import ServiceEntry
from rhumb.model.resource import Changes, Key, Resource
from rhumb.sources.files import FileSource
from rhumb.sources.store import ConfigStore

ENTRY = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}}}
spec:
  hosts: [{host}]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: DNS
"""


def entry(name: str, host: str = "a.example.com") -> str:
    return ENTRY.format(name=name, host=host)


def key(name: str) -> Key:
    return Key("networking.istio.io", "ServiceEntry", "default", name)


def host(store: ConfigStore, name: str) -> str:
    resource: Resource = store.resources[key(name)]
    assert isinstance(resource.spec, ServiceEntry)
    return resource.spec.hosts[0]


def replace(path: Path, text: str) -> None:
    """Write as editors do: beside it, then renamed over it."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text)
    beside.replace(path)


def test_a_directory_is_read_with_its_subdirectories_and_without_editors_leftovers(
    tmp_path: Path,
) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "one.yaml").write_text(entry("one"))
    (tmp_path / "deep" / "er" / "two.yml").write_text(entry("two"))
    for name in (".one.yaml.swp", "one.yaml~", ".#one.yaml", "4913", "#one.yaml#", "notes.txt"):
        (tmp_path / name).write_text(entry("leftover"))
    store = ConfigStore()
    changes = FileSource(store, [tmp_path]).load()
    assert changes.added == {key("one"), key("two")} == set(store.resources)


def test_a_missing_path_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(RhumbError, match="nowhere"):
        FileSource(ConfigStore(), [tmp_path / "nowhere"]).load()


def test_a_key_in_two_files_is_taken_from_the_first_and_reported(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(entry("one", "first.example.com"))
    (tmp_path / "b.yaml").write_text(entry("one", "second.example.com"))
    store = ConfigStore()
    source = FileSource(store, [tmp_path])
    source.load()
    assert host(store, "one") == "first.example.com"
    (finding,) = store.findings
    assert finding.location.file == str(tmp_path / "b.yaml")
    assert "a.yaml:1" in finding.message
    (tmp_path / "a.yaml").unlink()
    source.load()
    assert host(store, "one") == "second.example.com"
    assert store.findings == ()


def test_a_file_that_is_no_yaml_keeps_all_it_had(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(entry("one") + "---\n" + entry("two"))
    store = ConfigStore()
    source = FileSource(store, [tmp_path])
    source.load()
    replace(file, entry("one", "new.example.com") + "---\n  x: [")
    assert not source.load()
    assert set(store.resources) == {key("one"), key("two")}
    assert host(store, "one") == "a.example.com"
    assert [f.location.line for f in store.findings] == [10]
    replace(file, entry("one", "new.example.com"))
    changes = source.load()
    assert changes.changed == {key("one")}
    assert changes.removed == {key("two")}
    assert store.findings == ()


def test_a_resource_that_is_not_valid_keeps_its_own_last_good_version(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(entry("one") + "---\n" + entry("two"))
    store = ConfigStore()
    source = FileSource(store, [tmp_path])
    source.load()
    replace(file, entry("one", "new.example.com") + "---\n" + entry("two").replace("hosts", "host"))
    assert source.load().keys == {key("one")}
    assert host(store, "one") == "new.example.com"
    assert host(store, "two") == "a.example.com"
    assert {f.key for f in store.findings} == {key("two")}
    replace(file, entry("one", "new.example.com"))
    assert source.load().removed == {key("two")}
    assert store.findings == ()


def test_the_mesh_config_file_needs_no_kind(tmp_path: Path) -> None:
    file = tmp_path / "mesh.yaml"
    file.write_text("meshConfig:\n  accessLogFile: /dev/stdout\n")
    store = ConfigStore()
    FileSource(store, [], mesh_config=file, root_namespace="root").load()
    ((mesh_key, resource),) = store.resources.items()
    assert (mesh_key.kind, mesh_key.namespace) == ("MeshConfig", "root")
    assert isinstance(resource.spec, MeshConfig)
    assert resource.spec.access_log_file == "/dev/stdout"


class Watched:
    """A source that is followed, and the changes it gave."""

    def __init__(self, store: ConfigStore) -> None:
        self.store = store
        self._news = asyncio.Event()
        store.subscribe(self._take)

    def _take(self, _changes: Changes) -> None:
        self._news.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                self._news.clear()
                await self._news.wait()


@contextlib.asynccontextmanager
async def followed(*paths: Path) -> AsyncIterator[Watched]:
    store = ConfigStore()
    source = FileSource(store, paths)
    source.load()
    watched = Watched(store)
    task = asyncio.get_running_loop().create_task(source.watch())
    try:
        yield watched
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def test_changes_are_followed_in_files_that_come_change_and_go(tmp_path: Path) -> None:
    async def story() -> None:
        first = tmp_path / "first.yaml"
        first.write_text(entry("first"))
        async with followed(tmp_path) as seen:
            store = seen.store
            replace(first, entry("first", "new.example.com"))
            await seen.until(lambda: host(store, "first") == "new.example.com")
            later = tmp_path / "later" / "deep"
            later.mkdir(parents=True)
            (later / "second.yaml").write_text(entry("second"))
            await seen.until(lambda: key("second") in store.resources)
            (later / "second.yaml").write_text(entry("second", "new.example.com"))
            await seen.until(lambda: host(store, "second") == "new.example.com")
            first.unlink()
            await seen.until(lambda: key("first") not in store.resources)

    asyncio.run(story())


def test_a_mounted_config_map_is_followed_through_its_links(tmp_path: Path) -> None:
    def publish(version: str, text: str) -> None:
        (tmp_path / version).mkdir()
        (tmp_path / version / "mesh.yaml").write_text(text)
        (tmp_path / "..data_tmp").symlink_to(version)
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")

    async def story() -> None:
        publish("..1", entry("one"))
        (tmp_path / "mesh.yaml").symlink_to("..data/mesh.yaml")
        async with followed(tmp_path) as seen:
            assert set(seen.store.resources) == {key("one")}
            publish("..2", entry("one", "new.example.com"))
            await seen.until(lambda: host(seen.store, "one") == "new.example.com")

    asyncio.run(story())


def test_a_single_file_is_followed_through_renames_of_its_neighbours(tmp_path: Path) -> None:
    async def story() -> None:
        file = tmp_path / "only.conf"
        file.write_text(entry("one"))
        async with followed(file) as seen:
            (tmp_path / "other.yaml").write_text(entry("other"))
            replace(file, entry("one", "new.example.com"))
            await seen.until(lambda: host(seen.store, "one") == "new.example.com")
            assert set(seen.store.resources) == {key("one")}

    asyncio.run(story())


def test_a_file_that_is_empty_for_a_moment_loses_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        file = tmp_path / "a.yaml"
        file.write_text(entry("one"))
        async with followed(tmp_path) as seen:
            removed: list[Key] = []
            seen.store.subscribe(lambda changes: removed.extend(changes.removed))
            descriptor = os.open(file, os.O_WRONLY | os.O_TRUNC)
            marker = tmp_path / "marker.yaml"
            marker.write_text(entry("marker"))
            await seen.until(lambda: key("marker") in seen.store.resources)
            os.write(descriptor, entry("one", "new.example.com").encode())
            os.close(descriptor)
            await seen.until(lambda: host(seen.store, "one") == "new.example.com")
            assert removed == []

    asyncio.run(story())


def refused(path: object, **_: object) -> None:
    raise PermissionError(13, "Permission denied", str(path))


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("pathlib.Path.stat", ["cannot be read: Permission denied"]),
        ("rhumb.sources.scan.os.scandir", []),  # its files can be
    ],
)
def test_a_directory_that_may_not_be_read_keeps_all_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, told: list[str]
) -> None:
    async def story() -> None:
        file = tmp_path / "a.yaml"
        file.write_text(entry("one"))
        store = ConfigStore()
        source = FileSource(store, [tmp_path])
        source.load()
        with monkeypatch.context() as patch:
            patch.setattr(what, refused)
            await source._refresh(())
            assert set(store.resources) == {key("one")}
            found = [(finding.location.file, finding.message) for finding in store.findings]
            assert found == [(str(file), message) for message in told]
        await source._refresh(())
        assert store.findings == ()
        file.unlink()
        await source._refresh(())
        assert set(store.resources) == set()

    asyncio.run(story())


def test_a_directory_that_may_not_be_read_at_the_start_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rhumb.sources.files.os.scandir", refused)
    with pytest.raises(RhumbError, match=f"{tmp_path} cannot be read: Permission denied"):
        FileSource(ConfigStore(), [tmp_path]).load()
