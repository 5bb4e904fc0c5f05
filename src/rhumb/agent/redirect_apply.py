"""A capture plan put into force with nftables over netlink: no binary, no library but pyroute2.

Works in the network namespace of the calling thread.
"""

import ipaddress
import socket
import struct
from collections.abc import Iterable, Iterator

from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.nftables.main import NFTables

from rhumb.agent.redirect import Chain, Match, Rule
from rhumb.agent.settings import SOCKET_MARK

TABLE = "rhumb"
_HOOKS = {Chain.INBOUND: ("prerouting", -100), Chain.OUTBOUND: ("output", -100)}
_PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP}
_META_MARK, _META_OIFNAME, _META_L4PROTO = 3, 7, 16
_NETWORK, _TRANSPORT = 1, 2
_SOURCE_OFFSET, _DESTINATION_OFFSET, _PORT_OFFSET = 12, 16, 2
_EQ, _NEQ = 0, 1
_REGISTER = 1
_INTERFACE = b"lo".ljust(16, b"\0")
_RETURN = -5

Expression = dict[str, object]


def apply(rules: Iterable[Rule]) -> None:
    """Replace whatever plan is in force. Raises NetlinkError when the kernel refuses."""
    remove()
    with NFTables(nfgen_family=socket.AF_INET) as nft:
        nft.table("add", name=TABLE)
        for chain, (hook, priority) in _HOOKS.items():
            nft.chain(
                "add",
                table=TABLE,
                name=chain.value,
                type="nat",
                hook=hook,
                priority=priority,
                policy=1,
            )
        for rule in rules:
            nft.rule("add", table=TABLE, chain=rule.chain.value, expressions=(_spell(rule),))


def remove() -> None:
    """Take the plan out of force; nothing to do when there is none."""
    with NFTables(nfgen_family=socket.AF_INET) as nft:
        try:
            nft.table("del", name=TABLE)
        except NetlinkError as error:
            if error.code != 2:  # ENOENT
                raise


def _spell(rule: Rule) -> list[Expression]:
    found = list(_match(rule.match))
    if not rule.to:
        found.append(_verdict(_RETURN))
        return found
    port = struct.pack("!H", rule.to)
    found.append(
        _expression(
            "immediate", {"DREG": _REGISTER, "DATA": {"attrs": [("NFTA_DATA_VALUE", port)]}}
        )
    )
    found.append(_expression("redir", {"REG_PROTO_MIN": _REGISTER}))
    return found


def _match(match: Match) -> Iterator[Expression]:
    yield _meta(_META_L4PROTO)
    yield _compare(bytes([_PROTOCOLS[match.protocol]]))
    if match.marked is not None:
        yield _meta(_META_MARK)
        yield _compare(struct.pack("=I", SOCKET_MARK), _EQ if match.marked else _NEQ)
    if match.loopback is not None:
        yield _meta(_META_OIFNAME)
        yield _compare(_INTERFACE, _EQ if match.loopback else _NEQ)
    if match.source:
        yield from _address(_SOURCE_OFFSET, match.source, _EQ)
    if match.destination:
        yield from _address(_DESTINATION_OFFSET, match.destination, _EQ)
    if match.not_destination:
        yield from _address(_DESTINATION_OFFSET, match.not_destination, _NEQ)
    if match.port is not None:
        yield _payload(_TRANSPORT, _PORT_OFFSET, 2)
        yield _compare(struct.pack("!H", match.port))


def _address(offset: int, cidr: str, operation: int) -> Iterator[Expression]:
    network = ipaddress.ip_network(cidr)
    yield _payload(_NETWORK, offset, 4)
    if network.prefixlen < network.max_prefixlen:
        yield _expression(
            "bitwise",
            {
                "SREG": _REGISTER,
                "DREG": _REGISTER,
                "LEN": 4,
                "MASK": {"attrs": [("NFTA_DATA_VALUE", network.netmask.packed)]},
                "XOR": {"attrs": [("NFTA_DATA_VALUE", bytes(4))]},
            },
        )
    yield _compare(network.network_address.packed, operation)


def _expression(name: str, fields: dict[str, object]) -> Expression:
    data = [(f"NFTA_{name.upper()}_{key}", value) for key, value in fields.items()]
    return {"attrs": [("NFTA_EXPR_NAME", name), ("NFTA_EXPR_DATA", {"attrs": data})]}


def _meta(key: int) -> Expression:
    return _expression("meta", {"KEY": key, "DREG": _REGISTER})


def _payload(base: int, offset: int, length: int) -> Expression:
    return _expression(
        "payload", {"DREG": _REGISTER, "BASE": base, "OFFSET": offset, "LEN": length}
    )


def _compare(value: bytes, operation: int = _EQ) -> Expression:
    return _expression(
        "cmp",
        {"SREG": _REGISTER, "OP": operation, "DATA": {"attrs": [("NFTA_DATA_VALUE", value)]}},
    )


def _verdict(code: int) -> Expression:
    data = {"attrs": [("NFTA_DATA_VERDICT", {"attrs": [("NFTA_VERDICT_CODE", code)]})]}
    return _expression("immediate", {"DREG": 0, "DATA": data})
