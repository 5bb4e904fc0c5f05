"""Several control planes behind one address: each is complete, and a proxy may land on any of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from envoy.config.core.v3 import health_check_pb2 as core
from envoy.config.endpoint.v3 import endpoint_pb2 as endpoint
from envoy.service.discovery.v3 import discovery_pb2 as discovery
from tests.app.files import replace

from rhumb.base.clock import SystemClock
from rhumb.ca.authority import make_root
from rhumb.ca.sign import Names
from rhumb.identity.authenticate import UnauthenticatedError
from rhumb.identity.spiffe import SpiffeId
from rhumb.model.resource import Key
from rhumb.testing.ads_client import AdsClient, Certificate, connecting
from rhumb.testing.ca import signed
from rhumb.testing.control_plane import Running, running, settings
from rhumb.testing.fake_envoy import (
    APART,
    CDS,
    EDS,
    KINDS,
    LDS,
    METADATA,
    RDS,
    VHDS,
    FakeEnvoy,
    Request,
    sidecar,
)
from rhumb.testing.waiting import until
from rhumb.xds.types import HEALTH_TYPE, XdsType

SERVICE = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}}}
spec:
  hosts: [{name}.example]
  resolution: STATIC
  ports: [{{number: 9080, name: http, protocol: HTTP}}]
  workloadSelector: {{labels: {{app: {name}}}}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: {name}-1}}
spec: {{address: {address}, labels: {{app: {name}, version: v1}}, serviceAccount: {name}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {name}}}
spec:
  host: {name}.example
  subsets: [{{name: v1, labels: {{version: v1}}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}}}
spec:
  hosts: [{name}.example]
  http:
  - match: [{{headers: {{user: {{exact: "{user}"}}}}}}]
    route: [{{destination: {{host: {name}.example, subset: v1}}}}]
  - route: [{{destination: {{host: {name}.example}}}}]
"""
GROUP = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: vms}
spec:
  metadata: {labels: {app: a, version: v1}}
  template: {serviceAccount: a, ports: {http: 9080}}
"""
NAMES = ("a", "b", "c")

Held = dict[XdsType, dict[str, bytes]]


class Files:
    """The configuration that all of them read."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        for name in NAMES:
            self.write(name)

    def write(self, name: str, user: str = "tester") -> None:
        address = f"10.0.1.{ord(name) - 96}"
        self.put(name, SERVICE.format(name=name, address=address, user=user))

    def put(self, name: str, text: str) -> None:
        replace(self.directory / f"{name}.yaml", text)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "config")


@contextlib.asynccontextmanager
async def two(files: Files, state: Path) -> AsyncIterator[tuple[Running, Running]]:
    """Run two complete control planes over one configuration and one state."""
    wanted = settings(files.directory, state)
    async with running(wanted) as one, running(wanted) as other:
        yield one, other


def client(number: int = 1, *, apart: bool = True, delta: bool = True) -> FakeEnvoy:
    return FakeEnvoy(sidecar(number), APART if apart else METADATA, delta=delta)


def texts(envoy: FakeEnvoy) -> Held:
    return {kind: envoy.texts(kind) for kind in KINDS}


def is_complete(envoy: FakeEnvoy) -> bool:
    hosts = repr(texts(envoy)[VHDS] or texts(envoy)[RDS])
    return all(f"{name}.example" in hosts for name in NAMES) and not envoy.warming


def has_user(name: str) -> Callable[[FakeEnvoy], bool]:
    return lambda envoy: (
        name.encode() in b"".join((*envoy.texts(RDS).values(), *envoy.texts(VHDS).values()))
    )


async def settled(up: Running, link: AdsClient, envoy: FakeEnvoy) -> None:
    """Wait until a control plane has a client's word for all that it asked for: nothing is on its way."""
    wanted = {kind.short for kind, held in envoy.held.items() if held} | {"CDS", "LDS"}

    def is_so() -> bool:
        for stream, rows in up.plane.ads.status():
            if stream.proxy is not None and stream.proxy.id == envoy.node.id:
                return {r.type for r in rows} >= wanted and all(r.state == "SYNCED" for r in rows)
        return False

    await until(is_so)
    assert link.error is None


def shown(up: Running) -> dict[Key, bytes]:
    """Return the digests of the objects that proxies have been told of."""
    return {key: resource.digest for key, resource in up.plane.world.resources.items()}


def counted(up: Running, name: str) -> float:
    return up.plane.metrics.registry.get_sample_value(name) or 0.0


async def fill(envoy: FakeEnvoy, up: Running) -> None:
    """Let a client have everything from a control plane, and leave it."""
    async with connecting(envoy, up.ports.xds) as link:
        await link.wait(is_complete)
        await settled(up, link, envoy)


@pytest.mark.parametrize("apart", [True, False])
def test_who_moves_with_its_versions_gets_nothing_again(
    files: Files, tmp_path: Path, apart: bool
) -> None:
    async def scenario() -> None:
        envoy = client(apart=apart)
        async with two(files, tmp_path / "state") as (one, other):
            await fill(envoy, one)
            before = texts(envoy)
            assert bool(before[VHDS]) is apart
            for up in (other, one, other):
                envoy.responses.clear()
                async with connecting(envoy, up.ports.xds) as link:
                    await settled(up, link, envoy)
                    assert envoy.responses == []
                    (stream,) = up.plane.ads.streams
                    assert stream.pushes == 0
            # What comes next, comes from where it is.
            async with connecting(envoy, other.ports.xds) as link:
                await settled(other, link, envoy)
                files.write("b", "someone")
                await link.wait(has_user("someone"))
                assert len(envoy.responses) == 1
                await settled(other, link, envoy)
            await until(lambda: shown(one) == shown(other))
            async with connecting(envoy, one.ports.xds) as link:
                await settled(one, link, envoy)
                assert len(envoy.responses) == 1

    asyncio.run(scenario())


def test_who_moves_with_full_states_gets_nothing_again(files: Files, tmp_path: Path) -> None:
    async def scenario() -> None:
        envoy = client(delta=False)
        async with two(files, tmp_path / "state") as (one, other):
            await fill(envoy, one)
            before = texts(envoy)
            envoy.responses.clear()
            for up in (other, one, other):
                async with connecting(envoy, up.ports.xds) as link:
                    await settled(up, link, envoy)
                    (stream,) = up.plane.ads.streams
                    assert stream.pushes == 0
            files.write("b", "someone")
            async with connecting(envoy, one.ports.xds) as link:
                await link.wait(has_user("someone"))
                await settled(one, link, envoy)
            assert [(kind, names) for kind, names, _ in envoy.responses] == [(RDS, ("9080",))]
            assert texts(envoy).keys() == before.keys()
            assert envoy.rejected == []

    asyncio.run(scenario())


@pytest.mark.parametrize("apart", [True, False])
def test_who_moves_while_something_changes_gets_that(
    files: Files, tmp_path: Path, apart: bool
) -> None:
    async def scenario() -> None:
        envoy = client(apart=apart)
        async with two(files, tmp_path / "state") as (one, other):
            await fill(envoy, one)
            envoy.responses.clear()
            files.write("b", "someone")
            async with connecting(envoy, other.ports.xds) as link:
                await link.wait(has_user("someone"))
                await settled(other, link, envoy)
            kind, name = (VHDS, "9080/b.example:9080") if apart else (RDS, "9080")
            assert [(k, names) for k, names, _ in envoy.responses] == [(kind, (name,))]

    asyncio.run(scenario())


def test_an_answer_to_the_other_one_is_stale(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        envoy = client()
        said: dict[XdsType, Request] = {}
        async with two(files, tmp_path / "state") as (one, other):
            async with connecting(envoy, one.ports.xds) as link:
                receive = envoy.receive

                def listen(response: discovery.DeltaDiscoveryResponse) -> list[Request]:
                    requests = receive(response)
                    said.update((XdsType(r.type_url), r) for r in requests if r.response_nonce)
                    return requests

                monkeypatch.setattr(envoy, "receive", listen)
                await link.wait(is_complete)
                await settled(one, link, envoy)
            assert said.keys() >= {CDS, EDS, LDS, RDS, VHDS}
            async with connecting(envoy, other.ports.xds) as link:
                await settled(other, link, envoy)
                for late in said.values():
                    await link.send(late)
                said[CDS].error_detail.message = "too late to be refused"
                await link.send(said[CDS])
                await until(lambda: counted(other, "pilot_xds_expired_nonce") == len(said) + 1)
                await settled(other, link, envoy)
                (stream,) = other.plane.ads.streams
                assert stream.pushes == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("apart", [True, False])
def test_versions_are_the_same_everywhere(files: Files, tmp_path: Path, apart: bool) -> None:
    async def scenario() -> None:
        here, there = client(apart=apart), client(apart=apart)
        async with two(files, tmp_path / "state") as (one, other):
            # One has seen it all come about, the other reads it at once.
            for name in ("d", "e", "a"):
                files.write(name, f"user-{name}")
            for up, envoy in ((one, here), (other, there)):
                async with connecting(envoy, up.ports.xds) as link:
                    await link.wait(lambda e: all(has_user(f"user-{n}")(e) for n in "dea"))
                    await settled(up, link, envoy)
            assert here.held == there.held
            async with running(settings(files.directory, tmp_path / "state")) as third:
                late = client(apart=apart)
                async with connecting(late, third.ports.xds) as link:
                    await link.wait(lambda e: all(has_user(f"user-{n}")(e) for n in "dea"))
                    await settled(third, link, late)
            assert late.held == here.held

    asyncio.run(scenario())


def certificate(up: Running) -> Certificate:
    """Return a workload's certificate that a control plane signed."""
    ca = up.plane.authority
    names = Names.of(SpiffeId("cluster.local", "default", "client"))
    return Certificate(ca.bundle.pem.encode(), *signed(ca.signing, names))


async def move_with_certificate(one: Running, other: Running) -> None:
    """Move a client to another control plane, with a certificate that the first one signed."""
    envoy = client()
    async with connecting(envoy, one.ports.secure, certificate(one)) as link:
        await link.wait(is_complete)
        await settled(one, link, envoy)
    envoy.responses.clear()
    async with connecting(envoy, other.ports.secure, certificate(one)) as link:
        await settled(other, link, envoy)
    assert envoy.responses == []


def test_a_certificate_of_one_opens_the_door_of_the_other(files: Files, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with two(files, tmp_path / "state") as (one, other):
            await move_with_certificate(one, other)

    asyncio.run(scenario())


def test_a_ca_that_is_given_to_all_needs_no_common_state(files: Files, tmp_path: Path) -> None:
    async def scenario() -> None:
        given = tmp_path / "cacerts"
        given.mkdir()
        root = make_root(organization="given", now=SystemClock().now(), life=timedelta(days=1))
        for name, text in root.files().items():
            (given / name).write_text(text)
        wanted = [settings(files.directory, tmp_path / f"state-{n}") for n in range(2)]
        first, second = (
            msgspec.structs.replace(w, ca=msgspec.structs.replace(w.ca, cacerts=given))
            for w in wanted
        )
        async with running(first) as one, running(second) as other:
            await move_with_certificate(one, other)

    asyncio.run(scenario())


def test_a_join_token_is_good_at_any_of_them_and_once(files: Files, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with two(files, tmp_path / "state") as (one, other):
            now = SystemClock().now()
            made = one.plane.tokens.create(namespace="default", service_account="client", now=now)
            grant = other.plane.tokens.verify(made, now)
            assert (grant.namespace, grant.service_account) == ("default", "client")
            other.plane.tokens.spend(grant.id, "key")
            one.plane.tokens.spend(grant.id, "key")  # the answer was lost: asked again elsewhere
            with pytest.raises(UnauthenticatedError, match="used already"):
                one.plane.tokens.spend(grant.id, "another key")

    asyncio.run(scenario())


def test_a_new_root_reaches_the_proxies_of_all(files: Files, tmp_path: Path) -> None:
    async def scenario() -> None:
        often = settings(files.directory, tmp_path / "state")
        ca = msgspec.structs.replace(often.ca, check_interval=timedelta(milliseconds=20))
        often = msgspec.structs.replace(often, ca=ca)
        async with running(often) as one, running(often) as other:
            agents = [
                FakeEnvoy("agent~10.0.0.1~client-1.default~x", METADATA, types=[XdsType.PCDS])
                for _ in range(2)
            ]
            async with (
                connecting(agents[0], one.ports.xds) as first,
                connecting(agents[1], other.ports.xds) as second,
            ):
                for link in (first, second):
                    await link.wait(lambda e: bool(e.held.get(XdsType.PCDS)))
                before = agents[0].texts(XdsType.PCDS)
                one.plane.authority.rotate(SystemClock().now())
                for link in (first, second):
                    await link.wait(lambda e: e.texts(XdsType.PCDS) != before)
                assert agents[0].held == agents[1].held
                assert one.plane.authority.bundle == other.plane.authority.bundle

    asyncio.run(scenario())


def test_a_machine_and_its_health_are_known_to_the_proxies_of_all(
    files: Files, tmp_path: Path
) -> None:
    def health(envoy: FakeEnvoy) -> str:
        """Return what proxies are told of the machine; "" while they know of none."""
        tables = map(endpoint.ClusterLoadAssignment.FromString, envoy.texts(EDS).values())
        found = {
            core.HealthStatus.Name(each.health_status)
            for table in tables
            for group in table.endpoints
            for each in group.lb_endpoints
            if each.endpoint.address.socket_address.address == "10.0.9.9"
        }
        return ",".join(found)

    async def scenario() -> None:
        files.put("vms", GROUP)
        said = {"AUTO_REGISTER_GROUP": "vms", "NAMESPACE": "default", "SERVICE_ACCOUNT": "a"}
        agent = FakeEnvoy("agent~10.0.9.9~vm-1.default~x", said, types=[XdsType.PCDS])
        envoy = client()
        async with (
            two(files, tmp_path / "state") as (one, other),
            connecting(envoy, other.ports.xds) as link,
        ):
            await link.wait(is_complete)
            assert health(envoy) == ""
            async with connecting(agent, one.ports.xds) as machine:
                await link.wait(lambda e: health(e) != "")
                well = health(envoy)
                report = discovery.DeltaDiscoveryRequest(type_url=HEALTH_TYPE)
                report.error_detail.message = "HTTP 500"
                await machine.send(report)
                await link.wait(lambda e: health(e) != well)
                await machine.send(discovery.DeltaDiscoveryRequest(type_url=HEALTH_TYPE))
                await link.wait(lambda e: health(e) == well)

    asyncio.run(scenario())
