"""rhumb.yaml: what it means, and what it says when it is wrong."""

import textwrap
from pathlib import Path

import pytest

from rhumb.base.errors import RhumbError
from rhumb.local import topology
from rhumb.local.topology import Publish, Topology

GOOD = """
name: shop
namespace: store
config: [mesh, more]
environment: {LEVEL: info, BOTH: all}
services:
  reviews:
    ports:
      - {name: http, port: 9080, targetPort: 8080}
      - {name: grpc-admin, port: 9090, protocol: grpc}
    command: [python3, app.py]
    workingDir: apps
    environment: {BOTH: service}
    versions:
      v1: {}
      v2: {replicas: 2, environment: {BOTH: version}, command: "exec python3 other.py $$PORT"}
      v3: {replicas: 0}
gateways:
  ingressgateway:
    publish: ["8080:80", "0.0.0.0:8443:443", "[::1]:0:81"]
"""


def parse(text: str, **environment: str) -> Topology:
    return topology.parse(textwrap.dedent(text), Path("/srv/shop/rhumb.yaml"), environment)


def refused(text: str, **environment: str) -> RhumbError:
    with pytest.raises(RhumbError) as caught:
        parse(text, **environment)
    return caught.value


def test_workloads_are_instances_of_versions() -> None:
    found = parse(GOOD)
    assert [w.id for w in found.workloads] == [
        "reviews-v1.store",
        "reviews-v2.store",
        "reviews-v2-1.store",
        "ingressgateway.store",
    ]
    assert [w.workload for w in found.workloads][:3] == ["reviews-v1", "reviews-v2", "reviews-v2"]
    assert dict(found.workloads[1].labels) == {"app": "reviews", "version": "v2"}
    assert found.workloads[0].service_account == "reviews"


def test_the_nearest_value_wins() -> None:
    first, second = (w.program for w in parse(GOOD).workloads[:2])
    assert first is not None
    assert second is not None
    assert dict(first.environment) == {"LEVEL": "info", "BOTH": "service"}
    assert dict(second.environment) == {"LEVEL": "info", "BOTH": "version"}
    assert first.argv == ("python3", "app.py")
    assert second.argv == ("/bin/sh", "-c", "exec python3 other.py $PORT")
    assert first.directory == "/srv/shop/apps"


def test_ports_keep_name_protocol_and_target() -> None:
    (service,) = parse(GOOD).services
    assert [(p.name, p.port, p.target_port, p.protocol) for p in service.ports] == [
        ("http", 9080, 8080, ""),
        ("grpc-admin", 9090, 0, "grpc"),
    ]


def test_a_gateway_publishes_on_loopback_unless_told() -> None:
    gateway = parse(GOOD).workloads[-1]
    assert gateway.gateway
    assert gateway.program is None
    assert set(gateway.publish) == {
        Publish("127.0.0.1", 8080, 80),
        Publish("0.0.0.0", 8443, 443),
        Publish("::1", 0, 81),
    }
    assert dict(gateway.labels)["istio"] == "ingressgateway"


def test_paths_are_relative_to_the_file() -> None:
    found = parse(GOOD)
    assert found.config == ("/srv/shop/mesh", "/srv/shop/more")
    assert found.name == "shop"
    assert parse("services: {a: {ports: [{port: 1}], command: x}}").name == "shop"


def test_plans_of_the_same_text_are_equal() -> None:
    assert parse(GOOD) == parse(GOOD)
    changed = parse(GOOD.replace("LEVEL: info", "LEVEL: debug"))
    assert changed.workloads[0] != parse(GOOD).workloads[0]
    assert changed.workloads[-1] == parse(GOOD).workloads[-1]


ONE = 'services: {a: {ports: [{port: 80}], command: "run %s"}}'


@pytest.mark.parametrize(
    ("written", "environment", "read"),
    [
        ("${NAME}", {"NAME": "x"}, "x"),
        ("${NAME:-other}", {}, "other"),
        ("${NAME:-other}", {"NAME": ""}, "other"),
        ("${NAME-other}", {"NAME": ""}, ""),
        ("$${NAME}", {"NAME": "x"}, "${NAME}"),
        ("$$HOME", {}, "$HOME"),
        ("$HOME", {"HOME": "/root"}, "$HOME"),
        ("${PORT}", {}, "${PORT}"),
    ],
)
def test_variables(written: str, environment: dict[str, str], read: str) -> None:
    program = parse(ONE % written, **environment).workloads[0].program
    assert program is not None
    assert program.argv[2] == f"run {read}"


def test_a_variable_that_is_not_set() -> None:
    error = refused("\n\n" + ONE % "${TOKEN}")
    assert str(error) == "/srv/shop/rhumb.yaml:3: ${TOKEN} is not set"
    assert "${TOKEN:-value}" in error.hint
    assert "ask Anna" in str(refused(ONE % "${TOKEN:?ask Anna}"))


def lines(error: RhumbError) -> list[str]:
    return str(error).removeprefix("/srv/shop/rhumb.yaml:").split("\n/srv/shop/rhumb.yaml:")


def test_an_unknown_field_is_named_with_its_line_and_what_was_meant() -> None:
    error = refused(
        """\
        services:
          web:
            ports: [{name: http, port: 80}]
            comand: [x]
        """
    )
    assert lines(error) == [
        '4: services[web].comand: unknown field "comand" (did you mean "command"?)'
    ]
    assert "rhumb.schema.json" in error.hint


@pytest.mark.parametrize(
    ("text", "line", "field", "words"),
    [
        ("name: x\n", 1, "services", "nothing to run"),
        (
            "services:\n  Web:\n    ports: [{port: 1}]\n    command: x\n",
            2,
            "services[Web]",
            "DNS label",
        ),
        (
            "services:\n  a:\n    command: x\n    ports:\n      - port: 70000\n",
            5,
            "services[a].ports[0].port",
            "1..65535",
        ),
        ("services:\n  a:\n    command: x\n", 2, "services[a].ports", "at least one port"),
        ("services:\n  a:\n    ports: [{port: 1}]\n", 2, "services[a].command", "nothing to run"),
        (
            "services:\n  a:\n    command: x\n    ports:\n      - {port: 1}\n      - {port: 2}\n",
            5,
            "services[a].ports[0].name",
            "several ports",
        ),
        (
            "gateways:\n  in:\n    publish:\n      - '80:80'\n      - 'http'\n",
            5,
            "gateways[in].publish[1]",
            "HOST-PORT",
        ),
        (
            "services:\n  a:\n    ports: [{port: eighty}]\n    command: x\n",
            3,
            "services[a].ports[0].port",
            "",
        ),
    ],
)
def test_what_is_wrong_has_file_line_and_field(
    text: str, line: int, field: str, words: str
) -> None:
    found = lines(refused(text))
    matching = [one for one in found if one.startswith(f"{line}: {field}: ")]
    assert matching, found
    assert words in matching[0]


def test_every_problem_is_told_at_once() -> None:
    error = refused("services:\n  A:\n    command: x\n  B:\n    ports: [{port: 0}]\n")
    assert len(lines(error)) == 5


def test_broken_yaml_has_its_line() -> None:
    assert str(refused("services:\n  a: [\n")).startswith("/srv/shop/rhumb.yaml:")


def test_two_documents_are_too_many() -> None:
    assert "exactly one document, not 2" in str(refused(f"{ONE}\n---\n{ONE}\n"))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RhumbError, match="does not exist") as caught:
        topology.load(tmp_path / "rhumb.yaml", {})
    assert "rhumb demo" in caught.value.hint
