"""Tables of the local mesh: what they say, and that they fit."""

from typing import Any

import pytest

from rhumb.cli import tables


def row(name: str = "reviews-v1", **more: object) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": name,
        "namespace": "default",
        "address": "100.64.0.2",
        "ports": {},
        "application": "running",
        "proxy": "running",
        "ready": True,
        "publish": [],
    }
    return made | more


def test_a_workload_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    tables.workloads({"workloads": [row(), row("ingressgateway", application="")]})
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["WORKLOAD", "ADDRESS", "APPLICATION", "PROXY", "READY"]
    assert first.split() == ["reviews-v1.default", "100.64.0.2", "running", "running", "yes"]
    assert second.split()[2] == "-"


def test_where_addresses_are_shared_the_port_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    shared = row(address="127.0.0.1", ports={"9080": 20007, "9081": 20008})
    tables.workloads({"workloads": [shared]})
    assert "127.0.0.1:20007 " in capsys.readouterr().out


def test_what_keeps_a_workload_from_being_ready_stands_below(
    capsys: pytest.CaptureFixture[str],
) -> None:
    why = "no configuration from the control plane yet (clusters 0 received)"
    tables.workloads({"workloads": [row(), row("late", ready=False, why=why)]})
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split()[-1] == "no"
    assert lines[3:] == ["", f"late.default: {why}"]


@pytest.mark.parametrize("columns", ["80", "40"])
def test_long_names_are_folded_and_nothing_is_lost(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    name = "recommendation-engine-with-a-long-name-v1-canary"
    tables.workloads({"workloads": [row(name, application="running (12 restarts)")]})
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= int(columns)
    assert all(line == line.rstrip() for line in lines)
    if columns == "80":
        assert "".join(line.split(" ")[0] for line in lines[1:]) == f"{name}.default"


@pytest.mark.parametrize(
    ("publish", "url"),
    [
        ({"address": "127.0.0.1", "host_port": 8080, "port": 80}, "http://127.0.0.1:8080"),
        ({"address": "127.0.0.1", "host_port": 9443, "port": 443}, "https://127.0.0.1:9443"),
        ({"address": "::1", "host_port": 8080, "port": 80}, "http://[::1]:8080"),
    ],
)
def test_published_ports_are_addresses_to_open(publish: dict[str, Any], url: str) -> None:
    (line,) = tables.published({"workloads": [row("gw", publish=[publish])]})
    assert line.endswith(f" gw: {url}")


def test_published_ports_stand_in_the_order_of_the_gateways_own() -> None:
    plain = {"address": "127.0.0.1", "host_port": 9080, "port": 80}
    secure = {"address": "127.0.0.1", "host_port": 8443, "port": 443}
    lines = list(tables.published({"workloads": [row("gw", publish=[secure, plain])]}))
    assert [line.rpartition("/")[2] for line in lines] == ["127.0.0.1:9080", "127.0.0.1:8443"]


def test_a_table_that_fits_is_known() -> None:
    made = tables.table("A", "B")
    made.add_row("x" * 30, "y" * 30)
    assert tables.fits(made)
    made.add_row("x" * 90, "y")
    assert not tables.fits(made)
