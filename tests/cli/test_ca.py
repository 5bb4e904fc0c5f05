import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rhumb.base.errors import RhumbError
from rhumb.cli.ca import command
from rhumb.identity.trust import TrustBundle


def _run(state: Path, *words: str) -> Result:
    return CliRunner().invoke(command, [*words, "--state", str(state)])


def test_from_init_to_a_finished_rotation(tmp_path: Path) -> None:
    made = _run(tmp_path, "init")
    assert made.exit_code == 0, made.output
    first = TrustBundle.parse(made.stdout)  # standard output is the root and nothing else
    assert TrustBundle.parse(_run(tmp_path, "init").stdout) == first

    assert _run(tmp_path, "rotate", "-y").exit_code == 0
    facts = json.loads(_run(tmp_path, "show", "-o", "json").stdout)
    assert (facts["phase"], len(facts["roots"])) == ("trusting", 2)
    assert "coming" in _run(tmp_path, "show").stdout
    again = _run(tmp_path, "rotate", "-y")
    assert isinstance(again.exception, RhumbError)

    assert _run(tmp_path, "rotate", "--advance", "-y").exit_code == 0
    assert "leaving" in _run(tmp_path, "show").stdout
    assert _run(tmp_path, "rotate", "--advance", "-y").exit_code == 0
    last = TrustBundle.parse(_run(tmp_path, "show", "-o", "pem").stdout)
    assert len(last.roots) == 1
    assert last != first


def test_a_token_is_all_that_is_printed(tmp_path: Path) -> None:
    _ = _run(tmp_path, "init")
    made = _run(
        tmp_path, "token", "create", "-n", "shop", "--service-account", "cart", "--ttl", "30m"
    )
    assert made.exit_code == 0, made.output
    assert made.stdout.startswith("rhumb-join.")
    assert made.stdout.count("\n") == 1


@pytest.mark.parametrize("words", [("show",), ("rotate", "-y"), ("token", "create", "-n", "shop")])
def test_without_a_ca_the_way_to_one_is_told(tmp_path: Path, words: tuple[str, ...]) -> None:
    result = _run(tmp_path, *words)
    assert isinstance(result.exception, RhumbError)
    assert "rhumb ca init" in result.exception.hint
    assert not list(tmp_path.iterdir())


def test_rotate_asks_first(tmp_path: Path) -> None:
    _ = _run(tmp_path, "init")
    result = CliRunner().invoke(command, ["rotate", "--state", str(tmp_path)], input="n\n")
    assert result.exit_code == 1
    assert json.loads(_run(tmp_path, "show", "-o", "json").stdout)["phase"] == "steady"


def test_a_ttl_must_be_a_duration(tmp_path: Path) -> None:
    result = _run(tmp_path, "token", "create", "-n", "shop", "--ttl", "5x")
    assert result.exit_code == 2
    assert "invalid duration" in result.output
