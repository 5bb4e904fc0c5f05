"""What `rhumb status` makes of the page."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from rhumb.base.errors import RhumbError
from rhumb.cli import status
from rhumb.cli.printer import Exit
from rhumb.cli.sync import Problem, Report, fetch_from, problems, rows

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


def stream(
    name: str = "reviews-1.default", role: str = "sidecar", **more: object
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "proxy": f"{role}~10.0.0.2~{name}~default.svc.cluster.local",
        "name": name,
        "role": role,
        "identity": "spiffe://cluster.local/ns/default/sa/reviews",
        "certificate_issued": "2030-01-01T00:00:00Z",
        "certificate_expires": "2030-01-02T00:00:00Z",
        "version": "1.28.0",
        "connected_seconds": 60.0,
        "last_push_seconds": 5.0,
        "pushes": 3,
        "types": {
            kind: {"state": "SYNCED", "resources": 2} for kind in ("CDS", "EDS", "LDS", "RDS")
        },
    }
    return made | more


def page(*streams: dict[str, Any]) -> bytes:
    return msgspec.json.encode(streams)


def show(*streams: dict[str, Any], output: str = "table", wrong: Sequence[Problem] = ()) -> Exit:
    return status.show(Report(proxies=rows(page(*streams)), findings=list(wrong)), output, NOW)


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


def test_a_proxy_is_one_line_however_many_streams_it_has(
    capsys: pytest.CaptureFixture[str],
) -> None:
    agent = stream(role="agent", types={"NDS": {"state": "SYNCED"}})
    assert show(stream(), agent) is Exit.OK
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == [
        "PROXY", "IDENTITY", "CERTIFICATE", "CDS", "EDS", "LDS", "RDS", "SDS", "PUSHED", "VERSION",
    ]  # fmt: skip
    assert line.split("  ")[0] == "reviews-1.default"
    assert "default/reviews" in line
    assert "12h old, 12h left" in line
    assert line.count("SYNCED") == 4
    assert "5s ago" in line
    (row,) = rows(page(stream(), agent))
    assert row.types.keys() == {"CDS", "EDS", "LDS", "RDS", "NDS"}
    assert row.node == "sidecar~10.0.0.2~reviews-1.default~default.svc.cluster.local"


def test_a_rejection_is_told_in_the_proxys_words_with_the_objects_and_an_exit_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = stream()
    bad["types"]["RDS"] = {
        "state": "NACK",
        "error": "route: invalid regex",
        "refused": ["9080"],
        "objects": ["VirtualService default/reviews spec.http[0] (routes.yaml:8)"],
    }
    assert show(bad) is Exit.FOUND
    out = capsys.readouterr().out
    assert "reviews-1.default rejected RDS: route: invalid regex" in out
    assert "object    VirtualService default/reviews spec.http[0] (routes.yaml:8)" in out


def test_an_agent_without_its_envoy_is_shown_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    alone = stream(role="agent", types={"NDS": {"state": "SYNCED"}})
    (row,) = rows(page(alone))
    assert not row.connected
    assert show(alone) is Exit.FOUND
    out = capsys.readouterr().out
    assert "SYNCED" not in out
    assert "its Envoy is not connected" in out


@pytest.mark.parametrize("kind", ["CDS", "SDS", "NDS"])
def test_what_is_on_its_way_is_not_in_step(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    late = stream()
    late["types"][kind] = {"state": "STALE", "resources": 1}
    assert show(late) is Exit.FOUND
    assert ("STALE" in capsys.readouterr().out) is (kind != "NDS")


def test_of_two_streams_after_a_reconnection_the_younger_counts() -> None:
    old = stream(types={"CDS": {"state": "STALE"}}, connected_seconds=100.0)
    young = stream(connected_seconds=1.0)
    (row,) = rows(page(old, young))
    assert row.types["CDS"].state == "SYNCED"


@pytest.mark.parametrize(
    ("expires", "text"),
    [("2030-01-01T11:00:00Z", "EXPIRED"), ("", "-"), ("2030-01-05T12:00:00Z", "12h old, 4d left")],
)
def test_a_certificate_says_what_is_left(
    expires: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show(stream(certificate_expires=expires))
    assert text in capsys.readouterr().out.splitlines()[1]


def test_json_says_everything(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = [Problem(level="warning", message="old", file="a.yaml", line=3, code="IST0002")]
    assert show(stream(), stream(name="a.b"), output="json", wrong=wrong) is Exit.OK
    found = msgspec.json.decode(capsys.readouterr().out)
    assert [row["name"] for row in found["proxies"]] == ["a.b", "reviews-1.default"]
    assert found["proxies"][0]["types"]["CDS"]["state"] == "SYNCED"
    assert found["findings"][0]["file"] == "a.yaml"
    assert found["findings"][0]["code"] == "IST0002"


def test_nobody_connected_is_said_beside_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert show() is Exit.OK
    assert capsys.readouterr() == ("", "no proxy is connected\n")


@pytest.mark.parametrize("name", ["ingressgateway.default", "a-long-name-v1-canary.production"])
def test_80_columns_are_enough(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    identity = f"spiffe://cluster.local/ns/{name.partition('.')[2]}/sa/{name.partition('.')[0]}"
    late = stream(name=name, identity=identity, last_push_seconds=119.0)
    late["types"]["SDS"] = {"state": "SYNCED", "resources": 1}
    show(late)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert all(line == line.rstrip() for line in lines)
    assert sum(line.startswith("PROXY") for line in lines) == 2
    assert any("12h old, 12h left" in line for line in lines)
    assert any(line.count("SYNCED") == 5 for line in lines)
    shown = "".join(line.split("  ")[0] for line in lines)
    assert shown.count(name) == 2


def test_another_servers_answer_and_no_answer_say_what_to_do() -> None:
    with pytest.raises(RhumbError, match="not the status of a control plane") as caught:
        rows(b"<html>")
    assert "15014" in caught.value.hint
    with pytest.raises(RhumbError, match=r"no control plane answers at 127\.0\.0\.1:1:") as caught:
        fetch_from("127.0.0.1:1")("/debug/syncz")
    assert "--control-plane" in caught.value.hint


def test_what_is_wrong_with_the_configuration_stands_below_errors_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = [
        {"level": "info", "message": "advice"},
        {"level": "warning", "object": "Gateway a/b", "message": "loses", "file": "g.yaml", "line": 3},
        {"level": "error", "message": "broken", "fix": "repair it"},
        *({"level": "warning", "message": f"more {n}"} for n in range(20)),
    ]  # fmt: skip
    wrong = problems(msgspec.json.encode(found))
    assert show(stream(), wrong=wrong) is Exit.FOUND
    lines = capsys.readouterr().out.splitlines()[3:]
    assert lines[0] == "CONFIGURATION"
    assert lines[1] == "error: broken (repair it)"
    assert lines[2] == "g.yaml:3: warning: Gateway a/b: loses"
    assert lines[-1] == "and 2 more: see `rhumb status -o json`"
    assert show(stream(), wrong=wrong[1:]) is Exit.OK
