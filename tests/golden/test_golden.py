"""Every case folder: what each of its proxies receives, and that the real Envoy takes it."""

from pathlib import Path

import pytest
import yaml

from rhumb.encode.dispatch import message
from rhumb.model.proxy import Role
from rhumb.testing import envoy, golden
from rhumb.testing.world import mesh_config, proxy, resources, world
from rhumb.translate.proxy import resources as translated
from rhumb.xds.types import XdsType

CASES = sorted(p.parent for p in Path(__file__).parent.glob("*/input.yaml"))
TYPES = {
    "listeners": XdsType.LDS,
    "routes": XdsType.RDS,
}


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
        made = {
            kind: [message(v) for v in translated(snapshot, view, kind)]
            for kind in (XdsType.LDS, XdsType.RDS, XdsType.CDS, XdsType.EDS)
        }
        for title, kind in TYPES.items():
            actual[f"{name}.{title}.yaml"] = golden.as_yaml(made[kind])
        routes = {r.name: r for r in made[XdsType.RDS]}
        assert envoy.validate(made[XdsType.LDS], routes, made[XdsType.CDS]) == ""
    golden.check(case, actual, bless=bless)
