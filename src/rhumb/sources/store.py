"""The config store: all resources of all sources, one of each key, and what is wrong with them."""

import logging
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import msgspec

from rhumb.model.finding import Finding, Level
from rhumb.model.resource import Changes, Key, Resource, ResourceSet

_log = logging.getLogger(__name__)

REGISTERED = "registered"
"""The source of objects that programs put: workloads that registered themselves."""

Subscriber = Callable[[Changes], None]


class ConfigStore:
    """Merges sources; where two know one key, the source that came first wins.

    Not safe for threads: everything happens on the event loop.
    """

    def __init__(self) -> None:
        self._sources: dict[str, dict[Key, Resource]] = {}
        self._findings: dict[str, tuple[Finding, ...]] = {}
        self._statuses: dict[Key, Mapping[str, object]] = {}
        self._current = ResourceSet()
        self._contested: set[Key] = set()
        self._subscribers: list[Subscriber] = []
        self._readers: list[Callable[[tuple[Finding, ...]], None]] = []

    @property
    def resources(self) -> ResourceSet:
        """Return the resources of this moment; the set never changes, a later call returns the next."""
        return self._current

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return what is wrong now, by file and line."""
        found = [f for findings in self._findings.values() for f in findings]
        found += [f for key in self._contested for f in self._losers(key)]
        return tuple(
            sorted(found, key=lambda f: (f.location.file, f.location.line, f.field, f.message))
        )

    def apply(
        self,
        source: str,
        upserts: Iterable[Resource] = (),
        removed: Iterable[Key] = (),
        findings: Iterable[Finding] | None = None,
    ) -> Changes:
        """Take what a source has changed, and tell the subscribers when that makes a difference.

        `findings`, when given, replace all earlier ones of that source.
        """
        held = self._sources.setdefault(source, {})
        keys: dict[Key, None] = {}
        for key in removed:
            held.pop(key, None)
            keys[key] = None
        for resource in upserts:
            held[resource.key] = resource
            keys[resource.key] = None
        if findings is not None:
            before = frozenset(self._findings.get(source, ()))
            self._findings[source] = tuple(findings)
            fresh = tuple(f for f in self._findings[source] if f not in before)
            for reader in self._readers if fresh else ():
                reader(fresh)
        return self._settle(keys)

    def put(self, resource: Resource, *, source: str = REGISTERED) -> Changes:
        """Add or replace one resource."""
        return self.apply(source, (resource,))

    def remove(self, key: Key, *, source: str = REGISTERED) -> Changes:
        """Remove one resource, and the status that was set for it."""
        self._statuses.pop(key, None)
        return self.apply(source, removed=(key,))

    def set_status(self, key: Key, status: Mapping[str, object] | None) -> Changes:
        """Lay a status over that of the resource, now and for its later versions; None takes it away."""
        if status is None:
            self._statuses.pop(key, None)
        else:
            self._statuses[key] = MappingProxyType(dict(status))
        return self._settle((key,))

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call back after each change, with the new set in place; returns what ends the subscription."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def subscribe_findings(self, reader: Callable[[tuple[Finding, ...]], None]) -> None:
        """Call back with findings when they appear."""
        self._readers.append(reader)

    def _settle(self, keys: Iterable[Key]) -> Changes:
        upserts, gone = [], []
        for key in keys:
            holders = [held[key] for held in self._sources.values() if key in held]
            (self._contested.add if len(holders) > 1 else self._contested.discard)(key)
            if not holders:
                gone.append(key)
            else:
                upserts.append(self._with_status(holders[0]))
        self._current, changes = self._current.apply(upserts, gone)
        if changes:
            self._tell(changes)
        return changes

    def _with_status(self, resource: Resource) -> Resource:
        status = self._statuses.get(resource.key)
        return resource if status is None else msgspec.structs.replace(resource, status=status)

    def _losers(self, key: Key) -> list[Finding]:
        winner, *losers = [held[key] for held in self._sources.values() if key in held]
        return [
            Finding(
                level=Level.WARNING,
                key=key,
                location=loser.location,
                message=f"is defined by another source too ({winner.location}), which is used",
                fix="remove one of them",
            )
            for loser in losers
        ]

    def _tell(self, changes: Changes) -> None:
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(changes)
            except Exception:  # noqa: BLE001 - one that fails must not keep the others from the news
                _log.exception("a subscriber of the config store failed")
