"""The hub's network, made for real in a child with namespaces of its own."""

import os
import socket
import traceback
from collections.abc import Callable

import pytest

from rhumb.local import linux, network

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(
        bool(linux.reason_without_namespaces()), reason=linux.reason_without_namespaces()
    ),
]


def in_hub(work: Callable[[], None]) -> None:
    """Run work as root of new user and network namespaces; what it raises fails the test."""
    reading, writing = os.pipe()
    uid, gid = os.geteuid(), os.getegid()
    child = linux.clone(linux.CLONE_NEWUSER | linux.CLONE_NEWNET)
    if child == 0:
        try:
            linux.die_with_parent()
            linux.map_user(0, uid, 0, gid)
            work()
        except BaseException:  # noqa: BLE001 - told to the parent
            os.write(writing, traceback.format_exc().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    assert not said, said


def exchange(listening: socket.socket, connecting: socket.socket, address: str, port: int) -> str:
    """Send a line both ways; return the address that the server saw."""
    listening.settimeout(5)
    connecting.settimeout(5)
    connecting.connect((address, port))
    accepted, peer = listening.accept()
    with accepted:
        accepted.settimeout(5)
        connecting.sendall(b"ping")
        assert accepted.recv(4) == b"ping"
        accepted.sendall(b"pong")
        assert connecting.recv(4) == b"pong"
    return str(peer[0])


def test_workloads_reach_each_other_and_the_hub() -> None:
    def work() -> None:
        network.set_up_hub()
        one = network.add_workload("one", "100.64.0.2")
        two = network.add_workload("two", "100.64.0.3")
        try:
            # Port 80 although nothing but the namespace's own root may use it elsewhere.
            server = network.inside(two, lambda: socket.create_server((two.address, 80)))
            client = network.inside(one, socket.socket)
            with server, client:
                assert exchange(server, client, two.address, 80) == one.address
            hub = socket.create_server((network.HUB, 15012))
            client = network.inside(two, socket.socket)
            with hub, client:
                assert exchange(hub, client, network.HUB, 15012) == two.address
        finally:
            one.close()
            two.close()

    in_hub(work)


def test_loopback_is_a_workloads_own() -> None:
    def work() -> None:
        network.set_up_hub()
        one = network.add_workload("one", "100.64.0.2")
        two = network.add_workload("two", "100.64.0.3")
        servers = [
            network.inside(each, lambda: socket.create_server(("127.0.0.1", 8080)))
            for each in (one, two)
        ]
        client = network.inside(one, socket.socket)
        with servers[0], servers[1], client:
            exchange(servers[0], client, "127.0.0.1", 8080)
        one.close()
        two.close()

    in_hub(work)


def test_an_address_that_is_used_is_refused() -> None:
    def work() -> None:
        network.set_up_hub()
        network.add_workload("one", "100.64.0.2")
        with pytest.raises(Exception, match="exists"):
            network.add_workload("two", "100.64.0.2")

    in_hub(work)


def test_nothing_leads_out_of_the_hub() -> None:
    def work() -> None:
        network.set_up_hub()
        with socket.socket() as client, pytest.raises(OSError, match=r"[Uu]nreachable"):
            client.connect(("192.0.2.1", 80))

    in_hub(work)


def test_an_address_is_free_as_soon_as_its_workload_left() -> None:
    def work() -> None:
        network.set_up_hub()
        for _ in range(3):
            one = network.add_workload("one", "100.64.0.2")
            # A program that is still ending keeps the namespace itself alive.
            lingering = network.inside(one, socket.socket)
            network.remove_workload(one)
            assert "rh2" not in [name for _, name in socket.if_nameindex()]
            lingering.close()

    in_hub(work)


def test_work_inside_fails_where_it_was_asked_for() -> None:
    def fails() -> None:
        raise LookupError("inside")

    def work() -> None:
        network.set_up_hub()
        one = network.add_workload("one", "100.64.0.2")
        with pytest.raises(LookupError, match="inside"):
            network.inside(one, fails)
        one.close()

    in_hub(work)
