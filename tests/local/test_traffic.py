"""What VirtualServices, DestinationRules and Gateways do to requests, through real sidecars and a gateway."""

import http.client
import socket
import ssl
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.local.certificates import Authority, identities, secret
from tests.local.mesh import WHOLE_MESH, Json, until
from tests.local.outsider import outside
from tests.local.routed import Answer, Routed, over

pytestmark = [*WHOLE_MESH, pytest.mark.timeout(90)]

OUTSIDE = Path(__file__).with_name("traffic_outside.yaml")


@pytest.fixture(scope="module")
def mesh() -> Iterator[Routed]:
    with Routed() as made:
        made.up()
        until(lambda: made.ask().status == 200)
        until(lambda: made.call("/").status == 200)
        yield made


def test_a_delegate_refines_its_root(mesh: Routed) -> None:
    one = mesh.ask("/team/one")
    assert (one.status, one.said["name"]) == (200, "web-v2")
    assert one.said["headers"]["x-root"] == "1"
    assert mesh.ask("/team/two").said["name"] == "web-v1"
    # Its rule for /elsewhere leaves the root's /team, and so is none; the last rule of the root is.
    assert mesh.ask("/elsewhere").headers.get("x-rule") == "last"


def test_headers_are_set_added_removed_and_filled_in(mesh: Routed) -> None:
    sent = {"x-gone": "1", "x-set": "old", "x-add": "first"}
    found = mesh.ask("/headers?a=b", headers=sent)
    received = found.said["headers"]
    assert received["x-set"] == "GET /headers"
    assert received["x-add"] == "first,second"
    assert "x-gone" not in received
    assert received["host"] == "inner.example.com"
    assert found.headers["x-answer"] == "200 by web-v1.default"
    assert "x-own" not in found.headers


def test_cross_origin_requests(mesh: Routed) -> None:
    def preflight(origin: str) -> Answer:
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        return mesh.ask("/cors", method="OPTIONS", headers=asked)

    allowed = preflight("https://a.example.com")
    assert allowed.status == 200
    assert allowed.headers["access-control-allow-origin"] == "https://a.example.com"
    assert allowed.headers["access-control-allow-methods"] == "GET,POST"
    assert allowed.headers["access-control-max-age"] == "86400"
    assert "x-own" not in allowed.headers  # the gateway answered
    assert "access-control-allow-origin" not in preflight("https://b.example.net").headers
    simple = mesh.ask("/cors", headers={"Origin": "https://x.example.org"})
    assert simple.headers["access-control-allow-origin"] == "https://x.example.org"


@pytest.mark.parametrize(
    ("path", "status", "location"),
    [
        ("/moved/a", 301, "http://web.example.com/new"),
        ("/prefix/a?b=c", 308, "https://web.example.com/other/a?b=c"),
        ("/away", 302, "http://away.example.com:8443/away"),
    ],
)
def test_redirects(mesh: Routed, path: str, status: int, location: str) -> None:
    found = mesh.ask(path)
    assert (found.status, found.headers["location"]) == (status, location)


def test_direct_responses_and_rewrites(mesh: Routed) -> None:
    tea = mesh.ask("/tea")
    assert (tea.status, tea.body) == (418, "short and stout")
    found = mesh.ask("/users/joe/books?x=1").said
    assert found["path"] == "/u/joe/books?x=1"
    assert mesh.ask("/v1/x", headers={"x-status": "404"}).status == 404
    assert mesh.ask("/v1/x").said["path"] == "/x"


def test_the_first_rule_that_matches_decides_in_the_mesh(mesh: Routed) -> None:
    assert mesh.call("/", x_version="two").said["name"] == "web-v2"
    assert mesh.call("/", x_version="one").said["name"] == "web-v1"
    assert mesh.call("/?version=2").said["name"] == "web-v2"
    assert mesh.call("/CASE").said["name"] == "web-v2"
    assert mesh.call("/", x_version="two", x_not="here").said["name"] == "web-v1"
    # The rule is for callers with another label.
    assert mesh.call("/labels").said["name"] == "web-v1"


def test_a_consistent_hash_keeps_callers_apart(mesh: Routed) -> None:
    names = {u: mesh.ask("/hash", headers={"x-user": str(u)}).said["name"] for u in range(24)}
    assert len(Counter(names.values())) == 2
    again = {u: mesh.ask("/hash", headers={"x-user": str(u)}).said["name"] for u in range(24)}
    assert again == names
    first = mesh.ask("/cookie")
    cookie = first.headers["set-cookie"]
    assert cookie.startswith("user=")
    assert "Max-Age=60" in cookie
    kept = {mesh.ask("/cookie", headers={"Cookie": cookie.split(";")[0]}).said["name"]}
    kept |= {mesh.ask("/cookie", headers={"Cookie": cookie.split(";")[0]}).said["name"]}
    assert kept == {first.said["name"]}


def test_a_failing_region_is_left_and_returned_to(mesh: Routed) -> None:
    def name() -> str:
        found = mesh.call("/", host="near")
        return str(found.said["name"]) if found.status == 200 else str(found.status)

    sick = mesh.home / "sick-web-v1"
    until(lambda: name() == "web-v1")
    assert {name() for _ in range(10)} == {"web-v1"}
    sick.touch()
    try:
        until(lambda: {name() for _ in range(3)} == {"web-v2"})
    finally:
        sick.unlink()
    until(lambda: {name() for _ in range(3)} == {"web-v1"})


def test_one_port_serves_many_hosts_each_with_its_own_tls(mesh: Routed) -> None:
    with mesh.secure("one.example.com") as one:
        assert over(one, "one.example.com").status == 200
        # A route table of its own: other hosts of the port are none of it.
        assert over(one, "many.example.com").status == 404
    with mesh.secure("modern.many.example.com") as modern:
        assert modern.version() == "TLSv1.3"
    with mesh.secure("old.many.example.com") as old:
        assert old.version() == "TLSv1.2"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        mesh.secure("nobody.example.com")


def test_clients_prove_who_they_are_where_a_server_asks(mesh: Routed) -> None:
    def admits(name: str, certificate: tuple[str, str] | None) -> bool:
        try:
            with mesh.secure(f"{name}.many.example.com", certificate=certificate) as made:
                return over(made, f"{name}.many.example.com").status == 200
        except (ssl.SSLError, ConnectionError, http.client.HTTPException):
            return False

    stranger = Authority("strangers").files(mesh.home, "stranger", "joe.example.com")
    asked = (mesh.joe, mesh.jane, stranger, None)
    admitted = {
        name: [admits(name, certificate) for certificate in asked]
        for name in ("mutual", "pinned", "listed", "optional")
    }
    assert admitted == {
        "mutual": [True, False, False, False],  # by name
        "pinned": [True, False, False, False],  # by key
        "listed": [True, False, False, False],  # but for those revoked
        "optional": [True, True, False, True],
    }


def test_plain_requests_are_sent_to_https_where_a_server_says_so(mesh: Routed) -> None:
    found = mesh.ask("/x", host="one.example.com")
    assert (found.status, found.headers["location"]) == (301, "https://one.example.com/x")


def test_files_of_a_gateway_are_read_again_and_missing_ones_harm_nobody_else(mesh: Routed) -> None:
    def names(host: str) -> set[str]:
        with mesh.secure(host) as made:
            assert over(made, host).status == 200
            return _names(made)

    assert names("files.example.com") == {"files.example.com"}
    with pytest.raises((ssl.SSLError, ConnectionError)):
        mesh.secure("missing.example.com")
    new = mesh.home / "new"
    new.mkdir()
    mesh.authority.files(new, "tls", "files.example.com", "again.example.com")
    for name in ("tls.crt", "tls.key"):
        (new / name).replace(mesh.home / "files" / name)
    until(lambda: "again.example.com" in names("files.example.com"))


def _names(made: ssl.SSLSocket) -> set[str]:
    found = made.getpeercert()
    assert found is not None
    return {str(pair[1]) for pair in found["subjectAltName"]}


def test_a_certificate_is_replaced_and_no_connection_dropped(mesh: Routed) -> None:
    with mesh.secure("one.example.com") as before:
        assert over(before, "one.example.com").status == 200
        mesh.certify("renewed.example.com")

        def is_renewed() -> bool:
            with mesh.secure("one.example.com") as now:  # never refused meanwhile
                assert over(now, "one.example.com").status == 200
                return "renewed.example.com" in _names(now)

        until(is_renewed)
        assert over(before, "one.example.com").status == 200
        assert "renewed.example.com" not in _names(before)


def test_the_way_out(mesh: Routed) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*mesh.authority.files(mesh.home, "outside", "outside.example"))
    context.load_verify_locations(cadata=mesh.clients.pem.decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    (mesh.home / "servers.pem").write_bytes(mesh.authority.pem)
    certificate, key = (Path(path).read_bytes() for path in mesh.joe)
    joe = secret("joe", cert=certificate, key=key, cacert=mesh.authority.pem)
    mesh.write("joe.yaml", joe)
    with outside() as plain, outside(context) as secure:
        spelled = {"HOME": str(mesh.home), "PLAIN": str(plain.port), "SECURE": str(secure.port)}
        text = OUTSIDE.read_text()
        for name, value in spelled.items():
            text = text.replace(name, value)
        mesh.write("outside.yaml", text)

        def reach(name: str, port: int = 80) -> Json:
            found = mesh.call("/x", f"{name}.outside.example", port)
            return found.said if found.status == 200 else {"status": found.status}

        until(lambda: "path" in reach("simple"))
        until(lambda: "path" in reach("selected"))  # once its secret is there
        found = {host: reach(host) for host in ("simple", "unchecked", "mutual", "selected")}
        assert [(each["sni"], each.get("client")) for each in found.values()] == [
            ("simple.outside.example", None),
            ("hidden.example", None),
            ("outside.example", ["jane.example.com"]),
            ("outside.example", ["joe.example.com"]),
        ]
        refused = [reach(host) for host in ("misnamed", "distrusted", "gated")]
        assert refused == [{"status": 503}] * 3
        until(lambda: mesh.ask("/x", host="gated.outside.example").status == 200)
        through = mesh.ask("/x", host="gated.outside.example").said
        assert (through["sni"], through["client"]) == ("outside.example", ["joe.example.com"])
        assert [reach(host)["proxy"] for host in ("first", "second")] == ["V1", "V2"]
        assert reach("forwarder", 9000)["tunnel"] == "CONNECT far.example:8443"


def test_other_clusters_come_in_by_the_name_of_the_service(mesh: Routed) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["istio"])

    def who(sni: str) -> list[str]:
        plain = socket.create_connection(("127.0.0.1", mesh.through), timeout=10)
        with context.wrap_socket(plain, server_hostname=sni) as made:
            return identities(made.getpeercert(binary_form=True) or b"")

    assert who("outbound_.80_._.web.default.svc.cluster.local") == [
        "spiffe://cluster.local/ns/default/sa/web"
    ]
    assert "/sa/client" in who("outbound_.80_._.client.default.svc.cluster.local")[0]
    with pytest.raises((ssl.SSLError, ConnectionError)):
        who("outbound_.81_._.web.default.svc.cluster.local")
