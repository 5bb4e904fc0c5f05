"""Random histories: what is carried from snapshot to snapshot is what a newcomer would be given."""

import random
import re
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from rhumb.ads import agent_types
from rhumb.cache.encoded import Encoded
from rhumb.cache.views import Failure, Views
from rhumb.encode.dispatch import encode
from rhumb.model.codec import parse
from rhumb.model.proxy import Interception, Proxy
from rhumb.model.resource import Changes, Key, Resource, ResourceSet
from rhumb.snapshot.build import World, build, empty
from rhumb.snapshot.view import View
from rhumb.translate import proxy as translator
from rhumb.xds.types import XdsType

KINDS = (*(k for k in XdsType if k not in (XdsType.PCDS, XdsType.ECDS)),)
NAMES = ("a", "b", "c", "d")
NAMESPACES = ("one", "two")
SOURCES = ("two", "three")
"""Namespaces for whose clients there are rules."""
STEPS = 25


def _host(chance: random.Random) -> str:
    return f"{chance.choice(NAMES)}.{chance.choice(NAMESPACES)}.svc.cluster.local"


def _meta(kind: str, name: str, namespace: str, version: str = "networking.istio.io/v1") -> str:
    return (
        f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
    )


PORTS = (
    "{name: http, port: 80}",
    "{name: http, port: 8080}",
    "{name: http, port: 80}, {name: http-more, port: 8080}",
    "{name: grpc, port: 8080}",
    "{name: tcp, port: 8080}",
    "{name: any, port: 8080}",
    "{name: tls, port: 443}, {name: http, port: 80}",
)


def _service(chance: random.Random) -> str:
    name, namespace = chance.choice(NAMES), chance.choice(NAMESPACES)
    if chance.random() < 0.1:
        spec = f"spec: {{type: ExternalName, externalName: {_host(chance)}, ports: [{PORTS[0]}]}}\n"
    else:
        address = chance.choice(("None", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"))
        spec = (
            f'spec: {{clusterIP: "{address}", selector: {{app: {name}}}, '
            f"ports: [{chance.choice(PORTS)}]}}\n"
        )
    return _meta("Service", name, namespace, "v1") + spec


def _service_entry(chance: random.Random) -> str:
    name, namespace = f"e{chance.choice(NAMES)}", chance.choice(NAMESPACES)
    host = chance.choice(("x.com", "y.com", "*.x.com", f"z.{namespace}.svc.cluster.local"))
    port = chance.choice(
        ("{number: 80, name: http, protocol: HTTP}", "{number: 8080, name: tcp, protocol: TCP}")
    )
    resolution = chance.choice(("STATIC", "DNS", "NONE"))
    addresses = chance.choice(("", "  addresses: [10.0.0.3]\n", "  addresses: [10.0.1.0/24]\n"))
    export = chance.choice(("", "  exportTo: [.]\n", "  exportTo: [two]\n"))
    selector = "  workloadSelector: {labels: {app: a}}\n" if resolution == "STATIC" else ""
    return (
        _meta("ServiceEntry", name, namespace)
        + f"spec:\n  hosts: ['{host}']\n  resolution: {resolution}\n  ports: [{port}]\n"
        + addresses
        + export
        + selector
    )


def _workload(chance: random.Random) -> str:
    name, namespace = f"w{chance.randrange(4)}", chance.choice(NAMESPACES)
    app, version = chance.choice(NAMES), chance.choice(("v1", "v2"))
    return _meta("WorkloadEntry", name, namespace) + (
        f"spec: {{address: 1.1.1.{chance.randrange(4)}, labels: {{app: {app}, version: {version}}}, "
        f"serviceAccount: {chance.choice(('sa', 'sb'))}}}\n"
    )


def _virtual_service(chance: random.Random) -> str:
    name, namespace = f"v{chance.randrange(4)}", chance.choice(NAMESPACES)
    host = chance.choice((_host(chance), chance.choice(NAMES), "x.com", "unknown.com", "*.com"))
    to = f"{{destination: {{host: {_host(chance)}, subset: {chance.choice(('v1', 'v2'))}}}}}"
    match = chance.choice(
        (
            "",
            "match: [{uri: {prefix: /p}}], ",
            "match: [{sourceLabels: {app: a}}], ",
            f"match: [{{sourceNamespace: {chance.choice(SOURCES)}}}], ",
            f"match: [{{headers: {{user: {{exact: u{chance.randrange(3)}}}}}}}], ",
        )
    )
    form = chance.randrange(6)
    export = chance.choice(("", "", "  exportTo: [.]\n"))
    gateways = chance.choice(("", "", "  gateways: [mesh, one/g]\n"))
    hosts = f"  hosts: ['{host}']\n"
    if form == 0:
        source = chance.choice(("", f"match: [{{sourceNamespace: {chance.choice(SOURCES)}}}], "))
        rules = f"  tcp: [{{{source}route: [{to}]}}]\n"
    elif form == 1:
        delegate = f"delegate: {{name: v{chance.randrange(4)}, namespace: {namespace}}}"
        rules = f"  http: [{{{delegate}}}]\n"
    elif form == 2:
        hosts, gateways = "", ""
        rules = f"  http: [{{{match}route: [{to}]}}]\n"
    else:
        more = f", {{route: [{{destination: {{host: {_host(chance)}}}}}]}}"
        rules = f"  http: [{{{match}route: [{to}]}}{more}]\n"
    return _meta("VirtualService", name, namespace) + "spec:\n" + hosts + gateways + rules + export


def _destination_rule(chance: random.Random) -> str:
    name, namespace = f"r{chance.randrange(4)}", chance.choice(NAMESPACES)
    host = chance.choice((_host(chance), chance.choice(NAMES), "*.one.svc.cluster.local"))
    policy = chance.choice(
        (
            "{loadBalancer: {consistentHash: {httpHeaderName: who}}}",
            "{loadBalancer: {simple: RANDOM}}",
            "{tls: {mode: DISABLE}}",
            "{outlierDetection: {consecutive5xxErrors: 5}}",
            f"{{connectionPool: {{tcp: {{maxConnections: {chance.randrange(1, 4)}}}}}}}",
        )
    )
    subsets = chance.choice(("", "  subsets: [{name: v1, labels: {version: v1}}]\n"))
    selector = chance.choice(("", "", "  workloadSelector: {matchLabels: {app: a}}\n"))
    return (
        _meta("DestinationRule", name, namespace)
        + f"spec:\n  host: '{host}'\n  trafficPolicy: {policy}\n"
        + subsets
        + selector
        + chance.choice(("", "", "  exportTo: [.]\n"))
    )


def _sidecar(chance: random.Random) -> str:
    namespace = chance.choice(NAMESPACES)
    egress = chance.choice(
        (
            "[{hosts: ['./*']}]",
            "[{hosts: ['*/*']}]",
            "[{hosts: ['one/*', 'two/a.two.svc.cluster.local']}]",
            "[{port: {number: 8080, protocol: HTTP, name: h}, hosts: ['*/*']}, {hosts: ['./*']}]",
        )
    )
    selector = chance.choice(("", "  workloadSelector: {labels: {app: a}}\n"))
    name = "some" if selector else "default"
    return _meta("Sidecar", name, namespace) + f"spec:\n  egress: {egress}\n" + selector


def _peers(chance: random.Random) -> str:
    namespace = chance.choice((*NAMESPACES, "istio-system"))
    mode = chance.choice(("STRICT", "DISABLE", "PERMISSIVE"))
    text = _meta("PeerAuthentication", "default", namespace, "security.istio.io/v1")
    return text + f"spec: {{mtls: {{mode: {mode}}}}}\n"


def _gateway(chance: random.Random) -> str:
    tls = chance.choice(("", ", tls: {mode: AUTO_PASSTHROUGH}"))
    protocol = "TLS" if tls else "HTTP"
    server = f"{{port: {{number: 80, name: p, protocol: {protocol}}}, hosts: ['*']{tls}}}"
    return _meta("Gateway", "g", "one") + f"spec: {{selector: {{app: a}}, servers: [{server}]}}\n"


PATCHES = (
    "{{applyTo: CLUSTER, match: {{context: {side}}},"
    " patch: {{operation: MERGE, value: {{per_connection_buffer_limit_bytes: {limit}}}}}}}",
    "{{applyTo: HTTP_FILTER, match: {{context: {side}}}, patch: {{operation: INSERT_FIRST,"
    " value: {{name: lua{limit}, typed_config:"
    " {{'@type': type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua}}}}}}}}",
    "{{applyTo: VIRTUAL_HOST, match: {{context: {side}}},"
    " patch: {{operation: MERGE, value: {{per_request_buffer_limit_bytes: {limit}}}}}}}",
)


def _envoy_filter(chance: random.Random) -> str:
    selector = chance.choice(("", "  workloadSelector: {labels: {app: a}}\n"))
    side = chance.choice(("SIDECAR_OUTBOUND", "SIDECAR_INBOUND", "ANY"))
    patch = chance.choice(PATCHES).format(side=side, limit=chance.randrange(1, 3))
    return (
        _meta("EnvoyFilter", "f", chance.choice(NAMESPACES), "networking.istio.io/v1alpha3")
        + f"spec:\n{selector}  configPatches: [{patch}]\n"
    )


def _mesh(chance: random.Random) -> str:
    said = chance.choice(("trustDomain: td", "outboundTrafficPolicy: {mode: REGISTRY_ONLY}", ""))
    return _meta("ConfigMap", "istio", "istio-system", "v1") + f'data: {{mesh: "{said}"}}\n'


MAKERS: tuple[tuple[Callable[[random.Random], str], int], ...] = (
    (_service, 6),
    (_service_entry, 3),
    (_workload, 6),
    (_virtual_service, 8),
    (_destination_rule, 4),
    (_sidecar, 1),
    (_peers, 1),
    (_gateway, 1),
    (_envoy_filter, 2),
    (_mesh, 1),
)


def random_resources(chance: random.Random) -> tuple[Resource, ...]:
    """Return an object of some kind; names are few, so that they meet."""
    makers, weights = zip(*MAKERS, strict=True)
    text = chance.choices(makers, weights)[0](chance)
    found, findings = parse(text)
    assert found, (text, [f.text() for f in findings])
    return tuple(found)


def _proxies() -> Iterator[Proxy]:
    for namespace in NAMESPACES:
        for app, vhds, mode in (
            ("a", True, Interception.REDIRECT),
            ("b", False, Interception.REDIRECT),
            ("c", False, Interception.NONE),
        ):
            metadata = {
                "LABELS": {"app": app},
                "RHUMB_VHDS": str(vhds).lower(),
                "DNS_CAPTURE": "true",
                "INTERCEPTION_MODE": mode.value,
            }
            address = f"1.1.1.{NAMES.index(app)}"
            yield Proxy.parse(
                f"sidecar~{address}~{app}.{namespace}~{namespace}.svc.cluster.local", metadata
            )
    # Where there are no objects, but perhaps rules for clients.
    yield Proxy.parse("sidecar~1.1.1.4~a.three~three.svc.cluster.local", {"LABELS": {"app": "a"}})
    yield Proxy.parse(
        "router~1.1.1.3~gw.one~one.svc.cluster.local", {"LABELS": {"app": "a", "version": "v1"}}
    )
    yield Proxy.parse("agent~1.1.1.1~a.one~one.svc.cluster.local", {})


def spell(value: object) -> tuple[str, str, bytes]:
    if isinstance(value, agent_types.AgentValue):
        return agent_types.encode(value)
    return encode(value)


def _raise(failure: Failure) -> None:
    raise AssertionError(failure)


def _shown(views: Views, view: View, kind: XdsType) -> dict[str, str]:
    entries = views.table(view, kind).entries
    return {name: entry.version for name, entry in entries.items()}


def _is_for_all(resource: Resource) -> bool:
    """Tell whether an object leaves all namespaces with the same view of others."""
    text = str(resource.spec)
    if resource.key.kind in ("Sidecar", "EnvoyFilter") or "source_namespace='t" in text:
        return False
    if re.search(r"external_name='[^']|export_to=\('", text):
        return False
    return resource.key.kind != "DestinationRule" or f".{resource.key.namespace}.svc" in text


class History:
    """A mesh that changes at random, and what is carried along."""

    def __init__(self, seed: int, *, is_alike: bool = False) -> None:
        self.chance = random.Random(seed)
        self.is_alike = is_alike
        """Nothing comes that sets namespaces apart."""
        self.known = ResourceSet()
        self.world: World = empty()
        self.encoded = Encoded(spell)
        self.views = Views(self.world, translator, self.encoded, _raise)
        self.proxies = list(_proxies())
        self.live: frozenset[View] = frozenset()

    def step(self) -> None:
        """Change one to three objects."""
        upserts: dict[Key, Resource] = {}
        removed: list[Key] = []
        for _ in range(self.chance.randrange(1, 4)):
            if len(self.known) > 6 and self.chance.random() < 0.35:
                removed.append(self.chance.choice(sorted(self.known)))
            else:
                made = (
                    r for r in random_resources(self.chance) if not self.is_alike or _is_for_all(r)
                )
                upserts |= {r.key: r for r in made}
        left = [key for key in removed if key not in upserts]
        self.known, changes = self.known.apply(upserts.values(), left)
        if changes:
            self.world = build(self.world, self.known, changes)
            self.views.following(self.world, self.live, self.world.impact)

    def check(self, share: float) -> None:
        """Compare some of what is carried along with what is made from nothing."""
        fresh = build(empty(), self.known, Changes(added=frozenset(self.known)))
        newcomer = Views(fresh, translator, self.encoded, _raise)
        current = [self.world.view(each) for each in self.proxies]
        assert current == [fresh.view(each) for each in self.proxies]
        self.live = frozenset(current)
        for view in current:
            for kind in KINDS:
                if self.chance.random() < share:
                    assert _shown(self.views, view, kind) == _shown(newcomer, view, kind), kind


@pytest.mark.parametrize("seed", range(50))
def test_incremental_equals_from_scratch(seed: int) -> None:
    history = History(seed, is_alike=seed >= 30)
    for number in range(STEPS):
        history.step()
        # Now and then nobody asks for some types: what happened must not be forgotten.
        history.check(1.0 if number % 5 == 4 else 0.3)


@pytest.mark.parametrize("seed", range(1000, 1015))
def test_what_is_not_stale_has_not_changed(seed: int) -> None:
    history = History(seed, is_alike=seed >= 1010)
    for _ in range(STEPS):
        history.check(1.0)
        before = {(v, k): history.views.table(v, k) for v in history.live for k in KINDS}
        history.step()
        for (view, kind), table in before.items():
            if not history.views.stale(view):
                assert history.views.table(view, kind) is table


class Alone:
    """A snapshot in which nothing is common to views."""

    def __init__(self, world: World) -> None:
        self._world = world

    def common(self, view: View) -> View:
        return view

    def public(self, view: View) -> View:
        return view

    def nobodys(self, view: View) -> View:
        return view

    def __getattr__(self, name: str) -> object:
        return getattr(self._world, name)


@pytest.mark.parametrize("seed", range(2000, 2030))
def test_what_is_common_is_what_each_view_would_have_for_itself(seed: int) -> None:
    history = History(seed, is_alike=seed >= 2015)
    for number in range(STEPS):
        history.step()
        if number % 4:
            continue
        alone = Views(cast("World", Alone(history.world)), translator, history.encoded, _raise)
        newcomers = Views(history.world, translator, history.encoded, _raise)
        for each in history.proxies:
            view = history.world.view(each)
            for kind in KINDS:
                assert _shown(newcomers, view, kind) == _shown(alone, view, kind), kind
