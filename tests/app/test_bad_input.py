"""Bad files under a control plane that runs: the proxies keep what they had, and live on with the next good one."""

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml
from tests.app.files import replace
from tests.properties.mutation import Mutator

from rhumb.model.finding import Level
from rhumb.model.resource import Key
from rhumb.testing.ads_client import connecting
from rhumb.testing.control_plane import Running, running, settings
from rhumb.testing.fake_envoy import CDS, LDS, METADATA, RDS, FakeEnvoy, Held, sidecar
from rhumb.testing.waiting import until
from rhumb.validation.load import Loader

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{name: http, port: 9080}]}
"""
ROUTES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [web]
  http:
  - timeout: %ds
    route:
    - {destination: {host: web}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web}
spec: {host: web, trafficPolicy: {connectionPool: {tcp: {maxConnections: 7}}}}
"""
KEY = Key("networking.istio.io", "VirtualService", "default", "web")
BROKEN: tuple[bytes, ...] = (
    (ROUTES % 1).encode() + b"\t- broken",
    (ROUTES % 1).encode("utf-16"),
    b"\x00\x01\x02\xff",
    b"{{ .Values.routes }}\n",
    b"<<<<<<< HEAD\n" + (ROUTES % 1).encode(),
    (ROUTES % 1).replace("  hosts: [web]", "  hosts: [web]\n  hosts: [web]").encode(),
    b"[" * 10_000,
    b"--- a\n" * 1_000,
)
"""What nothing is left of, or not enough to tell which object it was."""


def spoilt(count: int) -> list[bytes]:
    """Return files whose VirtualService is refused by its kind's rules, with its name still there."""
    good = list(yaml.safe_load_all(ROUTES % 1))
    found: list[bytes] = []
    seed = 0
    while len(found) < count:
        seed += 1
        made = Mutator(seed, good).spoil(good[0], 2)
        documents = list(Loader().load(json.dumps(made)))
        if any(d.resource is None and d.key == KEY for d in documents):
            found.append(f"{json.dumps(made)}\n---\n{json.dumps(good[1])}\n".encode())
    return found


def digests(up: Running) -> dict[Key, bytes]:
    return {key: resource.digest for key, resource in up.plane.store.resources.items()}


def holds_other_than(routes: Mapping[str, Held]) -> Callable[[FakeEnvoy], bool]:
    return lambda envoy: envoy.held[RDS] != routes


def test_proxies_keep_what_they_had_whatever_the_file_becomes(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.mkdir()
    (config / "web.yaml").write_text(SERVICE)
    routes = config / "routes.yaml"
    replace(routes, ROUTES % 1)
    client = FakeEnvoy(sidecar(), METADATA)

    def errors(up: Running) -> bool:
        found = up.plane.store.findings
        return any(f.level is Level.ERROR and f.location.file == str(routes) for f in found)

    async def scenario() -> None:
        async with (
            running(settings(config, tmp_path / "state")) as up,
            connecting(client, up.ports.xds) as link,
        ):
            await link.wait(lambda e: "9080" in e.held.get(RDS, {}))
            for number, content in enumerate((*BROKEN, *spoilt(12)), 2):
                before = {kind: dict(client.held[kind]) for kind in (CDS, LDS, RDS)}
                resources = digests(up)
                replace(routes, content)
                await until(lambda: errors(up))
                assert digests(up) == resources, content[:300]
                assert {kind: dict(client.held[kind]) for kind in (CDS, LDS, RDS)} == before
                replace(routes, ROUTES % number)
                await until(lambda: not errors(up))
                await link.wait(holds_other_than(before[RDS]))
                assert client.held[CDS] == before[CDS]
            changes = len(BROKEN) + 12
            assert sum(kind is RDS for kind, _, _ in client.responses) == changes + 1

    asyncio.run(scenario())
