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
from rhumb.base.files import write_atomic
from rhumb.model.kinds.table import NETWORKING
from rhumb.model.kinds.workload_entry import WorkloadEntry
from rhumb.model.kinds.workload_group import WorkloadGroup
from rhumb.model.proxy import Proxy, Role
from rhumb.model.resource import Key, Meta, Resource
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
    healthy: bool = True
    reason: str = ""
    group: str = ""
    """WorkloadGroup of a machine that registered itself; empty for entries written by hand."""
    address: str = ""
    network: str = ""
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
        """Read what an earlier life of the control plane kept."""
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

    def connected(self, proxy: Proxy) -> None:
        """Take that a proxy or agent connected; a machine of a WorkloadGroup gets its entry."""
        key = self._key_of(proxy)
        if key is None:
            return
        self._streams[key] = self._streams.get(key, 0) + 1
        record = self._records.get(key)
        group = str(proxy.metadata.get(GROUP) or "")
        if record is None and not group:
            return
        if record is None:
            record = Record(
                namespace=key.namespace,
                name=key.name,
                group=group,
                address=proxy.addresses[0],
                network=proxy.network,
            )
            self._records[key] = record
        record.left = None
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
        """Take what an agent says of its workload."""
        key = self._key_of(proxy)
        if key is None:
            return
        record = self._records.get(key)
        if record is None:
            record = Record(namespace=key.namespace, name=key.name, healthy=True)
            self._records[key] = record
        if record.healthy == healthy and record.reason == reason:
            return
        record.healthy, record.reason = healthy, reason
        log = _log.info if healthy else _log.warning
        log(
            "workload is %s",
            "healthy" if healthy else "unhealthy",
            extra={"workload": f"{key.name}.{key.namespace}", "reason": reason},
        )
        self._save(key, record)
        self._tell(key, record)

    async def run(self) -> None:
        """Remove machines that stay away, until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            self.sweep()

    def sweep(self) -> None:
        """Remove registered machines whose grace has passed."""
        now = self._clock.now()
        for key, record in list(self._records.items()):
            if record.group and record.left is not None and now - record.left > GRACE:
                _log.info("workload left", extra={"workload": f"{key.name}.{key.namespace}"})
                del self._records[key]
                self._path(key).unlink(missing_ok=True)
                self._store.remove(key)

    def _register(self, key: Key, record: Record) -> None:
        if not record.group:
            return
        group = self._store.resources.get(
            Key(NETWORKING, "WorkloadGroup", key.namespace, record.group)
        )
        if group is None or not isinstance(group.spec, WorkloadGroup):
            _log.error(
                "WorkloadGroup is unknown, the machine is not registered",
                extra={"group": f"{key.namespace}/{record.group}", "address": record.address},
            )
            return
        self._store.put(_entry(key, record, group, group.spec))

    def _tell(self, key: Key, record: Record) -> None:
        self._store.set_status(key, _status(record))

    def _key_of(self, proxy: Proxy) -> Key | None:
        entry = str(proxy.metadata.get(ENTRY) or "")
        group = str(proxy.metadata.get(GROUP) or "")
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


def _entry(key: Key, record: Record, group: Resource, spec: WorkloadGroup) -> Resource:
    template = spec.template or WorkloadEntry()
    said = spec.metadata
    labels = {**(said.labels if said else {}), **template.labels}
    entry = msgspec.structs.replace(
        template,
        address=record.address,
        network=record.network or template.network,
        labels=labels,
    )
    annotations = {
        **(said.annotations if said else {}),
        "istio.io/autoRegistrationGroup": record.group,
    }
    return Resource(
        key=key,
        meta=Meta(name=key.name, namespace=key.namespace, labels=labels, annotations=annotations),
        spec=entry,
        version="v1",
        location=group.location,
        digest=msgspec.json.encode((record.address, record.network)) + group.digest,
    )


def _status(record: Record) -> dict[str, object]:
    condition = {"type": "Healthy", "status": "True" if record.healthy else "False"}
    if record.reason:
        condition["message"] = record.reason
    return {"conditions": [condition]}
