"""What is tried inside a hub: `python -m tests.local.hub NAME` runs one piece as root of new namespaces.

In an interpreter of its own, for the test process has threads: a copy of it would inherit their locks
but not them, and wait for ever.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from rhumb.agent.redirect import Chain, Match, Rule
from rhumb.local import linux, network
from rhumb.local.addresses import HUB
from rhumb.local.network_client import Network, NetworkError
from rhumb.testing.waiting import until

ONE, TWO = "100.64.0.2", "100.64.0.3"


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


def workloads_reach_each_other_and_the_hub() -> None:
    one, two = network.add_workload(ONE), network.add_workload(TWO)
    # Port 80 although nothing but the namespace's own root may use it elsewhere.
    server = network.inside(two, lambda: socket.create_server((TWO, 80)))
    client = network.inside(one, socket.socket)
    with server, client:
        assert exchange(server, client, TWO, 80) == ONE
    hub = socket.create_server((HUB, 15012))
    client = network.inside(two, socket.socket)
    with hub, client:
        assert exchange(hub, client, HUB, 15012) == TWO


def netfilter_does_not_look_at_what_crosses_the_bridge() -> None:
    for path in Path("/proc/sys/net/bridge").glob("bridge-nf-call-*"):
        assert path.read_text() == "0\n"


def loopback_is_a_workloads_own() -> None:
    one, two = network.add_workload(ONE), network.add_workload(TWO)
    servers = [
        network.inside(each, lambda: socket.create_server(("127.0.0.1", 8080)))
        for each in (one, two)
    ]
    client = network.inside(one, socket.socket)
    with servers[0], servers[1], client:
        exchange(servers[0], client, "127.0.0.1", 8080)


def an_address_that_is_used_is_refused() -> None:
    network.add_workload(ONE)
    with pytest.raises(Exception, match="exists"):
        network.add_workload(ONE)


def nothing_leads_out_of_the_hub() -> None:
    with socket.socket() as client, pytest.raises(OSError, match=r"[Uu]nreachable"):
        client.connect(("192.0.2.1", 80))


def an_address_is_free_as_soon_as_its_workload_left() -> None:
    for _ in range(3):
        one = network.add_workload(ONE)
        # A program that is still ending keeps the namespace itself alive.
        lingering = network.inside(one, socket.socket)
        network.remove_workload(ONE)
        assert "rh2" not in [name for _, name in socket.if_nameindex()]
        lingering.close()


def links_keep_their_own_addresses() -> None:
    def address(name: str) -> object:
        with IPRoute() as route:
            (link,) = route.get_links(ifname=name)
            return dict(link["attrs"])["IFLA_ADDRESS"]

    def seen() -> tuple[object, object]:
        one = network.add_workload(ONE)
        found = network.inside(one, lambda: address("eth0")), address(network.BRIDGE)
        network.remove_workload(ONE)
        return found

    first = seen()
    assert seen() == first
    assert address(network.BRIDGE) == first[1]


def a_process_of_its_own_makes_the_same() -> None:
    def children() -> list[str]:
        return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()

    async def main() -> None:
        kernel = Network()
        one, two = [await kernel.add(address) for address in (ONE, TWO)]
        await kernel.redirect([Rule(chain=Chain.INBOUND, match=Match(port=80), to=8080)], two)
        server = network.inside(two, lambda: socket.create_server((TWO, 8080)))
        client = network.inside(one, socket.socket)
        with server, client:
            exchange(server, client, TWO, 80)
        with pytest.raises(NetworkError, match="exists"):
            await kernel.add(TWO)
        await kernel.remove(TWO)
        assert await kernel.add(TWO) not in (one, two)
        assert children()
        await until(lambda: not children())  # it goes when it has nothing to do
        await kernel.remove(TWO)

    asyncio.run(main())


def work_inside_fails_where_it_was_asked_for() -> None:
    def fails() -> None:
        raise LookupError("inside")

    one = network.add_workload(ONE)
    with pytest.raises(LookupError, match="inside"):
        network.inside(one, fails)


WORKS: Mapping[str, Callable[[], None]] = {
    work.__name__: work
    for work in (
        workloads_reach_each_other_and_the_hub,
        netfilter_does_not_look_at_what_crosses_the_bridge,
        loopback_is_a_workloads_own,
        an_address_that_is_used_is_refused,
        nothing_leads_out_of_the_hub,
        an_address_is_free_as_soon_as_its_workload_left,
        links_keep_their_own_addresses,
        a_process_of_its_own_makes_the_same,
        work_inside_fails_where_it_was_asked_for,
    )
}


def main(name: str) -> None:
    """Become root of new user and network namespaces, make the hub, and run one piece."""
    uid, gid = os.geteuid(), os.getegid()
    linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNET)
    linux.map_user(0, uid, 0, gid)
    network.set_up_hub()
    WORKS[name]()


if __name__ == "__main__":
    main(sys.argv[1])
