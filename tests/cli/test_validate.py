import itertools
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rhumb.base.errors import RhumbError
from rhumb.cli.validate import command

GOOD = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
BAD = "apiVersion: v1\nkind: Service\nmetadata: {name: b}\nspec: {prots: []}\n"
WARNED = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: c}
spec:
  host: c
  trafficPolicy:
    outlierDetection: {consecutiveErrors: 3}
"""


def run(*arguments: str, text: str = "") -> Result:
    return CliRunner().invoke(command, list(arguments), input=text)


def test_accepted_objects_print_nothing_and_exit_0(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    result = run("-f", str(tmp_path))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "1 accepted, 0 rejected, 0 warnings" in result.stderr


def test_warnings_are_printed_and_exit_0() -> None:
    result = run("-f", "-", text=WARNED)
    assert result.exit_code == 0
    assert (
        "-:7: warning: DestinationRule default/c: spec.trafficPolicy.outlierDetection"
        in result.stdout
    )


def test_one_rejected_object_exits_1_with_place_and_way_out(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(GOOD + "---\n" + BAD)
    result = run("-f", str(file), "-o", "json", "-n", "shop")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == [
        {
            "file": str(file),
            "line": 8,
            "kind": "Service",
            "namespace": "shop",
            "name": "b",
            "field": "spec.prots",
            "level": "error",
            "message": 'unknown field "prots"',
            "fix": 'did you mean "ports"?',
        }
    ]


def test_two_files_that_define_one_object_fight(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(GOOD)
    result = run("-f", str(tmp_path))
    assert result.exit_code == 1
    assert "b.yaml:1: error: Service default/a: is defined in" in result.stdout


@pytest.mark.parametrize("content", [None, "notes.txt"])
def test_nothing_to_check_is_an_error_of_use(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "missing"
    if content:
        path.mkdir()
        (path / content).write_text("x")
    result = run("-f", str(path))
    assert isinstance(result.exception, RhumbError)
    assert result.exception.hint


def test_wrong_usage_exits_2() -> None:
    assert run().exit_code == 2
    assert run("-f", "x", "-o", "xml").exit_code == 2


GATEWAYS = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: NAME, creationTimestamp: "2020-01-0DAYT00:00:00Z"}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 80, name: a, protocol: PROTOCOL}
    hosts: ["*"]
"""


def test_what_a_second_object_takes_from_a_first_is_a_warning(tmp_path: Path) -> None:
    for name, day, protocol in (("one", "1", "HTTP"), ("two", "2", "TCP")):
        text = GATEWAYS.replace("NAME", name).replace("DAY", day).replace("PROTOCOL", protocol)
        (tmp_path / f"{name}.yaml").write_text(text)
    result = run("-f", str(tmp_path))
    assert result.exit_code == 0
    assert "two.yaml:7: warning: Gateway default/two: spec.servers[0]" in result.stdout
    assert "2 accepted, 0 rejected, 1 warnings" in result.stderr


def test_the_order_of_the_arguments_does_not_matter(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.yaml").write_text(GOOD + "---\n" + BAD + "---\n" + WARNED)
    files = [str(tmp_path / f"{name}.yaml") for name in ("a", "b", "c")]
    said = {
        run(*(part for file in order for part in ("-f", file)), "-o", "json").stdout
        for order in itertools.permutations(files)
    }
    assert len(said) == 1
    assert len(json.loads(said.pop())) == 3 + 3 + 4


def test_several_paths_may_follow_one_option(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.yaml").write_text(GOOD.replace("name: a", f"name: {name}"))
    result = run("-f", *(str(tmp_path / f"{name}.yaml") for name in ("a", "b", "c")), "-o", "json")
    assert "3 accepted" in result.stderr
    assert json.loads(result.stdout) == []


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    assert run("-f", str(tmp_path), "-f", str(tmp_path / "a.yaml")).exit_code == 0


def test_text_that_is_no_yaml_is_a_finding_without_an_object() -> None:
    result = run("-f", "-", "-o", "json", text="a: [\n")
    (row,) = json.loads(result.stdout)
    assert list(row) == [
        "file", "line", "kind", "namespace", "name", "field", "level", "message", "fix",
    ]  # fmt: skip
    assert (row["kind"], row["level"], result.exit_code) == ("", "error", 1)


def test_who_loses_to_another_object_is_told() -> None:
    first, second = (
        f"apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: {name}}}\n"
        'spec: {egress: [{hosts: ["*/*"]}]}\n'
        for name in "ab"
    )
    result = run("-f", "-", text=f"{first}---\n{second}")
    assert result.exit_code == 0
    assert "Sidecar default/b: has no effect: Sidecar default/a is for the whole" in result.stdout
