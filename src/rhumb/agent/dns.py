"""A DNS proxy beside one workload: mesh names from the name table, the rest from the outside."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from rhumb.agent.dns_names import Found, Names
from rhumb.base.tasks import Nursery

_log = logging.getLogger(__name__)

TTL_S = 30
_FORWARD_S = 5.0
_LARGEST = 65535
_SMALLEST = 512
"""What every client takes over UDP (RFC 1035)."""
_ADDRESSES = (dns.rdatatype.A, dns.rdatatype.AAAA)

Forward = Callable[[bytes, bool], Awaitable[bytes | None]]
"""Asks the outside: a query, and whether it came over TCP, to an answer; None when nobody answers."""


class DnsProxy:
    """Answers on one UDP and one TCP socket; SERVFAIL before the first table has come.

    Without `forward` there is no outside: what the table does not know below the mesh's own domain
    does not exist. Names that the outside does not know are asked again with each domain of `search`
    appended, for clients that have no such list of their own.
    """

    def __init__(
        self,
        name: str,
        forward: Forward | None = None,
        domain: str = "cluster.local",
        *,
        search: tuple[str, ...] = (),
    ) -> None:
        self._name = name
        self._forward = forward
        self._domain = f".{domain}"
        self._search = search
        self._names: Names | None = None
        self._nursery = Nursery(f"dns/{name}")
        self._transport: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None

    def update(self, names: Names) -> None:
        """Take another table."""
        self._names = names

    async def start(self, udp: socket.socket, tcp: socket.socket) -> None:
        """Serve on a bound UDP and a listening TCP socket."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: _Udp(self), sock=udp)
        self._server = await asyncio.start_server(self._tcp, sock=tcp)

    async def stop(self) -> None:
        """Close both."""
        if self._transport is not None:
            self._transport.close()
        if self._server is not None:
            self._server.close()
        await self._nursery.close()

    def datagram(self, data: bytes, reply: Callable[[bytes], None]) -> None:
        """Answer one datagram, at once or when the outside has answered."""
        self._nursery.start("query", self._reply(data, reply))

    async def _reply(self, data: bytes, reply: Callable[[bytes], None]) -> None:
        answer = await self.answer(data)
        if answer is not None:
            reply(answer)

    async def _tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                answer = await self.answer(await reader.readexactly(size), tcp=True)
                if answer is None:
                    break
                writer.write(len(answer).to_bytes(2, "big") + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    async def answer(self, data: bytes, *, tcp: bool = False) -> bytes | None:
        """Return the answer to a query; None for what is no DNS query at all.

        Over UDP an answer that is too long for the client is truncated: it asks again over TCP.
        """
        try:
            query = dns.message.from_wire(data)
        except dns.exception.DNSException:
            return None
        if query.flags & dns.flags.QR:
            return None
        if len(query.question) != 1 or query.question[0].rdclass != dns.rdataclass.IN:
            return await self._outside(data, query, tcp=tcp)
        if self._names is None:
            return _failure(query, dns.rcode.SERVFAIL)
        asked = query.question[0]
        found = self._names.find(asked.name.to_text(omit_final_dot=True).lower())
        if found is not None and (asked.rdtype in _ADDRESSES or self._forward is None):
            return _wire(_answer(query, found), query, tcp=tcp)
        if found is None and self._forward is None and self._is_ours(asked.name):
            return _failure(query, dns.rcode.NXDOMAIN)
        told = await self._outside(data, query, tcp=tcp)
        if found is not None and _knows_nobody(told):
            # It exists, as we know better.
            return _wire(_answer(query, found), query, tcp=tcp)
        return told

    def _is_ours(self, name: dns.name.Name) -> bool:
        return f".{name.to_text(omit_final_dot=True)}".lower().endswith(self._domain)

    async def _outside(self, data: bytes, query: dns.message.Message, *, tcp: bool) -> bytes:
        found = await self._ask(data, tcp=tcp)
        asked = query.question[0] if query.question else None
        if self._search and asked is not None and asked.rdtype in _ADDRESSES and _is_empty(found):
            for domain in self._search:
                longer = await self._longer(query, domain, tcp=tcp)
                if longer is not None:
                    return _wire(longer, query, tcp=tcp)
        return found or _failure(query, dns.rcode.SERVFAIL)

    async def _ask(self, data: bytes, *, tcp: bool) -> bytes | None:
        if self._forward is None:
            return None
        try:
            async with asyncio.timeout(_FORWARD_S):
                return await self._forward(data, tcp)
        except (OSError, TimeoutError) as error:
            _log.debug("name not resolved outside", extra={"workload": self._name, "error": error})
            return None

    async def _longer(
        self, query: dns.message.Message, domain: str, *, tcp: bool
    ) -> dns.message.Message | None:
        """Return the answer for a name with a domain appended, as an alias; None when there is none."""
        asked = query.question[0]
        try:
            whole = asked.name.relativize(dns.name.root) + dns.name.from_text(domain)
        except dns.name.NameTooLong:
            return None
        found = await self._ask(dns.message.make_query(whole, asked.rdtype).to_wire(), tcp=tcp)
        if found is None or _is_empty(found):
            return None
        answer = dns.message.make_response(query, recursion_available=True)
        alias = dns.rrset.from_text(asked.name, TTL_S, "IN", "CNAME", whole.to_text())
        answer.answer = [alias, *dns.message.from_wire(found).answer]
        return answer


def _is_empty(answer: bytes | None) -> bool:
    """Tell whether an answer names nothing at all."""
    try:
        return answer is None or not dns.message.from_wire(answer).answer
    except dns.exception.DNSException:
        return True


def _knows_nobody(answer: bytes) -> bool:
    """Tell whether an answer says that there is no such name."""
    try:
        return dns.message.from_wire(answer).rcode() == dns.rcode.NXDOMAIN
    except dns.exception.DNSException:
        return False


def _answer(query: dns.message.Message, found: Found) -> dns.message.Message:
    """Answer with addresses, whose order is by chance on the wire.

    An empty answer is NOERROR: the name exists, it has no address of that family.
    """
    answer = dns.message.make_response(query, recursion_available=True)
    answer.flags |= dns.flags.AA
    asked = query.question[0]
    wanted = [a for a in found.addresses if (":" in a) == (asked.rdtype == dns.rdatatype.AAAA)]
    owner = asked.name
    if asked.rdtype not in _ADDRESSES or not wanted:
        return answer
    if found.name != owner.to_text(omit_final_dot=True).lower():
        canonical = dns.name.from_text(found.name)
        alias = dns.rrset.from_text(owner, TTL_S, "IN", "CNAME", canonical.to_text())
        answer.answer.append(alias)
        owner = canonical
    answer.answer.append(dns.rrset.from_text(owner, TTL_S, "IN", asked.rdtype, *wanted))
    return answer


def _wire(answer: dns.message.Message, query: dns.message.Message, *, tcp: bool) -> bytes:
    if tcp:
        return answer.to_wire(max_size=_LARGEST)
    limit = max(query.payload, _SMALLEST) if query.edns >= 0 else _SMALLEST
    return answer.to_wire(max_size=limit, prefer_truncation=True)


def _failure(query: dns.message.Message, code: dns.rcode.Rcode) -> bytes:
    answer = dns.message.make_response(query, recursion_available=True)
    answer.set_rcode(code)
    return answer.to_wire()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, proxy: DnsProxy) -> None:
        self._proxy = proxy
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._proxy.datagram(data, lambda answer: self._send(answer, addr))

    def _send(self, answer: bytes, addr: tuple[str, int]) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(answer, addr)
