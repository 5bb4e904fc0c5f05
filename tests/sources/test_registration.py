"""Machines that register themselves, and health that outlives the control plane."""

from datetime import timedelta
from pathlib import Path

import pytest
from tests.sources.workloads import ENTRY, GROUP, REVIEWS, VM, machine, reviews

from rhumb.base.errors import RhumbError
from rhumb.model.kinds.table import NETWORKING
from rhumb.model.kinds.workload_entry import WorkloadEntry
from rhumb.model.proxy import Proxy, Role
from rhumb.model.resource import Key, Resource
from rhumb.sources.registration import GRACE, Registration
from rhumb.sources.store import ConfigStore
from rhumb.testing import world
from rhumb.testing.clock import FakeClock

PROBE = "  probe: {httpGet: {port: 8080}}\n"


class Desk:
    """A registration over a store with the group and one entry written by hand."""

    def __init__(self, directory: Path, group: str = GROUP) -> None:
        self.directory = directory
        self.clock = FakeClock()
        self.store = ConfigStore()
        self.desk = Registration(self.store, directory, self.clock)
        self.start(group)

    def start(self, group: str = GROUP) -> None:
        """Begin anew, as after kill -9: only the directory is left."""
        self.end()
        self.store = ConfigStore()
        self.store.apply("files", world.resources(group, ENTRY))
        self.desk = Registration(self.store, self.directory, self.clock)
        self.desk.load()
        self.store.subscribe(self.desk.groups_changed)

    def end(self) -> None:
        """End as the system does it for a process that is killed."""
        self.desk.close()

    def pass_time(self, by: timedelta) -> None:
        self.clock.advance(by)
        self.desk.sweep()

    def get(self, key: Key) -> Resource | None:
        return self.store.resources.get(key)

    def condition(self, key: Key) -> object:
        found = self.get(key)
        assert found is not None
        conditions = found.status.get("conditions")
        return conditions[0] if isinstance(conditions, list) else None


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "workloads")


def test_a_machine_gets_an_entry_from_the_template(desk: Desk) -> None:
    desk.desk.connected(machine(NETWORK="net2"))
    found = desk.get(Key(NETWORKING, "WorkloadEntry", "default", "vms-10-0-0-9-net2"))
    assert found is not None
    spec = found.spec
    assert isinstance(spec, WorkloadEntry)
    assert (spec.address, spec.network, spec.service_account) == ("10.0.0.9", "net2", "ratings")
    assert dict(spec.labels) == {"app": "ratings", "from": "group", "kept": "yes", "version": "v1"}
    assert found.meta.annotations["istio.io/autoRegistrationGroup"] == "vms"


def test_it_leaves_some_time_after_its_last_stream(desk: Desk) -> None:
    envoy, agent = machine(), machine(role=Role.AGENT)
    desk.desk.connected(envoy)
    desk.desk.connected(agent)
    desk.desk.disconnected(envoy)
    desk.pass_time(GRACE * 2)
    assert desk.get(VM) is not None
    desk.desk.disconnected(agent)
    desk.pass_time(GRACE / 2)
    assert desk.get(VM) is not None
    desk.pass_time(GRACE)
    assert desk.get(VM) is None
    assert list(desk.directory.glob("*.json")) == []


def test_it_may_come_back_within_that_time(desk: Desk) -> None:
    desk.desk.connected(machine())
    desk.desk.disconnected(machine())
    desk.pass_time(GRACE / 2)
    desk.desk.connected(machine())
    desk.pass_time(GRACE * 3)
    assert desk.get(VM) is not None


def test_a_restart_of_the_control_plane_keeps_it_and_waits_for_it(desk: Desk) -> None:
    desk.desk.connected(machine())
    desk.clock.advance(GRACE * 10)
    desk.start()
    assert desk.get(VM) is not None
    desk.pass_time(GRACE / 2)
    assert desk.get(VM) is not None
    desk.pass_time(GRACE)
    assert desk.get(VM) is None


def test_while_the_control_plane_is_away_nobody_is(desk: Desk) -> None:
    desk.desk.connected(machine())
    desk.desk.disconnected(machine())  # its streams end with it
    desk.clock.advance(GRACE * 9)
    desk.start()
    desk.desk.sweep()
    assert desk.get(VM) is not None
    desk.pass_time(GRACE * 2)
    assert desk.get(VM) is None


def test_a_clock_that_is_set_takes_nobody_s_time(desk: Desk) -> None:
    desk.desk.connected(machine())
    desk.desk.disconnected(machine())
    desk.clock.jump(timedelta(hours=1))
    desk.desk.sweep()
    assert desk.get(VM) is not None
    desk.clock.jump(timedelta(hours=-2))
    desk.pass_time(GRACE * 2)
    assert desk.get(VM) is None


def test_another_account_or_an_unknown_group_is_refused(desk: Desk) -> None:
    with pytest.raises(RhumbError, match='for service account ratings, not "thief"'):
        desk.desk.connected(machine(account="thief"))
    with pytest.raises(RhumbError, match="no WorkloadGroup default/nowhere"):
        desk.desk.connected(machine(AUTO_REGISTER_GROUP="nowhere"))
    assert desk.get(VM) is None
    desk.desk.disconnected(machine(account="thief"))


def test_entries_follow_their_group(desk: Desk) -> None:
    desk.desk.connected(machine())
    desk.store.apply("files", world.resources(GROUP.replace("from: group", "from: new")))
    found = desk.get(VM)
    assert found is not None
    assert found.meta.labels["from"] == "new"


def test_health_is_a_condition_that_survives_kill_9(desk: Desk) -> None:
    desk.desk.connected(reviews())
    desk.desk.health(reviews(), healthy=False, reason="HTTP 500")
    bad = {"type": "Healthy", "status": "False", "message": "HTTP 500"}
    assert desk.condition(REVIEWS) == bad
    desk.start()
    assert desk.condition(REVIEWS) == bad
    desk.desk.health(reviews(), healthy=True, reason="")
    assert desk.condition(REVIEWS) == {"type": "Healthy", "status": "True"}


def test_a_machine_with_a_probe_takes_no_traffic_before_its_first_good_report(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path, GROUP + PROBE)
    desk.desk.connected(machine())
    found = desk.get(VM)
    assert found is not None
    assert found.meta.annotations["proxy.istio.io/health-checks-enabled"] == "true"
    desk.start(GROUP + PROBE)
    assert desk.condition(VM) is None
    desk.desk.health(machine(role=Role.AGENT), healthy=True, reason="")
    assert desk.condition(VM) == {"type": "Healthy", "status": "True"}


def test_nobody_speaks_for_another_account(desk: Desk) -> None:
    desk.desk.health(reviews("thief"), healthy=False, reason="ha")
    assert desk.condition(REVIEWS) is None


def test_the_record_of_an_entry_that_was_deleted_goes_with_it(desk: Desk) -> None:
    desk.desk.connected(reviews())
    desk.desk.health(reviews(), healthy=False, reason="x")
    desk.store.apply("files", removed=(REVIEWS,))
    desk.desk.sweep()
    assert list(desk.directory.glob("*.json")) != []
    desk.desk.disconnected(reviews())
    desk.desk.sweep()
    assert list(desk.directory.glob("*.json")) == []


def test_a_broken_record_is_reported_and_left_aside(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.directory.mkdir(parents=True, exist_ok=True)
    (desk.directory / "x.json").write_text("{")
    desk.start()
    assert "not readable" in caplog.text


def test_why_is_told_of_the_sick_alone(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        desk.desk.health(reviews(), healthy=False, reason="HTTP 500")
        desk.desk.health(reviews(), healthy=True, reason="")
    told = [(r.getMessage(), vars(r).get("reason")) for r in caplog.records]
    assert told == [("workload is unhealthy", "HTTP 500"), ("workload is healthy", None)]


@pytest.mark.parametrize("proxy", [reviews(name="/../../up"), machine(NETWORK="/../../up")])
def test_what_a_workload_calls_itself_is_no_path(desk: Desk, proxy: Proxy) -> None:
    desk.desk.connected(proxy)
    desk.desk.health(proxy, healthy=False, reason="x")
    (kept,) = desk.directory.parent.rglob("*up*")
    assert kept.parent == desk.directory
    desk.start()
    (key,) = desk.desk._records.by_key
    assert key.name.endswith("/../../up")


def test_a_machine_of_another_group_takes_no_name(tmp_path: Path) -> None:
    other = GROUP.replace("name: vms", "name: vms-10").replace("ratings", "thieves")
    desk = Desk(tmp_path, f"{GROUP}---{other}")
    desk.desk.connected(machine())
    said = {"AUTO_REGISTER_GROUP": "vms-10", "SERVICE_ACCOUNT": "thieves"}
    with pytest.raises(RhumbError, match=r"vms-10-0-0-9.default is a machine of WorkloadGroup"):
        desk.desk.connected(world.proxy(address="0.0.9", metadata=said))
    thief = world.proxy(address="10.6.6.6", metadata=said | {"WORKLOAD_ENTRY": VM.name})
    desk.desk.connected(thief)
    desk.desk.health(thief, healthy=False, reason="ha")
    found = desk.get(VM)
    assert found is not None
    assert isinstance(found.spec, WorkloadEntry)
    assert (found.spec.address, found.status) == ("10.0.0.9", {})
    desk.desk.disconnected(thief)
    desk.pass_time(GRACE * 2)
    assert desk.get(VM) is not None
