"""Objects at random: names are few, so that they meet, and every field by which namespaces may differ is there."""

import random
from collections.abc import Callable, Iterator

from rhumb.model.codec import parse
from rhumb.model.proxy import Interception, Proxy
from rhumb.model.resource import Resource

NAMES = ("a", "b", "c", "d")
NAMESPACES = ("one", "two")
SOURCES = ("two", "three")
"""Namespaces for whose clients there are rules."""
ROOT = "istio-system"
PLACES = ("", "r1/z1/s1", "r1/z2/s1", "r2/z1/s1")


def _host(chance: random.Random) -> str:
    return f"{chance.choice(NAMES)}.{chance.choice(NAMESPACES)}.svc.cluster.local"


def _seldom(chance: random.Random, *texts: str) -> str:
    """Return one of some texts now and then, mostly none."""
    return chance.choice(texts) if chance.random() < 0.2 else ""


def _meta(
    kind: str, name: str, namespace: str, version: str = "networking.istio.io/v1", more: str = ""
) -> str:
    return (
        f"apiVersion: {version}\nkind: {kind}\n"
        f"metadata: {{name: {name}, namespace: {namespace}{more}}}\n"
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
    export = _seldom(chance, '"."', '"two"', '"*"', '"~"', '"three,two"')
    more = f", annotations: {{networking.istio.io/exportTo: {export}}}" if export else ""
    if chance.random() < 0.1:
        spec = f"spec: {{type: ExternalName, externalName: {_host(chance)}, ports: [{PORTS[0]}]}}\n"
    else:
        address = chance.choice(("None", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"))
        how = _seldom(
            chance,
            "trafficDistribution: PreferClose, ",
            "trafficDistribution: PreferSameNode, ",
            "internalTrafficPolicy: Local, ",
            "sessionAffinity: ClientIP, ",
        )
        spec = (
            f'spec: {{{how}clusterIP: "{address}", selector: {{app: {name}}}, '
            f"ports: [{chance.choice(PORTS)}]}}\n"
        )
    return _meta("Service", name, namespace, "v1", more) + spec


def _service_entry(chance: random.Random) -> str:
    name, namespace = f"e{chance.choice(NAMES)}", chance.choice(NAMESPACES)
    host = chance.choice(
        (
            "x.com",
            "y.com",
            "*.x.com",
            f"z.{namespace}.svc.cluster.local",
            _host(chance),
            "b",
            "b.two",
        )
    )
    port = chance.choice(
        (
            "{number: 80, name: http, protocol: HTTP}",
            "{number: 8080, name: tcp, protocol: TCP}",
            "{number: 443, name: tls, protocol: TLS}",
        )
    )
    resolution = chance.choice(("STATIC", "DNS", "NONE"))
    if host.startswith("*") and resolution == "DNS":
        resolution = "DYNAMIC_DNS"
    addresses = chance.choice(("", "  addresses: [10.0.0.3]\n", "  addresses: [10.0.1.0/24]\n"))
    if resolution == "DYNAMIC_DNS":
        addresses = "  location: MESH_EXTERNAL\n"
    export = chance.choice(
        ("", "", "  exportTo: [.]\n", "  exportTo: [two]\n", "  exportTo: ['*']\n")
    )
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
    place = chance.choice(PLACES)
    more = f", locality: {place}" if place else ""
    more += _seldom(chance, ", network: n1", ", network: n2")
    return _meta("WorkloadEntry", name, namespace) + (
        f"spec: {{address: 1.1.1.{chance.randrange(4)}, labels: {{app: {app}, version: {version}}}, "
        f"serviceAccount: {chance.choice(('sa', 'sb'))}{more}}}\n"
    )


def _virtual_service(chance: random.Random) -> str:
    name, namespace = f"v{chance.randrange(4)}", chance.choice(NAMESPACES)
    host = chance.choice(
        (
            _host(chance),
            chance.choice(NAMES),
            "x.com",
            "unknown.com",
            "*.com",
            "*.two.svc.cluster.local",
        )
    )
    subset = chance.choice((", subset: v1", ", subset: v2", ""))
    to = f"{{destination: {{host: {_host(chance)}{subset}}}}}"
    source = chance.choice(SOURCES)
    match = chance.choice(
        (
            "",
            "match: [{uri: {prefix: /p}}], ",
            "match: [{sourceLabels: {app: a}}], ",
            "match: [{sourceLabels: {version: v1}}, {port: 8080}], ",
            f"match: [{{sourceNamespace: {source}}}], ",
            f"match: [{{sourceNamespace: {source}, sourceLabels: {{app: a}}}}], ",
            f"match: [{{headers: {{user: {{exact: u{chance.randrange(3)}}}}}}}], ",
        )
    )
    form = chance.randrange(7)
    export = chance.choice(
        ("", "", "", "  exportTo: [.]\n", "  exportTo: [two]\n", "  exportTo: ['*']\n")
    )
    gateways = chance.choice(("", "", "  gateways: [mesh, one/g]\n", "  gateways: [one/h]\n"))
    hosts = f"  hosts: ['{host}']\n"
    if form == 0:
        condition = chance.choice(
            ("", f"match: [{{sourceNamespace: {source}}}], ", "match: [{sourceLabels: {app: a}}], ")
        )
        rules = f"  tcp: [{{{condition}route: [{to}]}}]\n"
    elif form == 1:
        delegate = f"delegate: {{name: v{chance.randrange(4)}, namespace: {namespace}}}"
        rules = f"  http: [{{{delegate}}}]\n"
    elif form == 2:
        hosts, gateways = "", ""
        rules = f"  http: [{{{match}route: [{to}]}}]\n"
    elif form == 3:
        more = chance.choice(("", f", sourceNamespace: {source}"))
        rules = f"  tls: [{{match: [{{port: 443, sniHosts: ['{host}']{more}}}], route: [{to}]}}]\n"
        if "." not in host:
            hosts, rules = (
                f"  hosts: ['{host}.com']\n",
                rules.replace(f"['{host}']", f"['{host}.com']"),
            )
    else:
        more = f", {{route: [{{destination: {{host: {_host(chance)}}}}}]}}"
        rules = f"  http: [{{{match}route: [{to}]}}{more}]\n"
    return _meta("VirtualService", name, namespace) + "spec:\n" + hosts + gateways + rules + export


POLICIES = (
    "{loadBalancer: {consistentHash: {httpHeaderName: who}}}",
    "{loadBalancer: {simple: RANDOM}}",
    "{loadBalancer: {simple: PASSTHROUGH}}",
    "{loadBalancer: {localityLbSetting: {failoverPriority: [version]}}, outlierDetection: {}}",
    "{loadBalancer: {localityLbSetting: {distribute: [{from: r1/*, to: {'r1/*': 80, 'r2/*': 20}}]}}}",
    "{portLevelSettings: [{port: {number: 80}, loadBalancer: {consistentHash: {useSourceIp: true}}}]}",
    "{tls: {mode: DISABLE}}",
    "{tls: {mode: ISTIO_MUTUAL}}",
    "{tls: {mode: SIMPLE, credentialName: cert}}",
    "{outlierDetection: {consecutive5xxErrors: 5}}",
)


def _destination_rule(chance: random.Random) -> str:
    name = f"r{chance.randrange(4)}"
    namespace = ROOT if chance.random() < 0.1 else chance.choice(NAMESPACES)
    host = chance.choice((_host(chance), chance.choice(NAMES), "*.one.svc.cluster.local", "x.com"))
    pool = f"{{connectionPool: {{tcp: {{maxConnections: {chance.randrange(1, 4)}}}}}}}"
    policy = chance.choice((*POLICIES, pool, pool))
    subsets = chance.choice(("", "  subsets: [{name: v1, labels: {version: v1}}]\n"))
    selector = _seldom(
        chance,
        "  workloadSelector: {matchLabels: {app: a}}\n",
        "  workloadSelector: {matchLabels: {version: v1}}\n",
    )
    exports = ("  exportTo: [.]\n", "  exportTo: [two]\n", "  exportTo: ['*']\n")
    export = chance.choice(("", "", "", *exports))
    if selector:
        export = chance.choice(("", exports[0]))
    return (
        _meta("DestinationRule", name, namespace)
        + f"spec:\n  host: '{host}'\n  trafficPolicy: {policy}\n"
        + subsets
        + selector
        + export
    )


def _sidecar(chance: random.Random) -> str:
    namespace = ROOT if chance.random() < 0.2 else chance.choice(NAMESPACES)
    egress = chance.choice(
        (
            "",
            "  egress: [{hosts: ['./*']}]\n",
            "  egress: [{hosts: ['*/*']}]\n",
            "  egress: [{hosts: ['one/*', 'two/a.two.svc.cluster.local']}]\n",
            "  egress: [{port: {number: 8080, protocol: HTTP, name: h}, hosts: ['*/*']},"
            " {hosts: ['./*']}]\n",
            "  egress: [{port: {number: 9999, protocol: HTTP_PROXY, name: p}, hosts: ['*/*']},"
            " {hosts: ['*/*']}]\n",
        )
    )
    policy = _seldom(
        chance,
        "  outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n",
        "  outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: a, port: {number: 80}}}\n",
    )
    ingress = _seldom(
        chance,
        "  ingress: [{port: {number: 8080, protocol: HTTP, name: i},"
        " defaultEndpoint: '127.0.0.1:9'}]\n",
    )
    selector = chance.choice(("", "  workloadSelector: {labels: {app: a}}\n"))
    if namespace == ROOT:
        selector = ""
    name = "some" if selector else "default"
    spec = egress + policy + ingress + selector or "  egress: [{hosts: ['*/*']}]\n"
    return _meta("Sidecar", name, namespace) + "spec:\n" + spec


def _peers(chance: random.Random) -> str:
    namespace = chance.choice((*NAMESPACES, ROOT))
    mode = chance.choice(("STRICT", "DISABLE", "PERMISSIVE"))
    if namespace != ROOT and chance.random() < 0.5:
        text = _meta("PeerAuthentication", "some", namespace, "security.istio.io/v1")
        ports = _seldom(chance, ", portLevelMtls: {8080: {mode: DISABLE}}")
        return (
            text
            + f"spec: {{selector: {{matchLabels: {{app: a}}}}, mtls: {{mode: {mode}}}{ports}}}\n"
        )
    text = _meta("PeerAuthentication", "default", namespace, "security.istio.io/v1")
    return text + f"spec: {{mtls: {{mode: {mode}}}}}\n"


def _gateway(chance: random.Random) -> str:
    tls = chance.choice(
        ("", ", tls: {mode: AUTO_PASSTHROUGH}", ", tls: {mode: SIMPLE, credentialName: cert}")
    )
    protocol = "HTTP" if not tls else "HTTPS" if "SIMPLE" in tls else "TLS"
    number = chance.choice((80, 443))
    server = f"{{port: {{number: {number}, name: p, protocol: {protocol}}}, hosts: ['*']{tls}}}"
    selector = chance.choice(("app: a", "app: a", "version: v1"))
    return _meta("Gateway", chance.choice("gh"), "one") + (
        f"spec: {{selector: {{{selector}}}, servers: [{server}]}}\n"
    )


PATCHES = (
    "{{applyTo: CLUSTER, match: {{context: {side}}},"
    " patch: {{operation: MERGE, value: {{per_connection_buffer_limit_bytes: {limit}}}}}}}",
    "{{applyTo: CLUSTER, match: {{context: {side}}}, patch: {{operation: ADD, value:"
    " {{name: added, connect_timeout: {limit}s, type: STATIC}}}}}}",
    "{{applyTo: HTTP_FILTER, match: {{context: {side}}}, patch: {{operation: INSERT_FIRST,"
    " value: {{name: lua{limit}, typed_config:"
    " {{'@type': type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua}}}}}}}}",
    "{{applyTo: VIRTUAL_HOST, match: {{context: {side}}},"
    " patch: {{operation: MERGE, value: {{per_request_buffer_limit_bytes: {limit}}}}}}}",
    "{{applyTo: LISTENER, match: {{context: {side}, proxy: {{metadata: {{CLUSTER_ID: k}}}}}},"
    " patch: {{operation: MERGE, value: {{stat_prefix: x{limit}}}}}}}",
)


def _envoy_filter(chance: random.Random) -> str:
    selector = chance.choice(("", "  workloadSelector: {labels: {app: a}}\n"))
    side = chance.choice(("SIDECAR_OUTBOUND", "SIDECAR_INBOUND", "ANY", "GATEWAY"))
    patch = chance.choice(PATCHES).format(side=side, limit=chance.randrange(1, 3))
    namespace = chance.choice((*NAMESPACES, ROOT))
    return (
        _meta("EnvoyFilter", "f", namespace, "networking.istio.io/v1alpha3")
        + f"spec:\n{selector}  configPatches: [{patch}]\n"
    )


def _secret(chance: random.Random) -> str:
    kept = chance.choice(("QQ==", "Qg=="))
    return _meta("Secret", "cert", chance.choice(NAMESPACES), "v1") + (
        f"type: kubernetes.io/tls\ndata: {{tls.crt: {kept}, tls.key: {kept}}}\n"
    )


def _mesh(chance: random.Random) -> str:
    said = chance.choice(
        (
            "trustDomain: td",
            "outboundTrafficPolicy: {mode: REGISTRY_ONLY}",
            "outboundTrafficPolicy: {mode: ALLOW_ANY_DYNAMIC_DNS}",
            "rootNamespace: one",
            "defaultServiceExportTo: [.]",
            "defaultVirtualServiceExportTo: [.]",
            "defaultDestinationRuleExportTo: [.]",
            "defaultDestinationRuleExportTo: [., '*']",
            "defaultDestinationRuleExportTo: [two]",
            "localityLbSetting: {failoverPriority: [version, app]}",
            "enableAutoMtls: false",
            "proxyHttpPort: 15007",
            "defaultConfig: {proxyHeaders: {server: {value: me}}}",
            "",
            "",
        )
    )
    return _meta("ConfigMap", "istio", ROOT, "v1") + f'data: {{mesh: "{said}"}}\n'


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
    (_secret, 1),
    (_mesh, 1),
)


def random_resources(chance: random.Random) -> tuple[Resource, ...]:
    """Return an object of some kind."""
    makers, weights = zip(*MAKERS, strict=True)
    text = chance.choices(makers, weights)[0](chance)
    found, findings = parse(text)
    assert found, (text, [f.text() for f in findings])
    return tuple(found)


def proxies() -> Iterator[Proxy]:
    """Yield proxies of all kinds, and those of one kind in every namespace."""
    for namespace in NAMESPACES:
        for app, vhds, mode in (
            ("a", True, Interception.REDIRECT),
            ("b", False, Interception.REDIRECT),
            ("c", False, Interception.NONE),
        ):
            metadata: dict[str, object] = {
                "LABELS": {"app": app},
                "RHUMB_VHDS": str(vhds).lower(),
                "DNS_CAPTURE": "true",
                "INTERCEPTION_MODE": mode.value,
            }
            address = f"1.1.1.{NAMES.index(app)}"
            yield Proxy.parse(
                f"sidecar~{address}~{app}.{namespace}~{namespace}.svc.cluster.local", metadata
            )
    for namespace, more in (("one", {"CLUSTER_ID": "k"}), ("two", {"NETWORK": "n1"})):
        labels = {
            "version": "v1",
            "topology.kubernetes.io/region": "r1",
            "topology.kubernetes.io/zone": "z1",
            "topology.istio.io/network": "n2",
        }
        yield Proxy.parse(
            f"sidecar~1.1.1.9~z.{namespace}~{namespace}.svc.cluster.local",
            {"LABELS": labels, "RHUMB_FILE_SDS": "true", **more},
        )
    # Where there are no objects, but perhaps rules for clients.
    yield Proxy.parse("sidecar~1.1.1.4~a.three~three.svc.cluster.local", {"LABELS": {"app": "a"}})
    yield Proxy.parse(
        f"sidecar~1.1.1.5~a.{ROOT}~{ROOT}.svc.cluster.local", {"LABELS": {"app": "a"}}
    )
    for namespace in NAMESPACES:
        yield Proxy.parse(
            f"router~1.1.1.3~gw.{namespace}~{namespace}.svc.cluster.local",
            {"LABELS": {"app": "a", "version": "v1"}},
        )
        yield Proxy.parse(f"agent~1.1.1.1~a.{namespace}~{namespace}.svc.cluster.local", {})
