"""The process that changes the network: python -m rhumb.local.network_process DESCRIPTOR.

Netlink's library takes more memory than all that a supervisor otherwise needs, and is needed when
workloads come and go only. So this process comes with the first order and goes soon after the last.
Orders and answers are messages of the control socket; the descriptor of a network namespace goes along.
"""

import os
import socket
import sys
from collections.abc import Callable, Sequence

import msgspec
from pyroute2.netlink.exceptions import NetlinkError

from rhumb.agent import redirect_apply
from rhumb.agent.redirect import Rule
from rhumb.local import control, linux, network

Json = dict[str, object]
Given = Sequence[int]
"""Open descriptors."""


def _hub(_order: Json, _given: Given) -> Given:
    network.set_up_hub()
    return ()


def _add(order: Json, _given: Given) -> Given:
    return (network.add_workload(str(order["address"])),)


def _redirect(order: Json, given: Given) -> Given:
    rules = msgspec.convert(order["rules"], tuple[Rule, ...])
    if given:
        network.inside(given[0], lambda: redirect_apply.apply(rules))
    else:
        network.in_hub(lambda: redirect_apply.apply(rules))
    return ()


def _remove(order: Json, _given: Given) -> Given:
    network.remove_workload(str(order["address"]))
    return ()


_DOES: dict[str, Callable[[Json, Given], Given]] = {
    "hub": _hub,
    "add": _add,
    "redirect": _redirect,
    "remove": _remove,
}


def main(handle: int) -> None:
    """Do what is ordered, one after the other, until nobody orders any more."""
    linux.die_with_parent()
    with socket.socket(fileno=handle) as orders:
        while True:
            try:
                order, given = control.receive(orders)
            except ValueError:
                return  # the other end is closed
            found: Given = ()
            try:
                found = _DOES[str(order["do"])](order, given)
                control.send(orders, {}, found)
            except (OSError, NetlinkError) as error:
                control.send(orders, {"error": str(error)})
            finally:
                for one in (*given, *found):
                    os.close(one)


if __name__ == "__main__":
    main(int(sys.argv[1]))
