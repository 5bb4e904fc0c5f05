"""What Linux tells of directories."""

import threading
from pathlib import Path

import pytest

from rhumb.sources.inotify import Inotify, is_available

pytestmark = pytest.mark.skipif(not is_available(), reason="needs Linux")
STOP = threading.Event()


def paths(notify: Inotify) -> set[str]:
    seen = notify.watch(100, 2, 5000, STOP)
    assert isinstance(seen, set)
    return {Path(path).name for _, path in seen if path}


def test_a_rename_is_told_and_its_draft_is_not(tmp_path: Path) -> None:
    with Inotify([str(tmp_path)], recursive=True) as notify:
        (tmp_path / ".a.tmp").write_text("x")
        (tmp_path / ".a.tmp").rename(tmp_path / "a.yaml")
        assert paths(notify) == {"a.yaml"}


def test_directories_that_come_are_watched_too(tmp_path: Path) -> None:
    with Inotify([str(tmp_path)], recursive=True) as notify:
        (tmp_path / "new" / "deep").mkdir(parents=True)
        assert "new" in paths(notify)
        (tmp_path / "new" / "a.yaml").write_text("x")
        assert "a.yaml" in paths(notify)


def test_links_to_themselves_end(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path)
    with Inotify([str(tmp_path)], recursive=True) as notify:
        (tmp_path / "a.yaml").write_text("x")
        assert "a.yaml" in paths(notify)


def test_the_link_of_a_mounted_config_map_is_news(tmp_path: Path) -> None:
    with Inotify([str(tmp_path)], recursive=False) as notify:
        (tmp_path / "..data").symlink_to(tmp_path)
        assert paths(notify) == {"..data"}


def test_nothing_happens_and_leaving_ends_a_wait(tmp_path: Path) -> None:
    found: list[object] = []
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Inotify([str(tmp_path)], recursive=True) as notify:
        assert notify.watch(100, 2, 1, STOP) == "timeout"
        thread = threading.Thread(target=lambda: found.append(notify.watch(100, 2, 60_000, STOP)))
        thread.start()
    thread.join(10)
    assert found == ["stop"]
    assert notify.watch(100, 2, 60_000, STOP) == "stop"
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Inotify([str(tmp_path / "none")], recursive=True)
