"""What is allotted on loopback: ports, seats, doors, variables."""

import asyncio
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.local.mesh import free_port

from rhumb.base.errors import RhumbError
from rhumb.local import loopback, topology
from rhumb.local.loopback import Block, Loopback
from rhumb.local.topology import Topology

TEXT = """
services:
  web:
    ports: [{{name: http, port: 80, targetPort: {port}}}, {{name: grpc-admin, port: 9000}}]
    command: x
    replicas: 2
  my-db: {{ports: [{{name: tcp, port: 5432}}], command: x}}
gateways: {{ingressgateway: {{publish: ["0:80", "0:443"]}}}}
"""


def mesh(port: int = 81) -> Topology:
    return topology.parse(TEXT.format(port=port), Path("/srv/rhumb.yaml"), {})


@pytest.fixture
def ground() -> Iterator[Loopback]:
    made = Loopback("/the/mesh")
    yield made
    made.close()


def test_two_meshes_have_no_port_in_common(ground: Loopback) -> None:
    second = Loopback("/another")
    try:
        taken = [
            {*seat.received.values(), *seat.listening.values(), seat.ports.admin, seat.proxy}
            for one in (ground, second)
            for plan in mesh().workloads[:1]
            for seat in (one.seat(plan, mesh().services[0]),)
        ]
    finally:
        second.close()
    assert not taken[0] & taken[1]
    assert ground.plane.secure != second.plane.secure


def test_all_that_a_workload_serves_has_ports_for_its_proxy_and_its_program(
    ground: Loopback,
) -> None:
    first, twin, *_ = mesh().workloads
    web = mesh().services[0]
    seat, other = ground.seat(first, web), ground.seat(twin, web)
    assert set(seat.received) == set(seat.listening) == {81, 9000}
    numbers = [
        *seat.received.values(), *seat.listening.values(), *other.received.values(),
        *other.listening.values(), seat.proxy, other.proxy, seat.ports.admin, other.ports.admin,
    ]  # fmt: skip
    assert len(set(numbers)) == len(numbers)


def test_a_program_gets_the_port_it_expects_if_nobody_has_it(ground: Loopback) -> None:
    port = free_port()
    first, twin, *_ = mesh(port).workloads
    web = mesh(port).services[0]
    assert ground.seat(first, web).at_program(port) == port
    assert ground.seat(twin, web).at_program(port) != port


def test_a_port_that_somebody_listens_on_is_not_given(ground: Loopback) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
        plan = mesh(port).workloads[0]
        assert ground.seat(plan, mesh(port).services[0]).at_program(port) != port


def test_a_port_whose_last_connections_still_wait_is_given(ground: Loopback) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()  # whoever closes first waits
            assert client.recv(1) == b""
    plan = mesh(port).workloads[0]
    assert ground.seat(plan, mesh(port).services[0]).at_program(port) == port


def test_ports_below_1024_are_nobodys_to_give(ground: Loopback) -> None:
    plan = mesh(80).workloads[0]
    assert ground.seat(plan, mesh(80).services[0]).at_program(80) >= loopback.FIRST


def test_a_seat_stays_while_what_is_served_does(ground: Loopback) -> None:
    plan, web = mesh().workloads[0], mesh().services[0]
    seat = ground.seat(plan, web)
    assert ground.seat(plan, web) is seat
    assert ground.seat(plan, mesh(82).services[0]) is not seat


def test_a_released_seat_may_be_given_again(ground: Loopback) -> None:
    plan, web = mesh().workloads[0], mesh().services[0]
    seat = ground.seat(plan, web)
    ground.release(plan.id)
    assert ground.seat(plan, web) == seat


def test_a_gateway_has_a_port_for_each_that_it_serves_and_no_program(ground: Loopback) -> None:
    gateway = mesh().workloads[-1]
    seat = ground.seat(gateway, None)
    assert set(seat.received) == {80, 443}
    assert (dict(seat.listening), seat.proxy) == ({}, 0)
    assert ground.doors(gateway, mesh().services) == ()


@pytest.mark.skipif(sys.platform != "linux", reason="a single loopback address")
def test_doors_are_for_what_no_http_proxy_carries(ground: Loopback) -> None:
    first, twin, *_ = mesh().workloads
    (door,) = ground.doors(first, mesh().services)
    assert (door.service.name, door.ports[0].port) == ("my-db", 5432)
    assert (door,) == ground.doors(first, mesh().services)
    (other,) = ground.doors(twin, mesh().services)
    assert other.address != door.address


@pytest.mark.skipif(sys.platform != "linux", reason="a single loopback address")
def test_programs_are_told_the_ways_into_the_mesh(ground: Loopback) -> None:
    plan, web = mesh().workloads[0], mesh().services[0]
    seat, doors = ground.seat(plan, web), ground.doors(plan, mesh().services)
    said = asyncio.run(ground.open(plan, seat, doors)).variables()
    assert said["HTTP_PROXY"] == said["http_proxy"] == f"http://127.0.0.1:{seat.proxy}"
    assert "127.0.0.1" in said["NO_PROXY"]
    assert said["MY_DB_SERVICE_HOST"] == doors[0].address
    assert said["MY_DB_SERVICE_PORT"] == "5432"
    assert said["RHUMB_MESH"] == "/the/mesh"


def test_where_all_blocks_are_taken_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback, "LAST", loopback.FIRST)
    with pytest.raises(RhumbError, match="no ports are left") as caught:
        Block()
    assert "rhumb down" in caught.value.hint
