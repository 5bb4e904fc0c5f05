"""What a namespace's proxies get of their own services: short names, beside what everybody gets."""

from collections.abc import Iterator

import pytest

from rhumb.cache.tables import Table
from rhumb.ir.listener import Listener
from rhumb.ir.route import HostOfRoute, RouteConfiguration, VirtualHost
from rhumb.model.proxy import Role
from rhumb.snapshot.build import World
from rhumb.snapshot.view import Capabilities, View
from rhumb.testing.ads import views_of
from rhumb.testing.world import following, resources, service, world
from rhumb.translate.proxy import Part, parts, translate
from rhumb.translate.proxy import resources as translated
from rhumb.xds.types import XdsType

ONE, TWO = service("one", "10.0.0.1", namespace="a"), service("two", "10.0.0.2", namespace="b")
ROUTES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: one, namespace: a}
spec: {hosts: [one], http: [{timeout: %ds, route: [{destination: {host: one}}]}]}
"""


def mesh(*objects: str) -> World:
    return world(resources(ONE, TWO, *objects))


def view(namespace: str, *, vhds: bool = True) -> View:
    can = Capabilities(vhds=vhds)
    return View(role=Role.SIDECAR, namespace=namespace, capabilities=can)


def names(found: World, part: Part) -> set[str]:
    return {name for name, _ in translate(found, part)}


def hosts(found: World, namespace: str, *, vhds: bool) -> Iterator[VirtualHost]:
    """Yield the virtual hosts on port 80."""
    kind = XdsType.VHDS if vhds else XdsType.RDS
    for made in translated(found, view(namespace, vhds=vhds), kind):
        if isinstance(made, HostOfRoute) and made.route == "80":
            yield made.host
        elif isinstance(made, RouteConfiguration) and made.name == "80":
            yield from made.virtual_hosts


def domains(found: World, namespace: str, *, vhds: bool = True) -> dict[str, tuple[str, ...]]:
    """Return the domains of virtual hosts on port 80, by the first part of their names."""
    made = hosts(found, namespace, vhds=vhds)
    return {host.name.partition(".")[0]: host.domains for host in made}


def test_own_services_have_short_names_and_all_else_is_shared() -> None:
    found = mesh()
    for_a, for_b = (parts(found, view(n), XdsType.VHDS) for n in ("a", "b"))
    assert for_a[0] == for_b[0]
    assert names(found, for_a[1]) == {"80/one.a.svc.cluster.local:80"}
    assert names(found, for_b[1]) == {"80/two.b.svc.cluster.local:80"}
    elsewhere = parts(found, view("c"), XdsType.VHDS)
    assert elsewhere[0] == for_a[0]
    assert not names(found, elsewhere[1])


def test_both_ways_of_delivery_say_the_same() -> None:
    found = mesh()
    for namespace in ("a", "b", "c"):
        apart = domains(found, namespace)
        assert apart == domains(found, namespace, vhds=False)
        assert ("one" in apart["one"]) is (namespace == "a")
        assert ("two" in apart["two"]) is (namespace == "b")


def test_a_short_name_that_is_the_full_name_of_another_stays_with_that() -> None:
    entry = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: single, namespace: c}
spec: {hosts: [one], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}
"""
    found = mesh(entry)
    for vhds in (True, False):
        having = [name for name, d in domains(found, "a", vhds=vhds).items() if "one" in d]
        assert having == ["one:80"]


def test_other_names_of_services_are_short_at_home_too() -> None:
    alias = """
apiVersion: v1
kind: Service
metadata: {name: alias, namespace: b}
spec: {type: ExternalName, externalName: one.a.svc.cluster.local}
"""
    found = mesh(alias)
    for vhds in (True, False):
        assert "alias" in domains(found, "b", vhds=vhds)["one"]
        at_home = domains(found, "a", vhds=vhds)["one"]
        assert "alias" not in at_home
        assert {"one", "alias.b", "alias.b.svc.cluster.local"} <= set(at_home)


def test_other_names_tell_tls_apart_at_home_too() -> None:
    external = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: secure, namespace: c}
spec:
  hosts: [secure.example.com]
  addresses: [10.0.1.0/24]
  ports: [{number: 443, name: tls, protocol: TLS}]
  resolution: DNS
---
apiVersion: v1
kind: Service
metadata: {name: alias, namespace: b}
spec: {type: ExternalName, externalName: secure.example.com}
"""
    found = mesh(external)

    def server_names(namespace: str) -> set[str]:
        listeners = translated(found, view(namespace), XdsType.LDS)
        chains = [c for each in listeners if isinstance(each, Listener) for c in each.chains]
        return {name for chain in chains for name in chain.match.server_names}

    assert server_names("b") == {*server_names("a"), "alias"}
    assert "alias.b" in server_names("a")


def test_what_the_mesh_says_of_headers_counts_at_home() -> None:
    config = """
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    defaultConfig: {proxyHeaders: {attemptCount: {disabled: true}}}
"""
    found = mesh(config)
    for vhds in (True, False):
        assert not any(host.counts_attempts for host in hosts(found, "a", vhds=vhds))
    assert "one" in domains(found, "a")["one"]
    _, at_home = parts(found, view("a"), XdsType.VHDS)
    assert names(found, at_home) == {"80/one.a.svc.cluster.local:80"}


@pytest.mark.parametrize("vhds", [True, False])
def test_routes_that_change_are_other_ones_at_home_too(vhds: bool) -> None:
    who, kind = view("a", vhds=vhds), XdsType.VHDS if vhds else XdsType.RDS
    first = mesh(ROUTES % 1)
    views = views_of(first)
    before = versions(views.table(who, kind))
    second = following(first, resources(ROUTES % 2))
    after = versions(views.following(second, {who}, second.impact).table(who, kind))
    assert after == versions(views_of(second).table(who, kind))
    assert after.keys() == before.keys()
    assert after != before


def versions(table: Table) -> dict[str, str]:
    return {name: entry.version for name, entry in table.entries.items()}
