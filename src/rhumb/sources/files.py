"""Files as a source: a tree of YAML, read at start and again whenever a file changes."""

import asyncio
import functools
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path

from rhumb.base.errors import RhumbError
from rhumb.base.tasks import together
from rhumb.model.codec import Document
from rhumb.model.finding import Finding, Level
from rhumb.model.resource import Changes, Key, Location, Resource
from rhumb.model.yaml_tree import MAX_BYTES
from rhumb.sources.held import Delta, Held
from rhumb.sources.scan import Stamp, scan, stamp_of
from rhumb.sources.store import ConfigStore
from rhumb.sources.watch import changes
from rhumb.validation.load import Loader

_GRACE_S = 0.1
_READABLE = "let the user that runs the control plane read it"
_UNREAD = Stamp(0, 0, 0)
"""Of a file that could not be read: it is read as soon as that is possible."""


class FileSource:
    """Keeps a store in step with directories and files.

    A file that is no YAML keeps all its last good resources, a resource that is not valid keeps its
    own; findings say so until it is repaired.
    """

    def __init__(
        self,
        store: ConfigStore,
        paths: Sequence[Path],
        *,
        name: str = "files",
        namespace: str = "default",
        mesh_config: Path | None = None,
        root_namespace: str = "istio-system",
    ) -> None:
        self._store = store
        self._name = name
        self._namespace = namespace
        self._mesh_config = mesh_config
        self._root_namespace = root_namespace
        self._roots = [*paths, *([mesh_config] if mesh_config is not None else [])]
        self._whole = {root: str(root.resolve()) for root in self._roots}
        self._loader = Loader()
        self._held = Held()
        self._stamps: dict[str, Stamp] = {}
        self._turn = asyncio.Lock()

    def load(self) -> Changes:
        """Read everything, and return what that changed in the store.

        Raises RhumbError when a path does not exist, or is a directory that cannot be read.
        """
        for root in self._roots:
            _check(root)
        return self._publish(self._read(self._sweep()))

    async def watch(self) -> None:
        """Follow changes until cancelled; `load` comes first."""
        directories = [root.resolve() for root in self._roots if root.is_dir()]
        # Files are watched through their directory: an editor's rename makes a new file.
        parents = list(
            dict.fromkeys(root.resolve().parent for root in self._roots if not root.is_dir())
        )
        jobs = {}
        if directories:
            jobs["directories"] = functools.partial(self._follow, directories, recursive=True)
        if parents:
            jobs["files"] = functools.partial(self._follow, parents, recursive=False)
        await together(**jobs)

    async def _follow(self, watched: Sequence[Path], *, recursive: bool) -> None:
        async with aclosing(changes(watched, recursive=recursive)) as told:
            async for paths in told:
                await self._refresh(paths)

    async def _refresh(self, notified: Sequence[str]) -> None:
        """Read what was notified and whatever else has another stamp than before."""
        async with self._turn:
            delta, doubtful = await asyncio.to_thread(self._read_changed, notified)
            self._publish(delta)
            if doubtful:
                # Editors and `cp` make files vanish or empty for a moment; believe it the second time.
                await asyncio.sleep(_GRACE_S)
                self._publish(await asyncio.to_thread(self._read, doubtful))

    def _read_changed(self, notified: Sequence[str]) -> tuple[Delta, list[str]]:
        paths = dict.fromkeys((*self._sweep(), *filter(None, map(self._shown, notified))))
        doubtful = [path for path in paths if self._held.has_resources(path) and _is_empty(path)]
        return self._read(paths.keys() - doubtful), doubtful

    def _sweep(self) -> list[str]:
        found = scan(self._roots)
        gone = self._stamps.keys() - found.keys()
        return [*(path for path, stamp in found.items() if self._stamps.get(path) != stamp), *gone]

    def _shown(self, path: str) -> str | None:
        """Return a notified path as it is spelled in the store; None when it is not read."""
        for root, whole in self._whole.items():
            if path == whole:
                return str(root) if not root.is_dir() else None
            if path.startswith(whole + os.sep):
                shown = str(root) + path[len(whole) :]
                return shown if shown in self._stamps else None
        return None

    def _read(self, paths: Iterable[str]) -> Delta:
        current: dict[Key, Resource | None] = {}
        for path in sorted(paths):
            delta = self._read_one(path)
            current.update(dict.fromkeys(delta.removed))
            current.update({resource.key: resource for resource in delta.upserts})
        return Delta(
            tuple(resource for resource in current.values() if resource is not None),
            tuple(key for key, resource in current.items() if resource is None),
        )

    def _read_one(self, path: str) -> Delta:
        try:
            self._stamps[path] = Stamp.of(Path(path).stat())
            # One byte more than is allowed is enough for the reader to refuse it.
            with Path(path).open("rb") as file:
                text = file.read(MAX_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError):
            self._stamps.pop(path, None)
            return self._held.remove(path)
        except OSError as error:
            self._stamps[path] = _UNREAD
            finding = Finding(
                level=Level.ERROR,
                message=f"cannot be read: {error.strerror}",
                location=Location(path),
                fix=_READABLE,
            )
            self._held.report(path, finding)
            return Delta()
        return self._held.update(path, self._documents(path, text))

    def _documents(self, path: str, text: bytes) -> Iterator[Document]:
        if self._mesh_config is not None and path == str(self._mesh_config):
            return self._loader.load_mesh_config(text, path, namespace=self._root_namespace)
        return self._loader.load(text, path, namespace=self._namespace)

    def _publish(self, delta: Delta) -> Changes:
        return self._store.apply(self._name, delta.upserts, delta.removed, self._held.findings())


def _check(root: Path) -> None:
    try:
        if not root.exists():
            raise RhumbError(
                f"configuration path {root} does not exist", hint="create it, or correct the path"
            )
        if root.is_dir():
            os.scandir(root).close()
    except OSError as error:
        raise RhumbError(
            f"configuration path {root} cannot be read: {error.strerror}",
            hint=_READABLE,
        ) from error


def _is_empty(path: str) -> bool:
    stamp = stamp_of(path)
    return stamp is None or stamp.size == 0
