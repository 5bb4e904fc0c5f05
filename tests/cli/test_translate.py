import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from rhumb.base.errors import RhumbError
from rhumb.cli.translate import command

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {clusterIP: 10.1.0.1, selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews-1}
spec: {address: 10.2.0.1, labels: {app: reviews, version: v1}}
"""
WARNED = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: c}
spec:
  host: reviews
  trafficPolicy:
    outlierDetection: {consecutiveErrors: 3}
"""
REFUSED = "apiVersion: v1\nkind: Service\nmetadata: {name: b}\nspec: {prots: []}\n"
NODE = json.dumps(
    {
        "id": "sidecar~10.2.0.1~reviews-1.default~default.svc.cluster.local",
        "metadata": {"LABELS": {"app": "reviews"}},
    }
)
SECTIONS = ["listeners", "routes", "clusters", "endpoints", "secrets", "extensions"]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "mesh").mkdir()
    (tmp_path / "mesh" / "a.yaml").write_text(SERVICE)
    (tmp_path / "node.json").write_text(NODE)
    return tmp_path


def run(*arguments: object, text: str = "") -> Result:
    return CliRunner().invoke(command, [str(each) for each in arguments], input=text)


def test_one_object_with_all_sections(files: Path) -> None:
    result = run("-f", files / "mesh", "--node", files / "node.json")
    assert (result.exit_code, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    assert list(found) == SECTIONS
    assert "virtual_hosts" in found["routes"][0]
    assert found["endpoints"][0]["cluster_name"].startswith("outbound|9080||reviews")
    assert result.stdout == run("-f", files / "mesh", "--node", "-", text=NODE).stdout


def test_yaml_says_the_same(files: Path) -> None:
    said = ("-f", files / "mesh", "--node", files / "node.json")
    found = yaml.safe_load(run(*said, "-o", "yaml").stdout)
    assert list(found) == SECTIONS
    assert found == json.loads(run(*said).stdout)


def test_types_are_chosen_and_the_other_sections_are_empty(files: Path) -> None:
    said = ("-f", files / "mesh", "--node", files / "node.json")
    found = json.loads(run(*said, "--type", "LDS, eds").stdout)
    assert [name for name, section in found.items() if section] == ["listeners", "endpoints"]
    assert list(found) == SECTIONS
    wrong = run(*said, "--type", "lds,vhds")
    assert wrong.exit_code == 2
    assert '"vhds" is none of lds, rds' in wrong.stderr


def test_a_workload_of_the_files_stands_for_a_node(files: Path) -> None:
    found = run("-f", files / "mesh", "--workload", "reviews-1.default")
    assert found.exit_code == 0
    assert "inbound|9080||" in found.stdout


def test_warnings_go_to_standard_error_and_exit_0(files: Path) -> None:
    (files / "mesh" / "b.yaml").write_text(WARNED)
    result = run("-f", files / "mesh", "--node", files / "node.json")
    assert result.exit_code == 0
    assert "b.yaml:7: warning: DestinationRule default/c" in result.stderr
    assert json.loads(result.stdout)["clusters"]


def test_a_refused_object_exits_1_and_the_others_are_translated(files: Path) -> None:
    (files / "mesh" / "b.yaml").write_text(REFUSED)
    result = run("-f", files / "mesh", "--node", files / "node.json")
    assert result.exit_code == 1
    assert "b.yaml:4: error: Service default/b: spec.prots" in result.stderr
    assert json.loads(result.stdout)["endpoints"]


def test_the_mesh_config_of_a_file(files: Path) -> None:
    (files / "m.yaml").write_text("outboundTrafficPolicy: {mode: REGISTRY_ONLY}")
    said = ("-f", files / "mesh", "--node", files / "node.json", "--type", "lds")
    for options, expected in (((), True), (("--mesh-config", files / "m.yaml"), False)):
        found = json.loads(run(*said, *options).stdout)["listeners"]
        outbound = next(each for each in found if each["name"] == "virtualOutbound")
        assert ("PassthroughCluster" in json.dumps(outbound)) is expected
    (files / "m.yaml").write_text("outboundTraficPolicy: {}")
    assert run(*said, "--mesh-config", files / "m.yaml").exit_code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["-f", "x"],
        ["-f", "x", "--node", "n", "--workload", "w"],
        ["-f", "-", "--node", "-"],
        ["-f", "x", "--node", "n", "-o", "xml"],
    ],
)
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_what_is_not_there_says_so(files: Path) -> None:
    for arguments, message in (
        (["-f", files / "none", "--node", files / "node.json"], "none does not exist"),
        (["-f", files / "mesh", "--node", files / "none"], "cannot read"),
        (["-f", files / "mesh", "--workload", "reviews-2"], "no workload reviews-2.default"),
        (["-f", files / "mesh", "--node", files / "mesh" / "a.yaml"], "not an Envoy Node"),
    ):
        result = run(*arguments)
        assert isinstance(result.exception, RhumbError)
        assert message in str(result.exception)
        assert result.exception.hint
