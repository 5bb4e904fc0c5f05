"""What each file holds: its resources, the last good version of those that broke, and the findings."""

from collections.abc import Iterable, Iterator

import msgspec

from rhumb.model.codec import Document
from rhumb.model.finding import Finding, Level
from rhumb.model.resource import Key, Resource


class Delta(msgspec.Struct, frozen=True):
    """What differs for the reader of all files."""

    upserts: tuple[Resource, ...] = ()
    removed: tuple[Key, ...] = ()


class _File(msgspec.Struct):
    resources: dict[Key, Resource]
    findings: tuple[Finding, ...]


class Held:
    """Files by path; where two files hold one key, the first path in order wins."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}
        self._owners: dict[Key, list[str]] = {}
        self._contested: set[Key] = set()

    def update(self, path: str, documents: Iterable[Document]) -> Delta:
        """Take the new content of a file.

        Text that breaks off keeps all that the file held; an object with errors keeps its own last
        good version, if the file had one.
        """
        before = self._files.get(path, _File({}, ()))
        fresh: dict[Key, Resource] = {}
        findings: list[Finding] = []
        broken = False
        for document in documents:
            findings += document.findings
            broken = broken or document.broken
            key = document.key
            if key is None:
                continue
            if key in fresh:
                findings.append(_twice(key, document, fresh[key]))
            elif document.resource is not None:
                fresh[key] = document.resource
            elif key in before.resources:
                fresh[key] = before.resources[key]
        after = _File(before.resources if broken else fresh, tuple(findings))
        return self._replace(path, before, after)

    def remove(self, path: str) -> Delta:
        """Forget a file and all that it held."""
        before = self._files.get(path)
        return Delta() if before is None else self._replace(path, before, None)

    def has_resources(self, path: str) -> bool:
        """Tell whether something would be lost with the file."""
        return path in self._files and bool(self._files[path].resources)

    def report(self, path: str, finding: Finding) -> None:
        """Say of a file that it cannot be read; what it held stays."""
        held = self._files.get(path)
        self._files[path] = _File({} if held is None else held.resources, (finding,))

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong in all files, also between them."""
        for file in self._files.values():
            yield from file.findings
        for key in self._contested:
            winner, *losers = self._owners[key]
            for loser in losers:
                yield Finding(
                    level=Level.ERROR,
                    key=key,
                    location=self._files[loser].resources[key].location,
                    message=f"is defined in {self._files[winner].resources[key].location} already, which is used",
                    fix="remove one of them",
                )

    def _replace(self, path: str, before: _File, after: _File | None) -> Delta:
        resources = {} if after is None else after.resources
        if after is None:
            del self._files[path]
        else:
            self._files[path] = after
        for key in before.resources.keys() - resources.keys():
            self._owners[key].remove(path)
            if not self._owners[key]:
                del self._owners[key]
        for key in resources.keys() - before.resources.keys():
            self._owners[key] = sorted((*self._owners.get(key, ()), path))
        upserts, removed = [], []
        for key in dict.fromkeys((*before.resources, *resources)):
            owners = self._owners.get(key, ())
            (self._contested.add if len(owners) > 1 else self._contested.discard)(key)
            if not owners:
                removed.append(key)
            else:
                upserts.append(self._files[owners[0]].resources[key])
        return Delta(tuple(upserts), tuple(removed))


def _twice(key: Key, document: Document, first: Resource) -> Finding:
    return Finding(
        level=Level.ERROR,
        key=key,
        location=document.location,
        message=f"is defined in {first.location} already, which is used",
        fix="remove one of them",
    )
