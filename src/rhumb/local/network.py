"""The network of a local mesh: one bridge, one namespace with a pair of links for each workload.

Runs inside the mesh's own user and network namespace (the hub), where this process may do all that.
"""

import contextlib
import ipaddress
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from rhumb.local import linux
from rhumb.local.addresses import HUB, WORKLOADS

T = TypeVar("T")

BRIDGE = "rhumb0"


def set_up_hub() -> None:
    """Make the bridge and bring loopback up.

    Raises OSError or pyroute2's NetlinkError when the kernel refuses.
    """
    in_hub(_make_hub)


def _make_hub() -> None:
    _allow_low_ports()
    with IPRoute() as route:
        _loopback_up(route)
        # Without an address of its own it takes one of its ports', another whenever they change.
        route.link("add", ifname=BRIDGE, kind="bridge", address=_hardware(HUB))
        index = route.link_lookup(ifname=BRIDGE)[0]
        route.addr("add", index=index, address=HUB, prefixlen=WORKLOADS.prefixlen)
        route.link("set", index=index, state="up")
    _bypass_filters()


def _bypass_filters() -> None:
    """Let frames cross the bridge without a look by netfilter: redirection is the workloads' own affair."""
    for path in Path("/proc/sys/net/bridge").glob("bridge-nf-call-*"):
        with contextlib.suppress(OSError):  # read-only in some containers: slower, not wrong
            path.write_text("0")


def add_workload(address: str) -> int:
    """Make a namespace with `eth0` on the bridge; all traffic leaves by the hub.

    Returns an open descriptor, which keeps it alive.
    """
    handle = in_hub(_new_namespace)
    in_hub(lambda: _connect(address, handle))
    inside(handle, lambda: _configure(address))
    return handle


def _connect(address: str, handle: int) -> None:
    link = _link_name(address)
    with IPRoute() as route:
        peer = {"ifname": "eth0", "net_ns_fd": handle, "address": _hardware(address)}
        route.link("add", ifname=link, kind="veth", peer=peer)
        index = route.link_lookup(ifname=link)[0]
        bridge = route.link_lookup(ifname=BRIDGE)[0]
        route.link("set", index=index, master=bridge, state="up")


def remove_workload(address: str) -> None:
    """Take a workload off the bridge, so that its address may be given again at once.

    The kernel would do so too, but late: after the namespace's last process has ended.
    """
    in_hub(lambda: _disconnect(address))


def _disconnect(address: str) -> None:
    with IPRoute() as route:
        for index in route.link_lookup(ifname=_link_name(address)):
            with contextlib.suppress(NetlinkError):  # the kernel was quicker
                route.link("del", index=index)


def inside(namespace: int, work: Callable[[], T]) -> T:
    """Run a short piece of synchronous work in an open namespace, on a thread of its own."""

    def enter() -> T:
        linux.setns(namespace, linux.CLONE_NEWNET)
        return work()

    return in_hub(enter)


def _configure(address: str) -> None:
    _allow_low_ports()
    with IPRoute() as route:
        _loopback_up(route)
        index = route.link_lookup(ifname="eth0")[0]
        route.addr("add", index=index, address=address, prefixlen=WORKLOADS.prefixlen)
        route.link("set", index=index, state="up")
        route.route("add", dst="default", gateway=HUB)


def _loopback_up(route: IPRoute) -> None:
    route.link("set", index=route.link_lookup(ifname="lo")[0], state="up")


def _allow_low_ports() -> None:
    # Applications have no capabilities, yet may listen on port 80: nothing else lives here.
    Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0")


def _hardware(address: str) -> str:
    """Return the link's own address: always the same, for others remember it beyond a restart."""
    return "02:00:" + ":".join(f"{byte:02x}" for byte in ipaddress.ip_address(address).packed)


def _link_name(address: str) -> str:
    last = int(ipaddress.ip_address(address)) - int(WORKLOADS.network_address)
    return f"rh{last}"


def _new_namespace() -> int:
    linux.unshare(linux.CLONE_NEWNET)
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def in_hub(work: Callable[[], T]) -> T:
    """Run work on a new thread, so that this one keeps its namespace whatever the work enters.

    pyroute2 runs an event loop of its own besides, which the caller's thread may have running.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="namespace") as threads:
        return threads.submit(work).result()
