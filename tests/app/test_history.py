"""A random history of files over a delta stream leads to what `rhumb translate` says of the last files."""

import json
import random

import pytest

from rhumb.app import loading, offline
from rhumb.model.codec import parse
from rhumb.model.resource import Key, Resource, ResourceSet
from rhumb.snapshot.build import build, empty
from rhumb.testing.ads import Link, views_of
from rhumb.testing.fake_envoy import CDS, EDS, LDS, RDS, FakeEnvoy

NODE = "sidecar~10.0.0.9~client-1.default~default.svc.cluster.local"
METADATA = {"NAMESPACE": "default", "SERVICE_ACCOUNT": "client", "LABELS": {"app": "client"}}
PORTS = ("{name: http, port: 80}", "{name: tcp, port: 5432}", "{name: grpc, port: 80}")


def _texts(chance: random.Random, name: str) -> str:
    other = chance.choice("abcd")
    parts = [
        f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n"
        f"spec: {{clusterIP: 10.1.0.{ord(name)}, selector: {{app: {name}}}, "
        f"ports: [{chance.choice(PORTS)}]}}\n"
    ]
    parts += [
        "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\n"
        f"metadata: {{name: {name}-{at}}}\n"
        f"spec: {{address: 10.2.{ord(name)}.{at}, labels: {{app: {name}}}, serviceAccount: s{at}}}\n"
        for at in range(chance.randrange(3))
    ]
    if chance.random() < 0.6:
        parts.append(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
            f"metadata: {{name: {name}}}\nspec:\n  hosts: [{name}]\n"
            f"  http: [{{route: [{{destination: {{host: {other}}}}}], timeout: {chance.randrange(1, 5)}s}}]\n"
        )
    if chance.random() < 0.4:
        parts.append(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
            f"metadata: {{name: {name}}}\nspec:\n  host: {name}\n"
            f"  trafficPolicy: {{connectionPool: {{tcp: {{maxConnections: {chance.randrange(1, 9)}}}}}}}\n"
        )
    return "---\n".join(parts)


@pytest.mark.parametrize("seed", range(12))
def test_a_history_of_differences_ends_where_translate_ends(seed: int) -> None:
    chance = random.Random(seed)
    files: dict[str, str] = {}
    known, world = ResourceSet(), empty()
    held: dict[str, dict[Key, Resource]] = {}
    link = Link(views_of(world), FakeEnvoy(NODE, METADATA))
    for _ in range(20):
        name = chance.choice("abcd")
        if name in files and chance.random() < 0.25:
            del files[name]
            after: dict[Key, Resource] = {}
        else:
            files[name] = _texts(chance, name)
            found, findings = parse(files[name], f"{name}.yaml")
            assert not findings
            after = {resource.key: resource for resource in found}
        gone = held.get(name, {}).keys() - after.keys()
        held[name] = after
        known, changes = known.apply(after.values(), gone)
        world = build(world, known, changes)
        view = link.connection.view
        assert view is not None
        link.publish(link.views.following(world, {view}, world.impact))
        for _ in range(chance.randrange(4)):  # the next change may come in the middle of the push
            response = link.next()
            for request in link.envoy.receive(response) if response else ():
                link.hear(request)
    link.settle()
    loaded = loading.load((f"{name}.yaml", text.encode()) for name, text in files.items())
    said = {"id": NODE, "metadata": METADATA}
    wanted = offline.configuration(loaded.world, offline.node(json.dumps(said).encode()))
    for kind in (CDS, EDS, LDS, RDS):
        mine = {name: each.version for name, each in link.envoy.held.get(kind, {}).items()}
        assert mine == {entry.name: entry.version for entry in wanted.entries[kind]}, kind
