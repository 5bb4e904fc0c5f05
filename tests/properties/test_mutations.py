"""What people have in their files, gone wrong: no exception, nobody else is hurt, and Envoy takes the rest."""

import functools
import json
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
import yaml
from envoy.config.cluster.v3.cluster_pb2 import Cluster as EnvoyCluster
from envoy.config.listener.v3.listener_pb2 import Listener as EnvoyListener
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.properties.mutation import Json, Mutator

from rhumb.app import loading, offline
from rhumb.encode.clusters import cluster
from rhumb.encode.listeners import listener
from rhumb.encode.routes import route_configuration
from rhumb.ir.cluster import Cluster
from rhumb.ir.listener import Listener
from rhumb.ir.route import RouteConfiguration
from rhumb.model.finding import Level
from rhumb.model.proxy import Proxy, Role
from rhumb.snapshot.build import World, build
from rhumb.testing import envoy
from rhumb.testing.world import proxy
from rhumb.translate.proxy import Value
from rhumb.translate.proxy import resources as translated
from rhumb.validation.load import Loader
from rhumb.xds.types import XdsType

GOLDEN = Path(__file__).parents[1] / "golden"
LOADER = Loader()
BATCH = 150


class Case(msgspec.Struct, frozen=True):
    """A golden case: the objects, and the world that they make."""

    objects: list[Json]
    mesh: loading.Text | None
    proxies: tuple[Proxy, ...]


def _flat(found: list[Any]) -> list[Json]:
    lists = [_flat(each["items"]) if each["kind"] == "List" else [each] for each in found if each]
    return [each for items in lists for each in items]


@functools.cache
def cases() -> list[Case]:
    made = []
    for path in sorted(GOLDEN.glob("*/input.yaml")):
        mesh = path.parent / "mesh.yaml"
        proxies = [proxy(role=Role.ROUTER, address="10.0.0.2", labels={"istio": "ingressgateway"})]
        for said in yaml.safe_load((path.parent / "proxies.yaml").read_text()).values():
            known = {k: v for k, v in said.items() if k not in ("shows", "role")}
            proxies.append(proxy(role=Role(said.get("role", "sidecar")), **known))
        objects = _flat(list(yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader)))
        text = ("mesh.yaml", mesh.read_bytes()) if mesh.exists() else None
        made.append(Case(objects, text, tuple(proxies[:3])))
    return made


@functools.cache
def everything() -> list[Json]:
    return [each for case in cases() for each in case.objects]


@functools.cache
def world_of(at: int) -> World:
    case = cases()[at]
    text = "\n---\n".join(map(json.dumps, case.objects))
    return loading.load([("base.yaml", text.encode())], mesh_config=case.mesh).world


class Spoilt(msgspec.Struct, frozen=True):
    """A case with one object that is not what it was."""

    case: int
    at: int
    text: str
    accepted: bool


def spoilt(seed: int) -> Spoilt:
    """Return what a seed stands for."""
    chance = Random(seed)
    case = chance.randrange(len(cases()))
    objects = cases()[case].objects
    at = chance.randrange(len(objects))
    made = Mutator(seed, everything()).spoil(objects[at], chance.choice((1, 1, 2, 3, 5)))
    text = json.dumps(made)
    documents = list(LOADER.load(text, "f.yaml"))
    for finding in (f for d in documents for f in d.findings):
        assert finding.location.file == "f.yaml"
        assert finding.location.line >= 1
        assert finding.message
        assert len(finding.text()) < 6_000
    accepted = all(d.resource is not None for d in documents)
    if not accepted:
        assert any(f.level is not Level.WARNING for d in documents for f in d.findings)
    return Spoilt(case, at, text, accepted)


def configurations(one: Spoilt, texts: list[str]) -> list[dict[str, Any]]:
    """Return what the proxies of the case receive, with nothing that could not be made."""
    case = cases()[one.case]
    files = [(f"{number}.yaml", text.encode()) for number, text in enumerate(texts)]
    loaded = loading.load(files, mesh_config=case.mesh)
    loading.fights(loaded.world)
    made = []
    for each in case.proxies:
        found = offline.configuration(loaded.world, each)
        assert [f.text() for f in found.findings if "defect" in f.fix] == []
        made.append(dict(found.sections))
    return made


SEEDS = st.integers(0, 2**48)
PROFILE = settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@settings(PROFILE, max_examples=800)
@given(SEEDS)
def test_any_object_gives_findings_never_exceptions(seed: int) -> None:
    spoilt(seed)


@pytest.mark.timeout(180)
@settings(PROFILE, max_examples=120)
@given(SEEDS)
@example(1096)
def test_an_object_that_is_refused_changes_nothing(seed: int) -> None:
    one = spoilt(seed)
    others = [json.dumps(o) for at, o in enumerate(cases()[one.case].objects) if at != one.at]
    found = configurations(one, [*others, one.text])
    if not one.accepted:
        assert found == configurations(one, others)


def accepted(seed: int, count: int) -> list[Spoilt]:
    found: list[Spoilt] = []
    while len(found) < count:
        seed += 1
        one = spoilt(seed)
        if one.accepted:
            found.append(one)
    return found


class Judged:
    """Gathers what differs from the golden cases, each under a name and port of its own."""

    def __init__(self) -> None:
        self._listeners: list[EnvoyListener] = []
        self._clusters: dict[str, EnvoyCluster] = {}

    def add(self, one: Spoilt) -> None:
        """Translate a change as it would come to a control plane that runs."""
        before = world_of(one.case)
        resources = [d.resource for d in LOADER.load(one.text) if d.resource is not None]
        following, changes = before.resources.apply(resources, ())
        after = build(before, following, changes)
        for each in cases()[one.case].proxies:
            known = {v for t in _TYPES for v in _values(before, each, t)}
            self._add({t: _values(after, each, t) for t in _TYPES}, known)

    def _add(self, made: dict[XdsType, tuple[Value, ...]], known: set[Value]) -> None:
        for value in made[XdsType.CDS]:
            assert isinstance(value, Cluster)
            spelled = cluster(value)
            if value.name in self._clusters:
                if value in known:
                    continue
                spelled.name = f"{value.name} {len(self._clusters)}"
            self._clusters[spelled.name] = spelled
        routes = {
            v.name: route_configuration(v)
            for v in made[XdsType.RDS]
            if isinstance(v, RouteConfiguration)
        }
        same = all(v in known for v in made[XdsType.RDS])
        for each in made[XdsType.LDS]:
            assert isinstance(each, Listener)
            if each in known and same:
                continue
            self._place(envoy.with_routes(listener(each), routes))

    def _place(self, spelled: EnvoyListener) -> None:
        number = len(self._listeners)
        spelled.name = f"{spelled.name} {number}"
        del spelled.additional_addresses[:]
        if spelled.address.HasField("socket_address"):
            spelled.address.socket_address.port_value = 1024 + number
        self._listeners.append(spelled)

    def verdict(self) -> str:
        """Return what Envoy says of it all."""
        return envoy.validate(self._listeners, {}, self._clusters.values())


_TYPES = (XdsType.LDS, XdsType.RDS, XdsType.CDS)


def _values(world: World, who: Proxy, kind: XdsType) -> tuple[Value, ...]:
    return tuple(translated(world, world.view(who), kind))


def verdict(found: list[Spoilt]) -> str:
    judged = Judged()
    for one in found:
        judged.add(one)
    return judged.verdict()


def culprit(found: list[Spoilt]) -> str:
    while len(found) > 1:
        half = len(found) // 2
        found = found[:half] if verdict(found[:half]) else found[half:]
    return found[0].text


@pytest.mark.envoy
@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_left_of_an_object_envoy_takes(seed: int) -> None:
    found = accepted(seed << 32, BATCH)
    assert verdict(found) == "", culprit(found)
