"""Resources: one object that a user wrote, where it stands, and sets of them."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

import msgspec


class Key(msgspec.Struct, frozen=True, order=True):
    """What identifies an object: API group ("" for core), kind, namespace ("" if cluster-wide), name."""

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return (
            f"{self.kind} {self.namespace}/{self.name}"
            if self.namespace
            else f"{self.kind} {self.name}"
        )


class Location(msgspec.Struct, frozen=True):
    """A place in a file; `line` counts from 1, 0 is unknown."""

    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """The part of Kubernetes ObjectMeta that matters here."""

    name: str
    namespace: str = ""
    labels: Mapping[str, str] = MappingProxyType({})
    annotations: Mapping[str, str] = MappingProxyType({})
    created: str = ""
    """RFC 3339 creation time, "" when the source knows none; the oldest wins conflicts."""
    deleted: str = ""
    """RFC 3339 time from which the object is going away, "" while it stays."""
    owner: tuple[str, str] = ("", "")
    """Kind and name of the controlling object."""


class Resource(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One valid object. `spec` is a Struct of `rhumb.model.kinds`, never changed after decoding."""

    key: Key
    meta: Meta
    spec: object
    version: str = ""
    """API version as written, without the group ("v1", "v1beta1")."""
    location: Location = Location()
    lines: Mapping[str, int] = MappingProxyType({})
    """Line of each list item and block near the top, by path ("spec.http[0]"), for origins."""
    digest: bytes = b""
    """Hash of what the user wrote (spec and metadata, not its place): equal digests, equal meaning."""
    status: Mapping[str, object] = MappingProxyType({})

    def line_of(self, path: str) -> Location:
        """Return the place of a field, or of the closest known block around it."""
        while path:
            if path in self.lines:
                return Location(self.location.file, self.lines[path])
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.location

    @property
    def age_key(self) -> tuple[bool, str, str, str]:
        """Return Istio's tie breaker: oldest creation time, then name, then namespace."""
        return (not self.meta.created, self.meta.created, self.meta.name, self.meta.namespace)


class Changes(msgspec.Struct, frozen=True):
    """Keys that differ between two ResourceSets."""

    added: frozenset[Key] = frozenset()
    changed: frozenset[Key] = frozenset()
    removed: frozenset[Key] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    @property
    def keys(self) -> frozenset[Key]:
        """Return every key that differs."""
        return self.added | self.changed | self.removed

    def then(self, later: "Changes") -> "Changes":
        """Merge with what happened afterwards (add, then remove: nothing; remove, then add: changed)."""
        back = self.removed & later.added
        gone = self.added & later.removed
        added = (self.added - gone) | (later.added - back)
        removed = (self.removed - back) | (later.removed - gone)
        changed = (self.changed | later.changed | back) - added - removed
        return Changes(added, changed, removed)


class ResourceSet(Mapping[Key, Resource]):
    """An immutable set of resources by key; `apply` makes the next one."""

    __slots__ = ("_by_key",)

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        self._by_key: dict[Key, Resource] = {r.key: r for r in resources}

    def __getitem__(self, key: Key) -> Resource:
        return self._by_key[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._by_key)

    def __len__(self) -> int:
        return len(self._by_key)

    def of(self, group: str, kind: str) -> tuple[Resource, ...]:
        """Return the resources of one kind in Istio's order (oldest, name, namespace)."""
        found = [r for k, r in self._by_key.items() if k.kind == kind and k.group == group]
        return tuple(sorted(found, key=lambda r: r.age_key))

    def apply(
        self, upserts: Iterable[Resource], removed: Iterable[Key]
    ) -> tuple["ResourceSet", Changes]:
        """Return the next set and what differs; an upsert with an equal digest is no change."""
        following = dict(self._by_key)
        added, changed, gone = set(), set(), set()
        for key in removed:
            if following.pop(key, None) is not None:
                gone.add(key)
        for resource in upserts:
            before = self._by_key.get(resource.key)
            following[resource.key] = resource
            if resource.key in gone:
                gone.discard(resource.key)
            if before is None:
                added.add(resource.key)
            elif (
                not before.digest
                or before.digest != resource.digest
                or before.status != resource.status
            ):
                changed.add(resource.key)
        result = ResourceSet()
        result._by_key = following
        return result, Changes(frozenset(added), frozenset(changed), frozenset(gone))
