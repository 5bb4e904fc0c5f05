"""Workloads that speak for themselves: health from their agents, machines that register by WorkloadGroup.

Both become resources of the store and are kept in a directory, so that a restart of the control plane
neither forgets a machine nor sends traffic to a sick one, and several control planes know the same.
"""

import asyncio
import logging
import re
from collections.abc import Iterable
from contextlib import aclosing, suppress
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from rhumb.base.clock import Clock
from rhumb.base.errors import RhumbError
from rhumb.base.tasks import together
from rhumb.model.kinds.table import NETWORKING
from rhumb.model.kinds.workload_entry import WorkloadEntry
from rhumb.model.kinds.workload_group import WorkloadGroup
from rhumb.model.proxy import Proxy, Role
from rhumb.model.resource import Changes, Key, Meta, Resource
from rhumb.registry.workloads import HEALTH_CHECKED, REGISTERED_GROUP
from rhumb.sources.records import Record, Records
from rhumb.sources.store import ConfigStore
from rhumb.sources.watch import changes

_log = logging.getLogger(__name__)

GROUP = "AUTO_REGISTER_GROUP"
"""Node metadata: the WorkloadGroup that a machine joins."""
ENTRY = "WORKLOAD_ENTRY"
"""Node metadata: the WorkloadEntry that describes the workload already."""
GRACE = timedelta(seconds=10)
"""How long a registered machine may be away (Istio: PILOT_WORKLOAD_ENTRY_GRACE_PERIOD)."""
_SWEEP_S = 2.0


class Registration:
    """Keeps WorkloadEntries and their health in step with what agents say."""

    def __init__(self, store: ConfigStore, directory: Path, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._records = Records(directory)
        self._streams: dict[Key, int] = {}
        self._leaving: dict[Key, tuple[datetime, float]] = {}
        """`Record.left` of who has left, and when we saw it first, by our own clock.

        The clock of who wrote it may be another one, and while we were not there nobody could come back.
        """

    def load(self) -> None:
        """Read what is kept; the WorkloadGroups are in the store."""
        self._take_news()
        self._settle()

    def groups_changed(self, changes: Changes) -> None:
        """Take what differs in the store: entries follow their WorkloadGroup."""
        groups = {k for k in changes.keys if k.kind == "WorkloadGroup"}
        for key, record in self._records.by_key.items() if groups else ():
            if Key(NETWORKING, "WorkloadGroup", key.namespace, record.group) in groups:
                self._register(key, record)

    def connected(self, proxy: Proxy) -> None:
        """Take that a proxy or agent connected; a machine of a WorkloadGroup gets its entry.

        Raises RhumbError when it may not register.
        """
        key = self._key_of(proxy)
        if key is None:
            return
        group = _group_of(proxy)
        known = self._records.by_key.get(key)
        if group:
            self._check_group(proxy, group)
            _check_holder(key, known, group)
        self._streams[key] = self._streams.get(key, 0) + 1
        if known is None and not group:
            return
        if known is None:
            _log.info("workload joined", extra={"workload": _named(key), "group": group})
        self._register(key, self._records.change(key, lambda r: self._here(_met(r, proxy))))

    def disconnected(self, proxy: Proxy) -> None:
        """Take that a stream ended."""
        key = self._key_of(proxy)
        if key is None or key not in self._streams:
            return
        self._streams[key] -= 1
        if self._streams[key] > 0:
            return
        del self._streams[key]
        if key in self._records.by_key:
            self._leaves(key, frozenset({self._records.me}))

    def health(self, proxy: Proxy, *, healthy: bool, reason: str) -> None:
        """Take what an agent says of its workload; not of another account's."""
        key = self._key_of(proxy)
        if key is None or not self._is_own(key, proxy):
            return
        known = self._records.look(key)  # it may have said something else elsewhere
        if known is not None and known.healthy == healthy and known.reason == reason:
            return
        if healthy:
            _log.info("workload is healthy", extra={"workload": _named(key)})
        else:
            extra = {"workload": _named(key), "reason": reason}
            _log.warning("workload is unhealthy", extra=extra)

        def told(record: Record) -> Record:
            record = msgspec.structs.replace(record, healthy=healthy, reason=reason)
            return self._here(record) if key in self._streams else record

        self._tell(key, self._records.change(key, told))

    async def run(self) -> None:
        """Follow what other control planes hear, and remove machines that stay away, until cancelled."""
        await together(sweep=self._sweep_on, news=self._follow)

    def sweep(self) -> None:
        """Remove registered machines whose grace has passed, and records of entries that are gone."""
        self._stay()
        self._settle()
        for key, record in list(self._records.by_key.items()):
            if not self._is_over(record) or not self._records.remove(key, self._is_over):
                continue
            _log.info("workload left", extra={"workload": _named(key)})
            self._forget(key)

    def close(self) -> None:
        """Let other control planes see that this one has ended."""
        self._records.close()

    async def _sweep_on(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            self.sweep()

    async def _follow(self) -> None:
        with suppress(OSError):  # reported when there is something to keep
            self._records.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        async with aclosing(changes([self._records.directory], recursive=False)) as told:
            async for paths in told:
                self._take_news(paths or None)

    def _take_news(self, paths: Iterable[str] | None = None) -> None:
        for key, record in self._records.news(paths):
            if record is None:
                self._forget(key)
            else:
                self._saw_leave(record)
                self._register(key, record)
                self._tell(key, record)

    def _stay(self) -> None:
        """See to it that all know who is connected here, even if the disk or another control plane lost it."""
        self._records.keep()
        for key in self._streams:
            record = self._records.by_key.get(key)
            if record is not None and self._records.me not in record.at:
                self._register(key, self._records.change(key, self._here))

    def _settle(self) -> None:
        """See to workloads whose control plane ended without a word: they have left, unless they come back."""
        absent = [r for r in self._records.by_key.values() if r.key not in self._streams]
        if not any(r.at or r.left is None for r in absent):
            return
        try:
            running = self._records.running() - {self._records.me}
        except OSError as error:
            # Nobody is taken for gone because a disk or a limit is in the way.
            _log.error("cannot tell which control planes run", extra={"error": error})
            return
        for record in absent:
            gone = frozenset(record.at) - running
            if gone or not (record.at or record.left):
                self._leaves(record.key, gone)

    def _leaves(self, key: Key, planes: frozenset[str]) -> None:
        def left(record: Record) -> Record:
            at = tuple(p for p in record.at if p not in planes)
            since = None if at else record.left or self._clock.now()
            return msgspec.structs.replace(record, at=at, left=since)

        self._saw_leave(self._records.change(key, left))

    def _here(self, record: Record) -> Record:
        at = tuple(sorted({*record.at, self._records.me}))
        return msgspec.structs.replace(record, at=at, left=None)

    def _is_over(self, record: Record) -> bool:
        if record.at or record.key in self._streams:
            return False
        if not record.group:
            return self._store.resources.get(record.key) is None
        since = self._saw_leave(record)
        return since is not None and self._clock.monotonic() - since > GRACE.total_seconds()

    def _saw_leave(self, record: Record) -> float | None:
        """Note when we see first that a workload has left, and return it; None while it is connected."""
        if record.left is None:
            return None
        left, since = self._leaving.get(record.key, (None, 0.0))
        if left != record.left:
            since = self._clock.monotonic()
            self._leaving[record.key] = record.left, since
        return since

    def _forget(self, key: Key) -> None:
        self._leaving.pop(key, None)
        self._store.remove(key)

    def _check_group(self, proxy: Proxy, name: str) -> None:
        group = self._group(proxy.namespace, name)
        if group is None:
            raise RhumbError(
                f"there is no WorkloadGroup {proxy.namespace}/{name}",
                hint=f"create it, or correct {GROUP} of {proxy.id}",
            )
        template = _spec(group).template or WorkloadEntry()
        account = template.service_account or "default"
        if proxy.service_account != account:
            raise RhumbError(
                f"WorkloadGroup {proxy.namespace}/{name} is for service account {account}, "
                f'not "{proxy.service_account}"',
                hint="let the machine join with a token of that account",
            )

    def _is_own(self, key: Key, proxy: Proxy) -> bool:
        found = self._store.resources.get(key)
        if found is None or not isinstance(found.spec, WorkloadEntry):
            return True  # it may come later; its status waits for it
        account = found.spec.service_account
        if account in ("", proxy.service_account):
            return True
        _log.warning(
            "health report refused: the workload has another service account",
            extra={"workload": _named(key), "proxy": proxy.id, "account": account},
        )
        return False

    def _group(self, namespace: str, name: str) -> Resource | None:
        return self._store.resources.get(Key(NETWORKING, "WorkloadGroup", namespace, name))

    def _register(self, key: Key, record: Record) -> None:
        if not record.group:
            return
        group = self._group(key.namespace, record.group)
        if group is None:
            # Its file may be broken at the moment: an entry that is there stays.
            extra = {"group": f"{key.namespace}/{record.group}", "workload": _named(key)}
            _log.error("the WorkloadGroup of a registered machine is gone", extra=extra)
            return
        self._store.put(_entry(key, record, group))

    def _tell(self, key: Key, record: Record) -> None:
        if record.healthy is not None:
            self._store.set_status(key, _status(record))

    def _key_of(self, proxy: Proxy) -> Key | None:
        group = _group_of(proxy)
        if group and proxy.role in (Role.SIDECAR, Role.AGENT):
            address = re.sub(r"[^a-zA-Z0-9]", "-", proxy.addresses[0])
            network = f"-{proxy.network}" if proxy.network else ""
            return _key(proxy.namespace, f"{group}-{address}{network}"[:253])
        entry = str(proxy.metadata.get(ENTRY) or "")
        return _key(proxy.namespace, entry) if entry else None


def _key(namespace: str, name: str) -> Key:
    return Key(NETWORKING, "WorkloadEntry", namespace, name)


def _named(key: Key) -> str:
    return f"{key.name}.{key.namespace}"


def _group_of(proxy: Proxy) -> str:
    return str(proxy.metadata.get(GROUP) or "")


def _check_holder(key: Key, known: Record | None, group: str) -> None:
    if known is not None and known.group not in ("", group):
        raise RhumbError(
            f"{_named(key)} is a machine of WorkloadGroup {key.namespace}/{known.group}, "
            f"not of {key.namespace}/{group}",
            hint="give the groups names of which none is the beginning of another",
        )


def _met(record: Record, proxy: Proxy) -> Record:
    """Return the record with what a machine of a WorkloadGroup says of itself."""
    group = _group_of(proxy)
    if not group:
        return record
    return msgspec.structs.replace(
        record,
        group=group,
        address=proxy.addresses[0],
        network=proxy.network,
        locality=str(proxy.locality),
        labels=dict(proxy.labels),
    )


def _spec(group: Resource) -> WorkloadGroup:
    assert isinstance(group.spec, WorkloadGroup)
    return group.spec


def _entry(key: Key, record: Record, group: Resource) -> Resource:
    """Fill the template: what the machine says wins over the group's metadata, that over the template."""
    spec = _spec(group)
    template = spec.template or WorkloadEntry()
    said = spec.metadata
    labels = {**template.labels, **(said.labels if said else {}), **record.labels}
    entry = msgspec.structs.replace(
        template,
        address=record.address,
        network=record.network or template.network,
        locality=record.locality or template.locality,
        labels=labels,
        service_account=template.service_account or "default",
    )
    annotations = {**(said.annotations if said else {}), REGISTERED_GROUP: record.group}
    if spec.probe is not None:
        annotations[HEALTH_CHECKED] = "true"  # no traffic before the first good report
    mine = (record.address, record.network, record.locality, sorted(record.labels.items()))
    return Resource(
        key=key,
        meta=Meta(name=key.name, namespace=key.namespace, labels=labels, annotations=annotations),
        spec=entry,
        version="v1",
        location=group.location,
        digest=msgspec.json.encode(mine) + group.digest,
    )


def _status(record: Record) -> dict[str, object]:
    condition = {"type": "Healthy", "status": "True" if record.healthy else "False"}
    if record.reason:
        condition["message"] = record.reason
    return {"conditions": [condition]}
