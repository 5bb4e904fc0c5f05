"""One rule a row: what is written, and what Istio's users read when it is refused."""

import msgspec
import pytest
import yaml

from rhumb.model.codec import parse
from rhumb.model.finding import Level
from rhumb.model.kinds.table import KINDS
from rhumb.model.resource import Resource
from rhumb.validation.all import check

API = {info.kind: info.api_version for info in KINDS}
ROUTE = "route: [{destination: {host: a}}]"
NAMED = "hosts: [a], http: "
PORT = "{number: 80, name: http, protocol: HTTP}"


def resource(kind: str, spec: str, **meta: object) -> Resource:
    text = yaml.safe_dump(
        {"apiVersion": API[kind], "kind": kind, "metadata": {"name": "a", **meta}}
    )
    (found, *_), findings = parse(f"{text}spec: {{{spec}}}\n")
    assert findings == ()
    return found


ROWS: list[tuple[str, str, str]] = [
    # VirtualService
    ("VirtualService", "hosts: [a]", "http, tcp or tls must be provided in virtual service"),
    ("VirtualService", f"{NAMED}[{{}}]", "HTTP route, redirect or direct_response is required"),
    ("VirtualService", f"gateways: [g], http: [{{{ROUTE}}}]", "delegate virtual service must have no gateways specified"),
    ("VirtualService", f"hosts: ['*'], http: [{{{ROUTE}}}]", "wildcard host * is not allowed for virtual services bound to the mesh gateway"),
    ("VirtualService", f"hosts: ['*.b.com', a.b.com], http: [{{{ROUTE}}}]", "duplicate hosts in virtual service: *.b.com & a.b.com"),
    ("VirtualService", f"{NAMED}[{{{ROUTE}, redirect: {{uri: /}}}}]", "HTTP route cannot contain both route and redirect"),
    ("VirtualService", f"{NAMED}[{{{ROUTE}, delegate: {{name: b}}}}]", "must not specify route"),
    ("VirtualService", f"{NAMED}[{{{ROUTE}, timeout: 0s}}]", "duration must be greater than 1ms"),
    ("VirtualService", f"{NAMED}[{{{ROUTE}, retries: {{attempts: 1, retryOn: no-way}}}}]", '"no-way" is not a valid retryOn policy'),
    ("VirtualService", f"{NAMED}[{{{ROUTE}, retries: {{retryOn: 5xx}}}}]", "attempts are set to 0 (disabled)"),
    ("VirtualService", f"{NAMED}[{{{ROUTE}, fault: {{}}}}]", "must have an abort and/or a delay"),
    ("VirtualService", f"{NAMED}[{{{ROUTE}, fault: {{abort: {{httpStatus: 10}}}}}}]", "HTTP status 10 is not in range 200-599"),
    ("VirtualService", f"{NAMED}[{{{ROUTE}, fault: {{delay: {{exponentialDelay: 1s}}}}}}]", "exponentialDelay not supported yet"),
    ("VirtualService", f"{NAMED}[{{{ROUTE}, fault: {{abort: {{http2Error: x}}}}}}]", "HTTP/2 abort fault injection not supported yet"),
    ("VirtualService", f"{NAMED}[{{{ROUTE}, rewrite: {{uri: /, uriRegexRewrite: {{match: a, rewrite: b}}}}}}]", "rewrite may only contain one of URI or UriRegexRewrite"),
    ("VirtualService", f"{NAMED}[{{{ROUTE}, mirrorPercentage: {{value: 101}}}}]", "mirror_percentage must have a max value of 100"),
    ("VirtualService", f"{NAMED}[{{{ROUTE}, corsPolicy: {{maxAge: 1500ms}}}}]", "max_age duration is accurate only to seconds precision"),
    ("VirtualService", f"{NAMED}[{{{ROUTE}, headers: {{response: {{set: {{host: x}}}}}}}}]", "cannot set Host header"),
    ("VirtualService", f"{NAMED}[{{{ROUTE}, match: [{{headers: {{'@request.auth.claims.a': {{exact: b}}}}}}]}}]", "is only supported for gateway"),
    ("VirtualService", f"{NAMED}[{{{ROUTE}, match: [{{method: {{prefix: ''}}}}]}}]", '"method": prefix string match should not be empty'),
    ("VirtualService", f"{NAMED}[{{route: [{{weight: 1}}]}}]", "destination is required"),
    ("VirtualService", f"{NAMED}[{{route: [{{destination: {{host: a}}}}, {{destination: {{host: b}}}}]}}]", "total destination weight = 0"),
    ("VirtualService", f"{NAMED}[{{directResponse: {{status: 1000}}}}]", "HTTP status 1000 is not in range"),
    ("VirtualService", "hosts: [a], tls: [{route: [{destination: {host: a}}]}]", "TLS route must have at least one match condition"),
    ("VirtualService", f"hosts: [a], tls: [{{match: [{{sniHosts: [b]}}], {ROUTE}}}]", 'SNI host "b" is not a compatible subset'),
    ("VirtualService", "hosts: [a], tcp: [{}]", "TCP route is required"),
    ("VirtualService", f"hosts: [a], exportTo: ['*', b], http: [{{{ROUTE}}}]", "cannot have both public (*) and non-public"),
    # DestinationRule
    ("DestinationRule", "", "empty domain name not allowed"),
    ("DestinationRule", "host: a, trafficPolicy: {}", "traffic policy must have at least one field"),
    ("DestinationRule", "host: a, subsets: [{name: b}, {name: b}]", "duplicate subset names: b"),
    ("DestinationRule", "host: a, subsets: [{}]", "subset name cannot be empty"),
    ("DestinationRule", "host: a, trafficPolicy: {connectionPool: {}}", "connection pool must have at least one field"),
    ("DestinationRule", "host: a, trafficPolicy: {connectionPool: {http: {maxRetries: -1}}}", "max retries must be non-negative"),
    ("DestinationRule", "host: a, trafficPolicy: {outlierDetection: {maxEjectionPercent: 101}}", "percentage 101 is not in range 0..100"),
    ("DestinationRule", "host: a, trafficPolicy: {outlierDetection: {consecutiveLocalOriginFailures: 1}}", "split external local origin errors is set to false"),
    ("DestinationRule", "host: a, trafficPolicy: {loadBalancer: {consistentHash: {maglev: {tableSize: 10}}}}", "tableSize must be a prime number"),
    ("DestinationRule", "host: a, trafficPolicy: {loadBalancer: {localityLbSetting: {failover: [{from: b, to: b}]}}}", "must specify different regions"),
    ("DestinationRule", "host: a, trafficPolicy: {tls: {mode: MUTUAL}}", "client certificate required for mutual tls"),
    ("DestinationRule", "host: a, trafficPolicy: {tls: {mode: SIMPLE, insecureSkipVerify: true, caCertificates: x}}", "when InsecureSkipVerify is set true"),
    ("DestinationRule", "host: a, trafficPolicy: {tunnel: {targetHost: b, targetPort: 1}, proxyProtocol: {}}", "tunnel and proxyProtocol must not be set together"),
    ("DestinationRule", "host: a, workloadSelector: {matchLabels: {a: b}}, exportTo: ['*']", "cannot have exportTo beyond current namespace"),
    # Gateway
    ("Gateway", "", "gateway must have at least one server"),
    ("Gateway", f"servers: [{{port: {PORT}, hosts: [a]}}]", "short names (non FQDN) are not allowed"),
    ("Gateway", f"servers: [{{port: {PORT}}}]", "server config must contain at least one host"),
    ("Gateway", "servers: [{port: {number: 443, name: x, protocol: HTTPS}, hosts: ['*']}]", "server must have TLS settings for HTTPS/TLS protocols"),
    ("Gateway", f"servers: [{{port: {PORT}, hosts: ['*'], tls: {{mode: SIMPLE, credentialName: x}}}}]", "server cannot have TLS settings for plain text HTTP ports"),
    ("Gateway", "servers: [{port: {number: 443, name: x, protocol: TLS}, hosts: ['*'], tls: {mode: SIMPLE}}]", "SIMPLE TLS requires a server certificate"),
    ("Gateway", f"servers: [{{port: {PORT}, hosts: ['*']}}, {{port: {PORT}, hosts: ['*']}}]", "port names in servers must be unique: duplicate name http"),
    ("Gateway", f"servers: [{{port: {PORT}, hosts: ['*'], bind: x}}]", "x is not a valid IP"),
    # ServiceEntry
    ("ServiceEntry", "", "service entry must have at least one host"),
    ("ServiceEntry", "hosts: ['*']", "hostname cannot be wildcard"),
    ("ServiceEntry", "hosts: [a.com], addresses: [10.0.0.0/8], resolution: DNS", "CIDR addresses are allowed only for NONE/STATIC resolution types"),
    ("ServiceEntry", f"hosts: [a.com], ports: [{PORT}, {PORT}]", "port number cannot be duplicated"),
    ("ServiceEntry", "hosts: [a.com], endpoints: [{address: 1.1.1.1}]", "NONE mode cannot set endpoints"),
    ("ServiceEntry", "hosts: [a.com], resolution: STATIC, endpoints: [{address: b.com}]", "is not a valid IP address"),
    ("ServiceEntry", "hosts: [a.com], resolution: DNS_ROUND_ROBIN, endpoints: [{address: b.com}, {address: c.com}]", "DNS_ROUND_ROBIN mode cannot have multiple endpoints"),
    ("ServiceEntry", "hosts: [a.com], resolution: STATIC, endpoints: [{address: 1.1.1.1}], workloadSelector: {labels: {a: b}}", "only one of WorkloadSelector or Endpoints can be set"),
    ("ServiceEntry", "hosts: [a.com, b.com], resolution: DNS, ports: [{number: 1, name: t, protocol: TCP}]", "multiple hosts provided with non-HTTP, non-TLS ports"),
    ("ServiceEntry", "hosts: [a.com], resolution: DYNAMIC_DNS", "host must be wildcarded"),
    # WorkloadEntry, WorkloadGroup
    ("WorkloadEntry", "", "Address is required"),
    ("WorkloadEntry", "address: 'unix:///a/'", "UDS may not be a dir"),
    ("WorkloadEntry", "address: 'unix://a'", "UDS must be an absolute path or abstract socket"),
    ("WorkloadEntry", "address: 'unix:///a', ports: {a: 1}", "UDS may not include ports"),
    ("WorkloadEntry", "address: 1.1.1.1, ports: {a: 70000}", "port must be between 1-65535"),
    ("WorkloadGroup", "", "template is required"),
    ("WorkloadGroup", "template: {}, probe: {}", "unknown health check method"),
    ("WorkloadGroup", "template: {}, probe: {httpGet: {port: 80, scheme: ftp}}", "scheme must be one of [HTTP, HTTPS]"),
    # Sidecar
    ("Sidecar", "", "sidecar: empty configuration provided"),
    ("Sidecar", "egress: [{hosts: [a]}]", "host must be of form namespace/dnsName"),
    ("Sidecar", "egress: [{hosts: ['*/*']}, {hosts: ['*/*']}]", "the egress listener with empty port should be the last listener"),
    ("Sidecar", "egress: [{port: {number: 0, protocol: TCP}, hosts: ['*/*']}]", "must have a unix domain socket bind address"),
    ("Sidecar", f"ingress: [{{port: {PORT}, defaultEndpoint: '1.1.1.1:80'}}]", "sidecar: defaultEndpoint must be of form"),
    ("Sidecar", f"ingress: [{{port: {PORT}}}, {{port: {PORT}}}]", "sidecar: ports on IP bound listeners must be unique"),
    ("Sidecar", "outboundTrafficPolicy: {egressProxy: {host: a, port: {number: 1}}}", "must be set only with ALLOW_ANY"),
    # PeerAuthentication
    ("PeerAuthentication", "portLevelMtls: {80: {mode: STRICT}}", "portLevelMtls requires selector"),
    ("PeerAuthentication", "portLevelMtls: {}", "should have at least 1 properties"),
    ("PeerAuthentication", "selector: {matchLabels: {a: b}}, portLevelMtls: {0: {mode: STRICT}}", "port must be between 1-65535"),
    ("PeerAuthentication", "selector: {matchLabels: {a: 'b*'}}", "wildcard not allowed in label value match"),
    # Service
    ("Service", "type: External", "Unsupported value"),
    ("Service", "ports: [{port: 0}]", "port number 0 must be in the range 1..65535"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "spec", "message"), ROWS, ids=[f"{k}-{i}" for i, (k, _, _) in enumerate(ROWS)])  # fmt: skip
def test_what_istio_refuses_is_refused_in_its_words(kind: str, spec: str, message: str) -> None:
    errors = [f for f in check(resource(kind, spec)) if f.level is Level.ERROR]
    assert [f.text() for f in errors if message in f.message]
    assert all(f.key is not None and f.field for f in errors)


@pytest.mark.parametrize(
    ("kind", "spec", "message"),
    [
        ("DestinationRule", "host: a, trafficPolicy: {outlierDetection: {consecutiveErrors: 3}}", "honoured as consecutive5xxErrors"),
        ("DestinationRule", "host: a, trafficPolicy: {loadBalancer: {simple: LEAST_CONN}}", "LEAST_CONN is deprecated"),
        ("DestinationRule", "host: a, trafficPolicy: {loadBalancer: {localityLbSetting: {failover: [{from: b, to: c}]}}}", "outlier detection policy must be provided"),
        ("VirtualService", f"{NAMED}[{{{ROUTE}, mirrorPercent: 5}}]", 'using deprecated setting "mirrorPercent"'),
        ("VirtualService", f"{NAMED}[{{{ROUTE}, fault: {{delay: {{percent: 5, fixedDelay: 1s}}}}}}]", "percent is deprecated"),
        ("VirtualService", f"{NAMED}[{{{ROUTE}, corsPolicy: {{allowOrigin: ['*']}}}}]", "allowOrigin is deprecated"),
        ("VirtualService", f"gateways: [g.ns], {NAMED}[{{{ROUTE}}}]", "using legacy gatewayName format"),
        ("VirtualService", f"{NAMED}[{{{ROUTE}}}, {{{ROUTE}}}]", "rule #1 not used (only the last rule can have no matches)"),
        ("VirtualService", f"{NAMED}[{{{ROUTE}, match: [{{port: 1}}]}}, {{{ROUTE}, match: [{{port: 1}}]}}]", "rule #1 match #0 is not used (duplicate/overlapping match in rule #0)"),
        ("VirtualService", f"{NAMED}[{{{ROUTE}, match: [{{uri: {{prefix: /a}}}}]}}, {{{ROUTE}, match: [{{uri: {{prefix: /ab}}}}]}}]", "is not used (duplicate/overlapping match"),
        ("Gateway", "servers: [{port: {number: 443, name: x, protocol: HTTPS}, hosts: ['*'], tls: {serverCertificate: a, privateKey: b}}]", "PASSTHROUGH mode does not use certificates, they will be ignored"),
        ("ServiceEntry", "hosts: ['*a.com'], resolution: NONE", 'partial wildcard "*a.com" not allowed'),
        ("Sidecar", "egress: [{hosts: ['*/*', 'a/*']}]", "`*/*` host select all resources"),
        ("Service", "ports: [{port: 80}, {port: 81, name: a}]", "several ports need names"),
        ("Service", "ports: [{port: 80, name: a}, {port: 81, name: a}]", 'Duplicate value: "a"'),
    ],
)  # fmt: skip
def test_what_istio_warns_of_is_a_warning(kind: str, spec: str, message: str) -> None:
    found = check(resource(kind, spec))
    assert {f.level for f in found} == {Level.WARNING}
    assert [f for f in found if message in f.message]


def test_names_and_annotations_are_checked_for_every_kind() -> None:
    found = check(
        resource("Service", "type: ClusterIP", annotations={"internal.istio.io/parents": "x"})
    )
    assert ["this may not be set by users" in f.message for f in found] == [True]
    good = resource("Service", "type: ClusterIP")
    named = msgspec.structs.replace(good, meta=msgspec.structs.replace(good.meta, name="A_b"))
    assert [f.field for f in check(named)] == ["metadata.name"]


def test_the_mesh_config_is_checked() -> None:
    text = "{apiVersion: v1, kind: ConfigMap, metadata: {name: istio}, data: {mesh: 'connectTimeout: 31s'}}"
    (_, mesh), _ = parse(text)
    assert ["invalid connect timeout" in f.message for f in check(mesh)] == [True]
