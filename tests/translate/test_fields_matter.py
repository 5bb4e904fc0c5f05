"""What the table of compatibility calls supported makes a difference: each field of MeshConfig and Sidecar."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec
import pytest
import yaml

from rhumb.ads import agent_types
from rhumb.encode.dispatch import message
from rhumb.model.compatibility.entry import State
from rhumb.model.compatibility.table import fields
from rhumb.model.kinds.mesh_config import MeshConfig
from rhumb.model.kinds.proxy_config import ConnectionSettings, ProxyConfig, ProxyHeaders
from rhumb.model.kinds.sidecar import EgressListener, IngressListener, Sidecar
from rhumb.model.kinds.wire import Kind
from rhumb.model.proxy import Role
from rhumb.model.resource import Resource
from rhumb.snapshot.build import World
from rhumb.testing.world import mesh_config, proxy, resources, world
from rhumb.translate.proxy import resources as translated
from rhumb.xds.types import XdsType

WORLD = """
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: default}
spec:
  clusterIP: 10.0.0.1
  selector: {app: shop}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: tcp, port: 90}, {port: 91, name: auto}]
---
apiVersion: v1
kind: Service
metadata: {name: far, namespace: far}
spec: {clusterIP: 10.0.0.2, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: far, namespace: far}
spec: {hosts: [far], http: [{route: [{destination: {host: far}}], timeout: 3s}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: far, namespace: far}
spec: {host: far, subsets: [{name: a}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: balanced, namespace: default}
spec:
  host: shop
  trafficPolicy: {outlierDetection: {interval: 9s}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: outside, namespace: default}
spec: {host: outside.example.com, trafficPolicy: {tls: {mode: SIMPLE}}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside, namespace: default}
spec:
  hosts: [outside.example.com]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{number: 443, name: https, protocol: HTTP}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop-1, namespace: default}
spec: {address: 10.0.0.7, labels: {app: shop}, serviceAccount: shop, locality: a/b/c}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop-2, namespace: default}
spec: {address: 10.0.0.8, labels: {app: shop}, serviceAccount: shop, locality: x/y/z}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: default}
spec:
  selector: {app: front}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example.com]}
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: [shop.example.com]
    tls: {mode: SIMPLE, serverCertificate: certs/tls.crt, privateKey: certs/tls.key}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: default}
spec:
  hosts: [shop.example.com]
  gateways: [front]
  http: [{route: [{destination: {host: shop, port: {number: 80}}}]}]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: elsewhere}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: tls-of-its-own, namespace: default}
spec: {selector: {matchLabels: {app: shop}}, portLevelMtls: {8081: {mode: DISABLE}}}
"""
PROXIES = (
    proxy(address="10.0.0.7", name="shop-1", labels={"app": "shop", "topology.kubernetes.io/region": "a"}),
    proxy(address="10.0.0.5", name="front-1", role=Role.ROUTER, labels={"app": "front"}),
    proxy(address="10.0.0.7", name="shop-1", role=Role.AGENT, labels={"app": "shop"}),
)  # fmt: skip
KINDS = (
    XdsType.LDS, XdsType.RDS, XdsType.CDS, XdsType.EDS, XdsType.NDS, XdsType.STARTUP,
)  # fmt: skip


def everything(found: Iterable[Resource]) -> dict[tuple[str, str, str], bytes]:
    """Return all that all proxies are sent."""
    made: World = world(found)
    sent = {}
    for who in PROXIES:
        for kind in KINDS:
            for value in translated(made, made.view(who), kind):
                if isinstance(value, agent_types.AgentValue):
                    text = agent_types.encode(value)[2]
                else:
                    text = message(value).SerializeToString(deterministic=True)
                sent[who.id, kind.short, value.name] = text
    return sent


BASE = resources(WORLD)
PLAIN = everything(BASE)


def supported(struct: type[Kind]) -> list[str]:
    """Return the fields that the table calls supported."""
    return [
        field.name
        for field in fields(struct)
        if field.entry is not None and field.entry.state is State.SUPPORTED
    ]


MESH: Mapping[str, object] = {
    "proxyListenPort": 16001,
    "proxyInboundListenPort": 16006,
    "proxyHttpPort": 15007,
    "connectTimeout": "3s",
    "protocolDetectionTimeout": "2s",
    "tcpKeepalive": {"time": "9s"},
    "accessLogFile": "/dev/stdout",
    "defaultConfig": {"concurrency": 3},
    "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
    "inboundTrafficPolicy": {"mode": "LOCALHOST"},
    "enableAutoMtls": False,
    "trustDomain": "example.org",
    "trustDomainAliases": ["example.net"],
    "defaultServiceExportTo": ["."],
    "defaultVirtualServiceExportTo": ["."],
    "defaultDestinationRuleExportTo": ["."],
    "rootNamespace": "elsewhere",
    "localityLbSetting": {"enabled": False},
    "zoneAwareLbSetting": {"enabled": True},
    "dnsRefreshRate": "7s",
    "h2UpgradePolicy": "UPGRADE",
    "pathNormalization": {"normalization": "MERGE_SLASHES"},
    "defaultHttpRetryPolicy": {"attempts": 7},
    "defaultInboundHttpRetryPolicy": {"attempts": 7},
    "defaultTrafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 3}}},
    "meshMTLS": {"minProtocolVersion": "TLSV1_3"},
    "discoverySelectors": [{"matchLabels": {"kubernetes.io/metadata.name": "far"}}],
    "inboundClusterStatName": "%SERVICE%_%SERVICE_PORT_NAME%",
    "outboundClusterStatName": "%SERVICE_FQDN%_%SUBSET_NAME%_%SERVICE_PORT%",
    "tlsDefaults": {"ecdhCurves": ["P-256"]},
}
TOGETHER: Mapping[str, Mapping[str, object]] = {
    "accessLogFormat": {"accessLogFile": "/x", "accessLogFormat": "%START_TIME%\n"},
    "accessLogEncoding": {"accessLogFile": "/x", "accessLogEncoding": "JSON"},
    "disableEnvoyListenerLog": {"accessLogFile": "/x", "disableEnvoyListenerLog": True},
}
"""Fields that mean something beside another one alone."""
ELSEWHERE = {"caCertificates": "the trust bundle, which the certificate authority makes"}


@pytest.mark.parametrize("name", supported(MeshConfig))
def test_fields_of_the_mesh_make_a_difference(name: str) -> None:
    if name in ELSEWHERE:
        return
    said = dict(TOGETHER.get(name, {name: MESH.get(name)}))
    rest = {key: value for key, value in said.items() if key != name}
    assert everything((*BASE, *mesh_config(yaml.safe_dump(said)))) != everything(
        (*BASE, *mesh_config(yaml.safe_dump(rest)))
    )


CONNECTIONS: Mapping[str, object] = {
    "profile": "EDGE",
    "listenerPerConnectionBufferLimitBytes": 9,
    "httpMaxConcurrentStreams": 9,
    "http2InitialStreamWindowSize": 70000,
    "http2InitialConnectionWindowSize": 70000,
    "httpHeadersWithUnderscoresAction": "HEADERS_WITH_UNDERSCORES_DROP_HEADER",
    "httpMergeSlashes": True,
    "httpPathWithEscapedSlashesAction": "REJECT_REQUEST",
}
HEADERS: Mapping[str, object] = {
    "forwardedClientCert": "SANITIZE",
    "setCurrentClientCertDetails": {"cert": True},
    "preserveHttp1HeaderCase": True,
    "xForwardedHost": {"enabled": True},
    "xForwardedPort": {"enabled": True},
}
PROXY: Mapping[str, object] = {
    "gatewayTopology": {"numTrustedProxies": 2},
    "concurrency": 5,
    "proxyMetadata": {"A": "b"},
    "proxyHeaders": {"server": {"value": "mine"}},
    "connectionSettings": {"httpIdleTimeout": "9s"},
    "runtimeValues": {"a": "1"},
    "proxyStatsMatcher": {"inclusionPrefixes": ["p"]},
    "terminationDrainDuration": "9s",
}


def _defaults() -> Iterator[tuple[str, object]]:
    yield from ((name, {name: PROXY.get(name)}) for name in supported(ProxyConfig))
    for name in supported(ConnectionSettings):
        yield name, {"connectionSettings": {name: CONNECTIONS.get(name, "9s")}}
    for name in supported(ProxyHeaders):
        yield name, {"proxyHeaders": {name: HEADERS.get(name, {"disabled": True})}}


@pytest.mark.parametrize(("_name", "said"), list(_defaults()), ids=lambda v: str(v)[:40])
def test_fields_of_the_default_config_make_a_difference(_name: str, said: object) -> None:
    found = everything((*BASE, *mesh_config(yaml.safe_dump({"defaultConfig": said}))))
    assert found != PLAIN


INGRESS: Mapping[str, object] = {
    "port": {"number": 8080, "protocol": "HTTP", "name": "http"},
    "bind": "0.0.0.0",
    "captureMode": "NONE",
    "defaultEndpoint": "127.0.0.1:9999",
    "tls": {"mode": "SIMPLE", "serverCertificate": "/c", "privateKey": "/k"},
    "connectionPool": {"tcp": {"maxConnections": 3}},
}
EGRESS: Mapping[str, object] = {
    "port": {"number": 80, "protocol": "HTTP", "name": "http"},
    "bind": "127.0.0.3",
    "captureMode": "NONE",
    "hosts": ["far/*"],
}
SIDECAR: Mapping[str, object] = {
    "workloadSelector": {"labels": {"app": "nobody"}},
    "ingress": [{"port": INGRESS["port"], "defaultEndpoint": "127.0.0.1:9999"}],
    "egress": [{"hosts": ["far/*"]}],
    "inboundConnectionPool": {"tcp": {"maxConnections": 3}},
    "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
}


def _sidecar(spec: object) -> dict[tuple[str, str, str], bytes]:
    text = yaml.safe_dump(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "Sidecar",
            "metadata": {"name": "s", "namespace": "default"},
            "spec": spec,
        }
    )
    return everything((*BASE, *resources(text)))


@pytest.mark.parametrize("name", supported(Sidecar))
def test_fields_of_sidecars_make_a_difference(name: str) -> None:
    rest: dict[str, object] = {"outboundTrafficPolicy": {"mode": "ALLOW_ANY"}}
    if name == "workloadSelector":
        rest["egress"] = SIDECAR["egress"]
    assert _sidecar({**rest, name: SIDECAR[name]}) != _sidecar(rest)


@pytest.mark.parametrize("name", supported(IngressListener))
def test_fields_of_ingress_listeners_make_a_difference(name: str) -> None:
    port = {"number": 8081, "protocol": "HTTP", "name": "http"}
    if name == "tls":
        port |= {"protocol": "HTTPS"}
    rest = {"port": port, "defaultEndpoint": "127.0.0.1:8080"}
    found = _sidecar({"ingress": [{**rest, name: INGRESS[name]}]})
    assert found != _sidecar({"ingress": [rest]})


@pytest.mark.parametrize("name", supported(EgressListener))
def test_fields_of_egress_listeners_make_a_difference(name: str) -> None:
    rest = {"port": {"number": 90, "protocol": "TCP", "name": "tcp"}, "hosts": ["*/*"]}
    found = _sidecar({"egress": [{**rest, name: EGRESS[name]}]})
    assert found != _sidecar({"egress": [rest]})


def test_the_samples_are_of_fields_that_there_are() -> None:
    for struct, samples in (
        (MeshConfig, MESH),
        (ConnectionSettings, CONNECTIONS),
        (ProxyHeaders, HEADERS),
        (ProxyConfig, PROXY),
        (IngressListener, INGRESS),
        (EgressListener, EGRESS),
        (Sidecar, SIDECAR),
    ):
        assert samples.keys() <= {f.encode_name for f in msgspec.structs.fields(struct)}
