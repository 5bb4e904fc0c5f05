"""Names such as "*-a.example.com", which Istio lets pass and of which no listener can be made."""

from rhumb.ir.listener import Listener
from rhumb.testing.world import proxy, resources, world
from rhumb.translate.proxy import resources as translated
from rhumb.validation.load import Loader
from rhumb.xds.types import XdsType

ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a}
spec:
  hosts: ["*-a.example.com", b.example.com]
  addresses: [%s]
  resolution: NONE
  ports: [{number: 443, name: tls, protocol: TLS}]
"""
ROUTE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a}
spec:
  hosts: ["*-a.example.com", b.example.com]
  tls:
  - match: [{sniHosts: [%s]}]
    route: [{destination: {host: b.example.com}}]
"""


def chains(*texts: str) -> dict[tuple[str, ...], int]:
    """Return how many addresses each chain of port 443 has, by its names."""
    snapshot = world(resources(*texts))
    found = translated(snapshot, snapshot.view(proxy()), XdsType.LDS)
    return {
        chain.match.server_names: len(chain.match.destinations)
        for listener in found
        if isinstance(listener, Listener) and listener.name.endswith("_443")
        for chain in listener.chains
    }


def test_a_service_is_told_by_its_other_name_or_its_address() -> None:
    assert list(chains(ENTRY % "")) == [("b.example.com",)]
    assert chains(ENTRY % "10.9.9.0/24") == {(): 1, ("b.example.com",): 1}


def test_a_service_without_another_name_is_told_by_its_address_or_not_at_all() -> None:
    alone = ENTRY.replace(", b.example.com", "")
    assert chains(alone % "10.9.9.0/24") == {(): 1}
    assert chains(alone % "") == {}


def test_a_rule_keeps_its_other_names() -> None:
    found = chains(ENTRY % "", ROUTE % '"*-a.example.com", b.example.com')
    assert list(found) == [("b.example.com",)]


def test_a_rule_without_another_name_takes_nothing() -> None:
    assert chains(ENTRY % "", ROUTE % '"*-a.example.com"') == {}


def test_the_user_is_told() -> None:
    (document,) = Loader().load(ROUTE % '"*-a.example.com"')
    assert document.resource is not None
    assert 'partial wildcard "*-a.example.com" not allowed' in [
        f.message for f in document.findings if f.field == "spec.tls[0].match[0].sniHosts[0]"
    ]
