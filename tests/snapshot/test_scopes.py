"""What a view may see: exportTo and Sidecars."""

from rhumb.model.codec import parse
from rhumb.model.proxy import Interception, Role
from rhumb.model.resource import Changes, ResourceSet
from rhumb.snapshot.build import World, build, empty
from rhumb.snapshot.snapshot import Scope
from rhumb.snapshot.view import View


def world(yaml: str) -> World:
    resources, findings = parse(yaml)
    assert not findings, [f.text() for f in findings]
    known = ResourceSet(resources)
    return build(empty(), known, Changes(added=frozenset(known)))


def service(name: str, namespace: str, *ports: int, export_to: str = "*") -> str:
    lines = ", ".join(f"{{name: http-{p}, port: {p}}}" for p in ports or (80,))
    return f"""---
apiVersion: v1
kind: Service
metadata:
  {{name: {name}, namespace: {namespace}, annotations: {{networking.istio.io/exportTo: "{export_to}"}}}}
spec: {{clusterIP: 10.0.0.1, ports: [{lines}]}}
"""


def entry(host: str, namespace: str, created: str = "") -> str:
    return f"""---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: "{host}", namespace: {namespace}, creationTimestamp: "{created}"}}
spec: {{hosts: ["{host}"], ports: [{{number: 80, name: http, protocol: HTTP}}], resolution: DNS}}
"""


def sidecar(spec: str, namespace: str = "a", name: str = "default") -> str:
    return f"""---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: {name}, namespace: {namespace}}}
spec: {spec}
"""


def scope(found: World, namespace: str = "a", **labels: str) -> Scope:
    view = View(role=Role.SIDECAR, namespace=namespace, labels=tuple(sorted(labels.items())))
    return found.scope(view)


def seen(found: Scope) -> list[str]:
    return [s.hostname.removesuffix(".svc.cluster.local") for s in found.services]


THREE = service("one", "a") + service("two", "b") + service("three", "c")


def test_without_a_sidecar_everything_exported_is_seen() -> None:
    found = world(THREE + service("own", "a", export_to=".") + service("gone", "a", export_to="~"))
    assert seen(scope(found)) == ["one.a", "own.a", "three.c", "two.b"]
    assert seen(scope(found, "b")) == ["one.a", "three.c", "two.b"]


def test_export_to_named_namespaces() -> None:
    found = world(service("one", "a", export_to="b,c"))
    assert seen(scope(found, "b")) == ["one.a"]
    assert seen(scope(found, "a")) == []


def test_the_mesh_default_decides_where_nothing_is_said() -> None:
    mesh = """---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: 'defaultServiceExportTo: ["."]'}
"""
    found = world(mesh + THREE.replace('networking.istio.io/exportTo: "*"', "other: value"))
    assert seen(scope(found, "a")) == ["one.a"]


def test_a_mesh_config_outside_the_control_plane_means_nothing() -> None:
    mesh = """---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: default}
data: {mesh: 'trustDomain: evil'}
"""
    assert world(mesh).mesh.trust_domain == "cluster.local"


def test_of_one_host_the_own_namespace_wins_then_kubernetes_then_the_oldest() -> None:
    found = world(
        service("one", "a")
        + entry("one.a.svc.cluster.local", "b", "2001-01-01T00:00:00Z")
        + entry("x.com", "d", "2002-01-01T00:00:00Z")
        + entry("x.com", "c", "2003-01-01T00:00:00Z")
    )
    by_namespace = {
        ns: {s.hostname: s.namespace for s in scope(found, ns).services} for ns in "bcz"
    }
    assert by_namespace["b"] == {"one.a.svc.cluster.local": "b", "x.com": "d"}
    assert by_namespace["c"] == {"one.a.svc.cluster.local": "a", "x.com": "c"}
    assert by_namespace["z"] == {"one.a.svc.cluster.local": "a", "x.com": "d"}


def test_egress_hosts_import_services() -> None:
    assert seen(scope(world(THREE + sidecar('{egress: [{hosts: ["./*", "c/*"]}]}')))) == [
        "one.a",
        "three.c",
    ]
    exact = sidecar('{egress: [{hosts: ["*/two.b.svc.cluster.local"]}]}')
    assert seen(scope(world(THREE + exact))) == ["two.b"]
    assert seen(scope(world(THREE + sidecar('{egress: [{hosts: ["~/*"]}]}')))) == []
    out = sidecar('{egress: [{hosts: ["*/*", "~b/*"]}]}')
    assert seen(scope(world(THREE + out))) == ["one.a", "three.c"]
    wild = sidecar('{egress: [{hosts: ["*/*.b.svc.cluster.local"]}]}')
    assert seen(scope(world(THREE + wild))) == ["two.b"]


def test_a_selecting_sidecar_beats_the_namespace_s_and_that_the_root_s() -> None:
    root = sidecar('{egress: [{hosts: ["./*"]}]}', "istio-system", "root")
    wide = sidecar('{egress: [{hosts: ["b/*"]}]}', "a", "wide")
    chosen = sidecar(
        '{workloadSelector: {labels: {app: x}}, egress: [{hosts: ["c/*"]}]}', "a", "chosen"
    )
    found = world(THREE + root + wide + chosen)
    assert seen(scope(found, "a", app="x", version="v1")) == ["three.c"]
    assert seen(scope(found, "a", app="y")) == ["two.b"]
    assert seen(scope(found, "b", app="x")) == ["two.b"]  # "./*" is b's own there


def test_a_router_ignores_sidecars() -> None:
    found = world(THREE + sidecar('{egress: [{hosts: ["~/*"]}]}'))
    router = View(role=Role.ROUTER, namespace="a")
    assert len(found.scope(router).services) == 3


def test_a_listener_with_a_port_serves_that_port_alone() -> None:
    both = service("one", "a", 80, 90) + service("two", "b", 90)
    found = scope(
        world(
            both
            + sidecar(
                '{egress: [{port: {number: 80, protocol: HTTP, name: h}, hosts: ["*/*"]},'
                ' {hosts: ["b/*"]}]}'
            )
        )
    )
    first, rest = found.egress
    assert [(s.name, [p.number for p in s.ports]) for s in first.services] == [("one", [80])]
    assert [s.name for s in rest.services] == ["two"]
    assert first.port == 80
    assert seen(found) == ["one.a", "two.b"]


def test_an_http_proxy_listener_serves_every_port() -> None:
    proxy = sidecar(
        '{egress: [{port: {number: 3128, protocol: HTTP_PROXY, name: p}, hosts: ["*/*"]}]}'
    )
    (listener,) = scope(world(service("one", "a", 80, 90) + proxy)).egress
    assert [[p.number for p in s.ports] for s in listener.services] == [[80, 90]]


VS = """---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: one, namespace: a}
spec:
  hosts: [one]
  http:
  - route: [{destination: {host: two.b.svc.cluster.local, port: {number: 90}}}]
  - match: [{sourceNamespace: z}]
    route: [{destination: {host: three.c.svc.cluster.local}}]
"""


def test_destinations_of_imported_virtual_services_are_implied() -> None:
    found = scope(
        world(
            service("one", "a")
            + service("two", "b", 80, 90)
            + service("three", "c")
            + VS
            + sidecar('{egress: [{hosts: ["./*"]}]}')
        )
    )
    (listener,) = found.egress
    assert [s.name for s in listener.services] == ["one"]
    assert [(s.name, [p.number for p in s.ports]) for s in found.services] == [
        ("one", [80]),
        ("two", [90]),
    ]
    assert [r.resource.meta.name for r in listener.routing] == ["one"]


def test_a_virtual_service_that_is_not_imported_brings_nothing() -> None:
    found = scope(world(THREE + VS + sidecar('{egress: [{hosts: ["c/*"]}]}')))
    assert found.egress[0].routing == ()
    assert seen(found) == ["three.c"]


def test_outbound_traffic_policy() -> None:
    assert scope(world(THREE)).outbound_allow_any
    omitted = scope(world(sidecar("{outboundTrafficPolicy: {}}")))
    assert not omitted.outbound_allow_any
    proxied = scope(
        world(
            sidecar(
                "{outboundTrafficPolicy: {mode: ALLOW_ANY,"
                " egressProxy: {host: out, subset: s, port: {number: 8080}}}}"
            )
        )
    )
    assert proxied.outbound_allow_any
    assert proxied.egress_proxy == ("out.a.svc.cluster.local", 8080, "s")


def test_without_interception_listeners_bind_their_ports() -> None:
    found = world(THREE)
    view = View(role=Role.SIDECAR, namespace="a", interception=Interception.NONE)
    assert not found.scope(view).egress[0].capture
    assert scope(found).egress[0].capture


def test_equal_views_share_one_scope() -> None:
    found = world(THREE)
    assert scope(found, "a", app="x") is scope(found, "a", app="y")
    assert scope(found, "a") is scope(found, "b")


def test_a_namespace_that_sees_more_has_a_scope_of_its_own() -> None:
    found = world(THREE + service("own", "a", export_to=".") + service("given", "a", export_to="b"))
    assert len({id(scope(found, namespace)) for namespace in ("a", "b", "c", "d")}) == 3
    assert scope(found, "c") is scope(found, "d")
    assert seen(scope(found, "b")) == ["given.a", "one.a", "three.c", "two.b"]


def test_a_namespace_that_prefers_its_own_has_a_scope_of_its_own_unless_all_prefer_that() -> None:
    found = world(THREE + entry("one.a.svc.cluster.local", "c"))
    assert scope(found, "a") is scope(found, "b")
    assert scope(found, "c") is not scope(found, "b")
    assert [scope(found, n).services[0].namespace for n in "abc"] == ["a", "a", "c"]


def test_services_that_come_go_and_change_are_seen_as_by_a_newcomer() -> None:
    many = THREE + service("two", "c", export_to=".") + entry("two.b.svc.cluster.local", "c")
    first, more = world(THREE), parse(many)[0]
    known = ResourceSet(more)
    changes = Changes(added=frozenset(known) - frozenset(first.resources))
    later = build(first, known, changes)
    for namespace in ("a", "b", "c"):
        assert seen(scope(later, namespace)) == seen(scope(world(many), namespace))
    back = build(later, first.resources, Changes(removed=changes.added))
    assert seen(scope(back)) == seen(scope(first))
