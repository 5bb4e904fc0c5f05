"""A DNS proxy beside one workload: mesh names from the name table, the rest from the outside (istio-api.md 6.4)."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import msgspec

from rhumb.base.tasks import Nursery

_log = logging.getLogger(__name__)

TTL_S = 30
_FORWARD_S = 5.0
_LARGEST = 65535

Forward = Callable[[bytes], Awaitable[bytes | None]]
"""Asks the outside: a query as bytes to an answer as bytes, None when nobody answers."""


class Names(msgspec.Struct, frozen=True):
    """The name table of one workload, expanded to every name that an application may ask for."""

    exact: Mapping[str, tuple[str, ...]]
    wildcards: Mapping[str, tuple[str, ...]]
    """By suffix, with its leading dot."""

    def find(self, name: str) -> tuple[str, ...] | None:
        """Return the addresses of a name (lower case, no trailing dot); None for an unknown one."""
        found = self.exact.get(name)
        if found is not None:
            return found
        at = name.find(".")
        while at >= 0:
            found = self.wildcards.get(name[at:])
            if found is not None:
                return found
            at = name.find(".", at + 1)
        return None


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """One host of the name table."""

    name: str
    addresses: tuple[str, ...]
    short_name: str = ""
    namespace: str = ""


def expand(hosts: tuple[Host, ...], namespace: str, domain: str) -> Names:
    """Return the table for a workload of a namespace: full names, and the short forms it may use.

    Search domains are answered as well (`a.example.com.default.svc.cluster.local`), so that names
    outside the mesh's own domain resolve at the first attempt.
    """
    exact: dict[str, tuple[str, ...]] = {}
    wildcards: dict[str, tuple[str, ...]] = {}
    for host in hosts:
        name = host.name.lower()
        if name.startswith("*."):
            wildcards[name[1:]] = host.addresses
            continue
        exact[name] = host.addresses
        if host.short_name:
            base = f"{host.short_name}.{host.namespace}".lower()
            for form in (base, f"{base}.svc"):
                exact.setdefault(form, host.addresses)
            if host.namespace == namespace:
                exact.setdefault(host.short_name.lower(), host.addresses)
    return Names(exact, wildcards)


class DnsProxy:
    """Answers on one UDP and one TCP socket; SERVFAIL before the first table has come."""

    def __init__(self, name: str, forward: Forward, domain: str = "cluster.local") -> None:
        self._name = name
        self._forward = forward
        self._domain = f".{domain}"
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
                answer = await self.answer(await reader.readexactly(size))
                if answer is None:
                    break
                writer.write(len(answer).to_bytes(2, "big") + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    async def answer(self, data: bytes) -> bytes | None:
        """Return the answer to a query; None for what is no DNS at all."""
        try:
            query = dns.message.from_wire(data)
        except dns.exception.DNSException:
            return None
        if len(query.question) != 1 or query.question[0].rdclass != dns.rdataclass.IN:
            return await self._outside(data, query)
        if self._names is None:
            return _failure(query, dns.rcode.SERVFAIL)
        asked = query.question[0]
        name = asked.name.to_text(omit_final_dot=True).lower()
        addresses = self._names.find(name)
        if addresses is None:
            if name.endswith(self._domain):
                # Ours to know: the outside has nothing below the mesh's own domain.
                return _failure(query, dns.rcode.NXDOMAIN)
            return await self._outside(data, query)
        return _answer(query, addresses).to_wire(max_size=_LARGEST)

    async def _outside(self, data: bytes, query: dns.message.Message) -> bytes:
        try:
            async with asyncio.timeout(_FORWARD_S):
                found = await self._forward(data)
        except (OSError, TimeoutError) as error:
            _log.debug("name not resolved outside", extra={"workload": self._name, "error": error})
            found = None
        return found or _failure(query, dns.rcode.SERVFAIL)


def _answer(query: dns.message.Message, addresses: tuple[str, ...]) -> dns.message.Message:
    answer = dns.message.make_response(query, recursion_available=True)
    answer.flags |= dns.flags.AA
    asked = query.question[0]
    wanted = [a for a in addresses if (":" in a) == (asked.rdtype == dns.rdatatype.AAAA)]
    if wanted and asked.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA):
        # An empty answer is NOERROR: the name exists, it has no address of that family.
        answer.answer.append(dns.rrset.from_text(asked.name, TTL_S, "IN", asked.rdtype, *wanted))
    return answer


def _failure(query: dns.message.Message, code: dns.rcode.Rcode) -> bytes:
    answer = dns.message.make_response(query, recursion_available=True)
    answer.set_rcode(code)
    return answer.to_wire()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, proxy: DnsProxy) -> None:
        self._proxy = proxy
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a datagram transport, by contract

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._proxy.datagram(data, lambda answer: self._send(answer, addr))

    def _send(self, answer: bytes, addr: object) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(answer, addr)  # type: ignore[arg-type]  # as it came


async def nobody(_query: bytes) -> bytes | None:
    """Forward to nobody: names outside the mesh are not known."""
    return None
