"""Every case folder: what each of its proxies receives, and that the real Envoy takes it."""

from pathlib import Path

import pytest
import yaml

from rhumb.encode.clusters import cluster
from rhumb.encode.listeners import listener
from rhumb.encode.routes import route_configuration
from rhumb.ir.cluster import Cluster
from rhumb.ir.listener import Listener
from rhumb.ir.route import RouteConfiguration
from rhumb.model.proxy import Role
from rhumb.testing import envoy, golden
from rhumb.testing.world import mesh_config, proxy, resources, world
from rhumb.translate.proxy import resources as translated
from rhumb.xds.types import XdsType

CASES = sorted(p.parent for p in Path(__file__).parent.glob("*/input.yaml"))


@pytest.mark.envoy
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_case(case: Path, bless: bool) -> None:
    found = resources((case / "input.yaml").read_text())
    if (case / "mesh.yaml").exists():
        found += mesh_config((case / "mesh.yaml").read_text())
    snapshot = world(found)
    actual: dict[str, str] = {}
    for name, said in yaml.safe_load((case / "proxies.yaml").read_text()).items():
        if "role" in said:
            said["role"] = Role(said["role"])
        view = snapshot.view(proxy(**said))
        lds = translated(snapshot, view, XdsType.LDS)
        rds = translated(snapshot, view, XdsType.RDS)
        cds = translated(snapshot, view, XdsType.CDS)
        listeners = [listener(v) for v in lds if isinstance(v, Listener)]
        routes = [route_configuration(v) for v in rds if isinstance(v, RouteConfiguration)]
        clusters = [cluster(v) for v in cds if isinstance(v, Cluster)]
        actual[f"{name}.listeners.yaml"] = golden.as_yaml(listeners)
        actual[f"{name}.routes.yaml"] = golden.as_yaml(routes)
        assert envoy.validate(listeners, {r.name: r for r in routes}, clusters) == ""
    golden.check(case, actual, bless=bless)
