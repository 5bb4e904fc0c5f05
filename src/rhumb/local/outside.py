"""The way out of the namespaces: connections and names of the network that this machine is in.

Nothing is routed, which would take root. What a workload sends beyond the mesh is redirected to one port of
the hub; the connection goes on over a socket that the host process made, in the host's network.
"""

import asyncio
import contextlib
import ipaddress
import os
import socket
import struct
from collections.abc import Sequence
from itertools import count

import dns.exception
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from rhumb.agent.dns_upstream import Server, Upstream
from rhumb.agent.redirect import Chain, Match, Rule
from rhumb.local import addresses
from rhumb.local.ground import DOMAIN
from rhumb.local.host import KINDS, REQUEST
from rhumb.local.relay import Relay

PORT = 15081
HOST_NAME = "host.rhumb.internal"
"""Name of the host's own loopback, for programs in the mesh."""
RULES = (
    Rule(chain=Chain.INBOUND, match=Match(destination="127.0.0.0/8")),
    Rule(chain=Chain.INBOUND, match=Match(not_destination=str(addresses.MESH)), to=PORT),
)
"""For the hub: what goes to no address of the mesh is for the outside."""
_ORIGINAL_DESTINATION = 80  # linux/netfilter_ipv4.h: SO_ORIGINAL_DST
_CONNECT_S = 10.0
_LETTERS = {kind: letter for letter, kind in KINDS.items()}


class Outside:
    """Asks the host process for sockets, and leads connections over them."""

    def __init__(self, host: socket.socket, servers: Sequence[Server] = ()) -> None:
        """Take the connection to the host process, and name servers instead of resolv.conf's."""
        host.setblocking(False)
        self._host = host
        self._numbers = count()
        self._waiting: dict[int, asyncio.Future[socket.socket]] = {}
        self._ask = Upstream(open_socket=self.open, servers=servers)
        self.allowed = True
        """Whether workloads may leave."""

    def start(self) -> None:
        """Hear what the host process answers."""
        asyncio.get_running_loop().add_reader(self._host.fileno(), self._arrived)

    def serve(self) -> None:
        """Serve the hub's port. Raises OSError when it is taken."""
        listening = socket.create_server((addresses.HUB, PORT), backlog=1024)
        Relay(listening, self.connect).start()

    @property
    def descriptor(self) -> int:
        """Return what is read from."""
        return self._host.fileno()

    async def open(self, family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        """Return a new socket of the host's network. Raises OSError."""
        number = next(self._numbers) % (1 << 32)
        answer: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            request = REQUEST.pack(_LETTERS[family, kind], number)
            await asyncio.get_running_loop().sock_sendall(self._host, request)
            return await answer
        finally:
            del self._waiting[number]

    def _arrived(self) -> None:
        """Take one answer of the host process: a socket, or the number of an error."""
        with contextlib.suppress(BlockingIOError):
            data, handles, _, _ = socket.recv_fds(self._host, REQUEST.size, 1)
            if not data:  # it ended, and so will we
                asyncio.get_running_loop().remove_reader(self._host.fileno())
                return
            error, number = REQUEST.unpack(data)
            made = socket.socket(fileno=handles[0]) if handles else None
            answer = self._waiting.get(number)
            if answer is None or answer.done():
                if made is not None:
                    made.close()
            elif made is None:
                answer.set_exception(OSError(error, os.strerror(error)))
            else:
                made.setblocking(False)
                answer.set_result(made)

    async def connect(self, accepted: socket.socket) -> socket.socket:
        """Connect to where a redirected connection wanted to go. Raises OSError."""
        wanted = accepted.getsockopt(socket.IPPROTO_IP, _ORIGINAL_DESTINATION, 16)
        port, packed = struct.unpack_from("!2xH4s", wanted)
        address = ipaddress.ip_address(packed)
        if not self.allowed or address in addresses.MESH:
            raise ConnectionRefusedError(f"{address}:{port} is outside the mesh")
        target = "127.0.0.1" if str(address) == addresses.HOST else str(address)
        made = await self.open(socket.AF_INET, socket.SOCK_STREAM)
        try:
            async with asyncio.timeout(_CONNECT_S):
                await asyncio.get_running_loop().sock_connect(made, (target, port))
        except BaseException:
            made.close()
            raise
        return made

    async def resolve(self, query: bytes, tcp: bool) -> bytes | None:
        """Ask the host's resolvers; None when nobody answers or none may be asked."""
        own = _own(query, allowed=self.allowed)
        if own is not None or not self.allowed:
            return own
        return await self._ask(query, tcp)


def _own(query: bytes, *, allowed: bool) -> bytes | None:
    """Answer for the host's own name, and for the mesh's domain: whom it does not know nobody knows."""
    try:
        asked = dns.message.from_wire(query)
    except dns.exception.DNSException:
        return None
    if len(asked.question) != 1:
        return None
    (question,) = asked.question
    name = question.name.to_text(omit_final_dot=True).lower()
    if name.endswith(f".{DOMAIN}"):
        answer = dns.message.make_response(asked, recursion_available=True)
        answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer.to_wire()
    if name != HOST_NAME or not allowed:
        return None
    answer = dns.message.make_response(asked, recursion_available=True)
    if question.rdtype == dns.rdatatype.A:
        answer.answer.append(dns.rrset.from_text(question.name, 30, "IN", "A", addresses.HOST))
    return answer.to_wire()
