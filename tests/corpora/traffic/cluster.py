"""What a Kubernetes cluster has besides the mesh: names of services, and addresses that lead to pods."""

import asyncio
import ipaddress
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import msgspec
from pyroute2.nftables.main import NFTables

from rhumb.agent.settings import SOCKET_MARK

_TABLE = "kube"
_BEFORE_CAPTURE = -110
_META_MARK, _META_L4PROTO = 3, 16
_NETWORK, _TRANSPORT = 1, 2
_DESTINATION, _PORT = 16, 2
_DNAT = 1
Json = dict[str, Any]
Expression = dict[str, object]


class Forwarding(msgspec.Struct, frozen=True):
    """One port of a service, and a pod that serves it."""

    address: str
    port: int
    pod: str
    target: int


def forwardings(services: Iterable[Json], pods: Iterable[Json]) -> Iterator[Forwarding]:
    """Yield where each port of each service leads: to the first pod that it selects."""
    known = list(pods)
    for service in services:
        address = service["spec"].get("clusterIP")
        chosen = _selected(service, known)
        if not chosen or not address or address == "None":
            continue
        for port in service["spec"]["ports"]:
            target = int(port.get("targetPort", port["port"]))
            yield Forwarding(address, port["port"], chosen[0]["status"]["podIP"], target)


def names(services: Iterable[Json], pods: Iterable[Json]) -> dict[str, list[str]]:
    """Return the addresses of each service's name; of one without an address, those of its pods."""
    known = list(pods)
    found = {}
    for service in services:
        address = service["spec"].get("clusterIP")
        chosen = [pod["status"]["podIP"] for pod in _selected(service, known)]
        name = f"{service['metadata']['name']}.{service['metadata']['namespace']}"
        found[f"{name}.svc.cluster.local"] = chosen if address in (None, "None") else [address]
    return found


def _selected(service: Json, pods: Iterable[Json]) -> list[Json]:
    wanted = (service["spec"].get("selector") or {}).items()
    return [
        pod
        for pod in pods
        if wanted
        and pod["metadata"]["namespace"] == service["metadata"]["namespace"]
        and wanted <= pod["metadata"]["labels"].items()
    ]


def forward(rules: Iterable[Forwarding], *, marked: bool) -> None:
    """Rewrite destinations in this namespace, as kube-proxy does; `marked`: those of Envoy alone."""
    with NFTables(nfgen_family=socket.AF_INET) as nft:
        nft.table("add", name=_TABLE)
        nft.chain(
            "add",
            table=_TABLE,
            name="output",
            type="nat",
            hook="output",
            priority=_BEFORE_CAPTURE,
            policy=1,
        )
        for rule in rules:
            expressions = (list(_spell(rule, marked=marked)),)
            nft.rule("add", table=_TABLE, chain="output", expressions=expressions)


def _spell(rule: Forwarding, *, marked: bool) -> Iterator[Expression]:
    yield _expression("meta", KEY=_META_L4PROTO, DREG=1)
    yield _compare(bytes([socket.IPPROTO_TCP]))
    if marked:
        yield _expression("meta", KEY=_META_MARK, DREG=1)
        yield _compare(struct.pack("=I", SOCKET_MARK))
    yield _expression("payload", DREG=1, BASE=_NETWORK, OFFSET=_DESTINATION, LEN=4)
    yield _compare(ipaddress.ip_address(rule.address).packed)
    yield _expression("payload", DREG=1, BASE=_TRANSPORT, OFFSET=_PORT, LEN=2)
    yield _compare(struct.pack("!H", rule.port))
    yield _load(1, ipaddress.ip_address(rule.pod).packed)
    yield _load(2, struct.pack("!H", rule.target))
    yield _expression("nat", TYPE=_DNAT, FAMILY=socket.AF_INET, REG_ADDR_MIN=1, REG_PROTO_MIN=2)


def _expression(name: str, **fields: object) -> Expression:
    data = [(f"NFTA_{name.upper()}_{key}", value) for key, value in fields.items()]
    return {"attrs": [("NFTA_EXPR_NAME", name), ("NFTA_EXPR_DATA", {"attrs": data})]}


def _compare(value: bytes) -> Expression:
    return _expression("cmp", SREG=1, OP=0, DATA={"attrs": [("NFTA_DATA_VALUE", value)]})


def _load(register: int, value: bytes) -> Expression:
    return _expression("immediate", DREG=register, DATA={"attrs": [("NFTA_DATA_VALUE", value)]})


class NameServer(asyncio.DatagramProtocol):
    """Answers what the cluster's own name server would."""

    def __init__(self, table: Mapping[str, list[str]], namespace: str = "") -> None:
        """Short names are of the namespace, as a pod's search domains have it."""
        self._table = table
        self._namespace = namespace

    def within(self, namespace: str) -> "NameServer":
        """Return the name server as pods of a namespace see it."""
        return NameServer(self._table, namespace)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers go out by."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer a query."""
        self._transport.sendto(self.answer(data), addr)

    async def forward(self, query: bytes, is_tcp: bool) -> bytes | None:
        """Answer what a sidecar does not know."""
        del is_tcp
        return self.answer(query)

    def answer(self, data: bytes) -> bytes:
        """Return the answer to a query."""
        query = dns.message.from_wire(data)
        found = dns.message.make_response(query)
        found.flags |= dns.flags.RA
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        if "." not in name and self._namespace:
            name = f"{name}.{self._namespace}.svc.cluster.local"
        addresses = self._table.get(name)
        if addresses is None:
            found.set_rcode(dns.rcode.NXDOMAIN)
        elif question.rdtype == dns.rdatatype.A and addresses:
            found.answer.append(dns.rrset.from_text_list(question.name, 5, "IN", "A", addresses))
        return found.to_wire()
