"""Workloads that speak for themselves: health from their agents, machines that register by WorkloadGroup.

Both become resources of the store and are kept in a directory, so that a restart of the control plane
neither forgets a machine nor sends traffic to a sick one.
"""

import asyncio
import logging
import re
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from rhumb.base.clock import Clock
from rhumb.base.errors import RhumbError
from rhumb.base.files import write_atomic
from rhumb.model.kinds.table import NETWORKING
from rhumb.model.kinds.workload_entry import WorkloadEntry
from rhumb.model.kinds.workload_group import WorkloadGroup
from rhumb.model.proxy import Proxy, Role
from rhumb.model.resource import Changes, Key, Meta, Resource
from rhumb.registry.workloads import HEALTH_CHECKED, REGISTERED_GROUP
from rhumb.sources.store import ConfigStore

_log = logging.getLogger(__name__)

GROUP = "AUTO_REGISTER_GROUP"
"""Node metadata: the WorkloadGroup that a machine joins."""
ENTRY = "WORKLOAD_ENTRY"
"""Node metadata: the WorkloadEntry that describes the workload already."""
GRACE = timedelta(seconds=10)
"""How long a registered machine may be away (Istio: PILOT_WORKLOAD_ENTRY_GRACE_PERIOD)."""
_SWEEP_S = 2.0


class Record(msgspec.Struct, kw_only=True):
    """What is kept of one workload."""

    namespace: str
    name: str
    healthy: bool | None = None
    """None: its agent has said nothing yet."""
    reason: str = ""
    group: str = ""
    """WorkloadGroup of a machine that registered itself; empty for entries written by hand."""
    address: str = ""
    network: str = ""
    locality: str = ""
    labels: dict[str, str] = {}
    left: datetime | None = None
    """When its last stream ended; None while it is connected."""


class Registration:
    """Keeps WorkloadEntries and their health in step with what agents say."""

    def __init__(self, store: ConfigStore, directory: Path, clock: Clock) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self._records: dict[Key, Record] = {}
        self._streams: dict[Key, int] = {}

    def load(self) -> None:
        """Read what an earlier life of the control plane kept; the WorkloadGroups are in the store."""
        for path in sorted(self._directory.glob("*.json")):
            try:
                record = msgspec.json.decode(path.read_bytes(), type=Record)
            except (OSError, msgspec.MsgspecError) as error:
                _log.error("workload record not readable", extra={"file": path, "error": error})
                continue
            key = _key(record.namespace, record.name)
            record.left = record.left or self._clock.now()
            self._records[key] = record
            self._register(key, record)
            self._tell(key, record)

    def groups_changed(self, changes: Changes) -> None:
        """Take what differs in the store: entries follow their WorkloadGroup."""
        groups = {k for k in changes.keys if k.kind == "WorkloadGroup"}
        for key, record in self._records.items() if groups else ():
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
        if group:
            self._check_group(proxy, group)
        self._streams[key] = self._streams.get(key, 0) + 1
        record = self._records.get(key)
        if record is None and not group:
            return
        if record is None:
            _log.info("workload joined", extra={"workload": _named(key), "group": group})
            record = self._records[key] = Record(namespace=key.namespace, name=key.name)
        record.left = None
        if group:
            record.group, record.address = group, proxy.addresses[0]
            record.network, record.locality = proxy.network, str(proxy.locality)
            record.labels = dict(proxy.labels)
        self._save(key, record)
        self._register(key, record)

    def disconnected(self, proxy: Proxy) -> None:
        """Take that a stream ended."""
        key = self._key_of(proxy)
        if key is None or key not in self._streams:
            return
        self._streams[key] -= 1
        if self._streams[key] > 0:
            return
        del self._streams[key]
        record = self._records.get(key)
        if record is not None:
            record.left = self._clock.now()
            self._save(key, record)

    def health(self, proxy: Proxy, *, healthy: bool, reason: str) -> None:
        """Take what an agent says of its workload; not of another account's."""
        key = self._key_of(proxy)
        if key is None or not self._is_own(key, proxy):
            return
        record = self._records.get(key)
        if record is not None and record.healthy == healthy and record.reason == reason:
            return
        if record is None:
            record = self._records[key] = Record(namespace=key.namespace, name=key.name)
        record.healthy, record.reason = healthy, reason
        extra = {"workload": _named(key)}
        if healthy:
            _log.info("workload is healthy", extra=extra)
        else:
            _log.warning("workload is unhealthy", extra={**extra, "reason": reason})
        self._save(key, record)
        self._tell(key, record)

    async def run(self) -> None:
        """Remove machines that stay away, until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            self.sweep()

    def sweep(self) -> None:
        """Remove registered machines whose grace has passed, and records of entries that are gone."""
        now = self._clock.now()
        for key, record in list(self._records.items()):
            if key in self._streams:
                continue
            if record.group:
                gone = record.left is not None and now - record.left > GRACE
            else:
                gone = self._store.resources.get(key) is None
            if gone:
                _log.info("workload left", extra={"workload": _named(key)})
                del self._records[key]
                self._path(key).unlink(missing_ok=True)
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
        entry = str(proxy.metadata.get(ENTRY) or "")
        group = _group_of(proxy)
        if entry:
            return _key(proxy.namespace, entry)
        if group and proxy.role in (Role.SIDECAR, Role.AGENT):
            address = re.sub(r"[^a-zA-Z0-9]", "-", proxy.addresses[0])
            network = f"-{proxy.network}" if proxy.network else ""
            return _key(proxy.namespace, f"{group}-{address}{network}"[:253])
        return None

    def _save(self, key: Key, record: Record) -> None:
        try:
            write_atomic(self._path(key), msgspec.json.encode(record), mode=0o600)
        except OSError as error:
            _log.error("workload record not kept", extra={"file": self._path(key), "error": error})

    def _path(self, key: Key) -> Path:
        return self._directory / f"{key.namespace}.{key.name}.json"


def _key(namespace: str, name: str) -> Key:
    return Key(NETWORKING, "WorkloadEntry", namespace, name)


def _named(key: Key) -> str:
    return f"{key.name}.{key.namespace}"


def _group_of(proxy: Proxy) -> str:
    return str(proxy.metadata.get(GROUP) or "")


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
