"""The sidecar's DNS: answers as messages, and real sockets."""

import asyncio
import ipaddress
import socket

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
from tests.agent.dns_hosts import table

from rhumb.agent.dns import DnsProxy
from rhumb.agent.dns_names import Host, Names, expand, search_domains
from rhumb.agent.dns_upstream import Upstream


class Outside:
    """Answers every name with one address, and remembers what it was asked."""

    def __init__(self, addresses: tuple[str, ...] = ("93.184.0.1",)) -> None:
        self.asked: list[tuple[str, bool]] = []
        self._addresses = addresses

    async def __call__(self, data: bytes, tcp: bool) -> bytes | None:
        query = dns.message.from_wire(data)
        self.asked.append((query.question[0].name.to_text(), tcp))
        if not self._addresses:
            return None
        answer = dns.message.make_response(query)
        answer.answer.append(
            dns.rrset.from_text(query.question[0].name, 5, "IN", "A", *self._addresses)
        )
        return answer.to_wire()


async def ask(
    proxy: DnsProxy, name: str, kind: str = "A", *, tcp: bool = False, edns: int = -1
) -> dns.message.Message:
    query = dns.message.make_query(name, kind, use_edns=edns >= 0, payload=max(edns, 0))
    data = await proxy.answer(query.to_wire(), tcp=tcp)
    assert data is not None
    answer = dns.message.from_wire(data)
    assert answer.id == query.id
    assert answer.flags & dns.flags.QR
    return answer


def addresses(answer: dns.message.Message) -> set[str]:
    return {
        r.address
        for rrset in answer.answer
        for r in rrset
        if rrset.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA)
    }


def proxy(forward: Outside | None = None) -> DnsProxy:
    made = DnsProxy("test", forward)
    made.update(table())
    return made


async def _families() -> None:
    made = proxy()
    four = await ask(made, "reviews")
    assert addresses(four) == {"10.0.0.1"}
    assert four.flags & dns.flags.AA
    assert four.answer[0].ttl == 30
    assert addresses(await ask(made, "REVIEWS.Books", "AAAA")) == {"fd00::1"}
    none = await ask(made, "reviews.other", "AAAA")
    assert (none.rcode(), none.answer) == (dns.rcode.NOERROR, [])
    other = await ask(made, "reviews", "TXT")
    assert (other.rcode(), other.answer) == (dns.rcode.NOERROR, [])


def test_addresses_by_family_and_no_data_for_the_rest() -> None:
    asyncio.run(_families())


async def _alone() -> None:
    made = proxy()
    assert (await ask(made, "ratings.books.svc.cluster.local")).rcode() is dns.rcode.NXDOMAIN
    assert (await ask(made, "www.example.org")).rcode() is dns.rcode.SERVFAIL
    fresh = DnsProxy("test", Outside())
    assert (await ask(fresh, "reviews")).rcode() is dns.rcode.SERVFAIL


def test_without_an_outside_our_own_domain_is_known_to_the_end() -> None:
    asyncio.run(_alone())


async def _beyond() -> None:
    outside = Outside()
    made = proxy(outside)
    assert addresses(await ask(made, "www.example.org")) == {"93.184.0.1"}
    assert addresses(await ask(made, "hidden.books.svc.cluster.local", tcp=True)) == {"93.184.0.1"}
    assert addresses(await ask(made, "reviews")) == {"10.0.0.1"}
    await ask(made, "reviews", "SRV")
    assert outside.asked == [
        ("www.example.org.", False),
        ("hidden.books.svc.cluster.local.", True),
        ("reviews.", False),
    ]
    silent = proxy(Outside(()))
    assert (await ask(silent, "www.example.org")).rcode() is dns.rcode.SERVFAIL


def test_the_rest_and_other_types_are_asked_outside() -> None:
    asyncio.run(_beyond())


async def _searched() -> None:
    answer = await ask(proxy(), "api.example.com.books.svc.cluster.local")
    alias, found = answer.answer
    assert alias.rdtype is dns.rdatatype.CNAME
    assert alias[0].target.to_text() == found.name.to_text() == "api.example.com."
    assert addresses(answer) == {"240.240.0.9"}


def test_a_search_domain_is_answered_with_an_alias() -> None:
    asyncio.run(_searched())


async def _turns() -> None:
    made = proxy()
    firsts = {(await ask(made, "db")).answer[0][0].address for _ in range(64)}
    assert firsts == {"172.16.0.1", "172.16.0.2"}


def test_every_address_of_a_headless_service_comes_first_at_times() -> None:
    asyncio.run(_turns())


class Cluster(Outside):
    """Knows one Service of Kubernetes, as its own DNS does."""

    async def __call__(self, data: bytes, tcp: bool) -> bytes | None:
        name = dns.message.from_wire(data).question[0].name.to_text()
        if name == "web.books.svc.cluster.local.":
            return await super().__call__(data, tcp)
        self.asked.append((name, tcp))
        missing = dns.message.make_response(dns.message.from_wire(data))
        missing.set_rcode(dns.rcode.NXDOMAIN)
        return missing.to_wire()


async def _other_types() -> None:
    made = proxy(Cluster())
    known = await ask(made, "reviews", "TXT")
    assert (known.rcode(), known.answer) == (dns.rcode.NOERROR, [])
    assert (await ask(made, "gone.example.org", "TXT")).rcode() is dns.rcode.NXDOMAIN


def test_a_name_of_the_mesh_exists_whatever_the_outside_says_of_other_types() -> None:
    asyncio.run(_other_types())


async def _for_envoy() -> None:
    cluster = Cluster()
    made = DnsProxy("test", cluster, search=search_domains("books", "cluster.local"))
    made.update(Names())
    for name in ("web", "web.books", "web.books.svc", "web.books.svc.cluster.local"):
        assert addresses(await ask(made, name)) == {"93.184.0.1"}, name
    assert (await ask(made, "gone")).rcode() is dns.rcode.NXDOMAIN
    assert (await ask(made, ".".join(["a" * 60] * 4))).rcode() is dns.rcode.NXDOMAIN


def test_envoy_asks_for_short_names_as_any_program_does() -> None:
    asyncio.run(_for_envoy())


def many() -> DnsProxy:
    made = DnsProxy("test")
    found = tuple(str(ipaddress.ip_address((10 << 24) + n)) for n in range(100))
    host = Host(name="many.example.com", addresses=found)
    made.update(expand((host,), "books", "cluster.local"))
    return made


async def _truncated() -> None:
    made = many()
    short = await ask(made, "many.example.com")
    assert short.flags & dns.flags.TC
    assert len(short.to_wire()) <= 512
    assert not (await ask(made, "many.example.com", edns=4096)).flags & dns.flags.TC
    whole = await ask(made, "many.example.com", tcp=True)
    assert len(addresses(whole)) == 100
    assert not whole.flags & dns.flags.TC


def test_long_answers_are_cut_over_udp_and_whole_over_tcp() -> None:
    asyncio.run(_truncated())


async def _nonsense() -> None:
    made = proxy(Outside())
    assert await made.answer(b"") is None
    assert await made.answer(b"\x00" * 5) is None
    response = dns.message.make_response(dns.message.make_query("reviews", "A"))
    assert await made.answer(response.to_wire()) is None


def test_what_is_no_query_gets_no_answer() -> None:
    asyncio.run(_nonsense())


def pair() -> tuple[socket.socket, socket.socket]:
    """Return sockets of both kinds on one port."""
    while True:
        tcp = socket.create_server(("127.0.0.1", 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind(tcp.getsockname())
        except OSError:  # another's datagrams go there
            udp.close()
            tcp.close()
        else:
            return udp, tcp


async def _conversation() -> None:
    outside, far_sockets, near_sockets = many(), pair(), pair()
    servers = (("127.0.0.1", 1), far_sockets[0].getsockname())
    address, port = near_sockets[0].getsockname()
    inside = DnsProxy("inside", Upstream(servers=servers, mark=0))
    inside.update(table())
    await outside.start(*far_sockets)
    await inside.start(*near_sockets)
    try:
        near = dns.message.make_query("reviews.books", "A")
        assert addresses(await dns.asyncquery.udp(near, address, 5, port)) == {"10.0.0.1"}
        assert addresses(await dns.asyncquery.tcp(near, address, 5, port)) == {"10.0.0.1"}
        far = dns.message.make_query("many.example.com", "TXT")
        assert (await dns.asyncquery.udp(far, address, 5, port)).rcode() is dns.rcode.NOERROR
        other = dns.message.make_query("unknown.svc.cluster.local", "A")
        assert (await dns.asyncquery.tcp(other, address, 5, port)).rcode() is dns.rcode.NXDOMAIN
    finally:
        await inside.stop()
        await outside.stop()


def test_queries_over_sockets_and_on_to_the_next_server() -> None:
    asyncio.run(_conversation())
