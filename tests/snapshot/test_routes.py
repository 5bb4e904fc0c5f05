"""VirtualServices: full names, order, delegates."""

from hypothesis import given
from hypothesis import strategies as st

from rhumb.model.codec import parse
from rhumb.model.kinds.virtual_service import Destination
from rhumb.model.proxy import Role
from rhumb.model.resource import Changes, Resource, ResourceSet
from rhumb.snapshot.build import World, build, empty
from rhumb.snapshot.routes import Routes
from rhumb.snapshot.snapshot import Routing
from rhumb.snapshot.view import View
from rhumb.testing.world import resources


def world(yaml: str) -> World:
    resources, findings = parse(yaml)
    assert not findings, [f.text() for f in findings]
    known = ResourceSet(resources)
    return build(empty(), known, Changes(added=frozenset(known)))


def mesh_routing(found: World, namespace: str) -> tuple[Routing, ...]:
    return found.scope(View(role=Role.SIDECAR, namespace=namespace)).egress[0].routing


def test_short_names_are_relative_to_the_virtual_service() -> None:
    found = world("""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: vs, namespace: books}
spec:
  hosts: [reviews, api.example.com, "*.wild.com"]
  gateways: [mesh, gw, other/gw, ./own, old.ns.svc.cluster.local]
  http:
  - match: [{gateways: [gw]}]
    route: [{destination: {host: ratings}}]
    mirror: {host: shadow}
    mirrors: [{destination: {host: deep.other.svc.cluster.local}}]
  tls: [{match: [{sniHosts: [api.example.com]}], route: [{destination: {host: tls}}]}]
  tcp: [{route: [{destination: {host: tcp}}]}]
""")
    (routing,) = mesh_routing(found, "anywhere")
    spec = routing.spec
    full = "{}.books.svc.cluster.local".format
    assert spec.hosts == (full("reviews"), "api.example.com", "*.wild.com")
    assert spec.gateways == ("mesh", "books/gw", "other/gw", "books/own", "ns/old")
    (http,) = spec.http
    assert http.match[0].gateways == ("books/gw",)
    assert http.route[0].destination == Destination(host=full("ratings"))
    assert http.mirror == Destination(host=full("shadow"))
    assert http.mirrors[0].destination == Destination(host="deep.other.svc.cluster.local")
    assert spec.tls[0].route[0].destination == Destination(host=full("tls"))
    assert spec.tcp[0].route[0].destination == Destination(host=full("tcp"))


def virtual_service(name: str, namespace: str, export_to: str, created: str) -> str:
    return f"""---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: {namespace}, creationTimestamp: "{created}"}}
spec:
  hosts: [x.example.com]
  gateways: [mesh, gws/gw]
  exportTo: [{export_to}]
  http: [{{route: [{{destination: {{host: dest}}}}]}}]
"""


MANY = (
    virtual_service("public-old", "c", '"*"', "2001-01-01T00:00:00Z")
    + virtual_service("public-young", "a", '"*"', "2005-01-01T00:00:00Z")
    + virtual_service("to-a", "b", "a", "2004-01-01T00:00:00Z")
    + virtual_service("private", "a", '"."', "2009-01-01T00:00:00Z")
    + virtual_service("private-old", "a", "a", "2008-01-01T00:00:00Z")
    + virtual_service("hidden", "a", '"~"', "2000-01-01T00:00:00Z")
)


def test_private_goes_before_exported_before_public_and_the_oldest_first() -> None:
    found = world(MANY)
    names = [r.resource.meta.name for r in mesh_routing(found, "a")]
    assert names == ["private-old", "private", "to-a", "public-old", "public-young"]
    assert [r.resource.meta.name for r in mesh_routing(found, "z")] == [
        "public-old",
        "public-young",
    ]


RULES = [
    rule
    for name in ("one", "two")
    for namespace, created in (("a", "2001"), ("b", "2002"))
    for export_to in ("", '"*"', '"."', '"~"', "a", "a, b", '".", z')
    for rule in resources(virtual_service(name, namespace, export_to, f"{created}-01-01T00:00:00Z"))
]
"""Some of one name and namespace."""


@given(
    st.lists(st.sampled_from(RULES)),
    st.lists(st.sampled_from(RULES)),
    st.sampled_from([("*",), (".",), ("b",), (".", "*")]),
)
def test_each_namespace_sees_what_is_exported_to_it_however_it_came(
    first: list[Resource], second: list[Resource], default: tuple[str, ...]
) -> None:
    routes = Routes("cluster.local", default)
    for changed in (first, second):
        routes = routes.updated({r.key: r for r in changed})
        known = sorted(routes.all(), key=lambda r: r.resource.age_key)
        public = routes.of_mesh("")
        for viewer in ("", "a", "b", "z"):
            found = routes.of_mesh(viewer)
            assert found == routes.ranked(known, viewer)
            assert found is public or found != public


def test_gateways_ask_by_full_name_and_see_what_is_exported_to_them() -> None:
    found = world(MANY)
    router = View(role=Role.ROUTER, namespace="z")
    names = [r.resource.meta.name for r in found.gateway_routing(router, "gws/gw")]
    assert names == ["public-old", "public-young"]
    assert found.gateway_routing(router, "gws/none") == ()


def test_a_virtual_service_for_a_gateway_alone_is_nothing_to_sidecars() -> None:
    found = world(MANY.replace("[mesh, gws/gw]", "[gws/gw]"))
    assert mesh_routing(found, "a") == ()


DELEGATE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: child, namespace: b}
spec: {exportTo: [a], http: [{route: [{destination: {host: dest}}]}]}
"""


def test_a_delegate_must_be_visible_to_its_root() -> None:
    found = world(DELEGATE)
    seen = found.delegate("b", "child", "a")
    assert seen is not None
    assert seen.spec.http[0].route[0].destination == Destination(host="dest.b.svc.cluster.local")
    assert found.delegate("b", "child", "c") is None
    assert found.delegate("", "child", "b") is None  # exported to a only, not even at home
    assert found.delegate("b", "other", "a") is None
    assert mesh_routing(found, "a") == ()


def test_destinations_of_a_delegate_are_implied_by_its_root() -> None:
    found = world(
        DELEGATE
        + """---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: root, namespace: a}
spec: {hosts: [x.com], http: [{delegate: {name: child, namespace: b}}]}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: a}
spec: {egress: [{hosts: ["*/x.com"]}]}
---
apiVersion: v1
kind: Service
metadata: {name: dest, namespace: b}
spec: {clusterIP: 10.0.0.1, ports: [{port: 80}]}
"""
    )
    scope = found.scope(View(role=Role.SIDECAR, namespace="a"))
    assert [s.hostname for s in scope.services] == ["dest.b.svc.cluster.local"]


GATEWAYS = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: web, namespace: b, creationTimestamp: "2005-01-01T00:00:00Z"}
spec: {selector: {istio: ingress}, servers: [{port: {number: 80, name: h, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: all, namespace: c, creationTimestamp: "2001-01-01T00:00:00Z"}
spec: {servers: [{port: {number: 81, name: h, protocol: HTTP}, hosts: ["*"]}]}
"""


def test_a_gateway_serves_the_routers_that_it_selects() -> None:
    found = world(GATEWAYS)
    chosen = View(role=Role.ROUTER, namespace="z", labels=(("app", "x"), ("istio", "ingress")))
    assert [g.name for g in found.gateways(chosen)] == ["c/all", "b/web"]
    other = View(role=Role.ROUTER, namespace="z", labels=(("istio", "egress"),))
    assert [g.name for g in found.gateways(other)] == ["c/all"]
    sidecar = View(role=Role.SIDECAR, namespace="z", labels=(("istio", "ingress"),))
    assert found.gateways(sidecar) == ()
