"""Servers outside the mesh: which they are, and which of their traffic is captured."""

import asyncio
from pathlib import Path

from rhumb.agent.dns_upstream import Upstream, local_servers, nameservers
from rhumb.agent.redirect import plan
from rhumb.agent.settings import Capture, Discovery, SidecarSettings


def test_the_servers_of_resolv_conf() -> None:
    text = "# made\nsearch x\nnameserver 10.0.0.10\nnameserver fd00::10\nnameserver 10.0.0.10\nnameserver\n"
    assert nameservers(text) == ("10.0.0.10", "fd00::10")
    assert nameservers("options ndots:5") == ("127.0.0.1",)


def test_a_resolver_of_the_machine_may_ask_others(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 127.0.0.53\nnameserver ::1\nnameserver 10.0.0.2\n")
    assert local_servers(file) == ("127.0.0.53", "10.0.0.2")
    file.write_text("nameserver 10.0.0.2\n")
    assert local_servers(file) == ()
    assert local_servers(tmp_path / "none") == ()

    def captured(*servers: str) -> list[tuple[str, str]]:
        settings = SidecarSettings(
            name="a",
            namespace="b",
            addresses=("10.0.0.9",),
            discovery=Discovery(address=""),
            directory=tmp_path,
            capture=Capture(dns_servers=servers),
        )
        rules = [r for r in plan(settings) if r.match.port == 53 and r.to]
        assert {r.match.protocol for r in rules} == {"udp", "tcp"}
        matches = [r.match for r in rules if r.match.protocol == "udp"]
        return [(match.destination, match.not_destination) for match in matches]

    assert captured() == [("", "127.0.0.1")]
    assert captured("127.0.0.53") == [("127.0.0.53", "")]


def test_a_missing_file_means_no_outside(tmp_path: Path) -> None:
    upstream = Upstream(file=tmp_path / "none", mark=0)
    assert asyncio.run(upstream(b"xx", False)) is None
