"""Every case folder: what each of its proxies receives, and that the real Envoy takes it.

`proxies.yaml` introduces the proxies; `shows` says which parts of a proxy's configuration the case
keeps: listeners and routes where it does not say.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from google.protobuf.message import Message

from rhumb.encode.clusters import cluster
from rhumb.encode.endpoints import load_assignment
from rhumb.encode.listeners import listener
from rhumb.encode.routes import route_configuration
from rhumb.encode.secrets import secret
from rhumb.ir.cluster import Cluster
from rhumb.ir.endpoint import LoadAssignment
from rhumb.ir.listener import Listener
from rhumb.ir.route import RouteConfiguration
from rhumb.ir.secret import Secret
from rhumb.model.finding import Level
from rhumb.model.proxy import Role
from rhumb.testing import envoy, golden
from rhumb.testing.world import mesh_config, proxy, resources, world
from rhumb.translate.proxy import resources as translated
from rhumb.validation.load import Loader
from rhumb.xds.types import XdsType

CASES = sorted(p.parent for p in Path(__file__).parent.glob("*/input.yaml"))


@pytest.mark.envoy
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_case(case: Path, bless: bool) -> None:
    text = (case / "input.yaml").read_text()
    refused = [f.text() for d in Loader().load(text) for f in d.findings if f.level is Level.ERROR]
    assert refused == []
    found = resources(text)
    if (case / "mesh.yaml").exists():
        found += mesh_config((case / "mesh.yaml").read_text())
    snapshot = world(found)
    actual: dict[str, str] = {}
    for name, said in yaml.safe_load((case / "proxies.yaml").read_text()).items():
        shown = said.pop("shows", ["listeners", "routes"])
        if "role" in said:
            said["role"] = Role(said["role"])
        view = snapshot.view(proxy(**said))
        lds = translated(snapshot, view, XdsType.LDS)
        rds = translated(snapshot, view, XdsType.RDS)
        cds = translated(snapshot, view, XdsType.CDS)
        eds = translated(snapshot, view, XdsType.EDS)
        sds = translated(snapshot, view, XdsType.SDS)
        listeners = [listener(v) for v in lds if isinstance(v, Listener)]
        routes = [route_configuration(v) for v in rds if isinstance(v, RouteConfiguration)]
        clusters = [cluster(v) for v in cds if isinstance(v, Cluster)]
        made: dict[str, Sequence[Message]] = {
            "listeners": listeners,
            "routes": routes,
            "clusters": clusters,
            "endpoints": [load_assignment(v) for v in eds if isinstance(v, LoadAssignment)],
            "secrets": [secret(v) for v in sds if isinstance(v, Secret)],
        }
        for part in shown:
            actual[f"{name}.{part}.yaml"] = golden.as_yaml(made[part])
        assert envoy.validate(listeners, {r.name: r for r in routes}, clusters) == ""
    golden.check(case, actual, bless=bless)
