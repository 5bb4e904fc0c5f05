"""What the table of compatibility calls supported makes a difference: the kinds that route traffic."""

from collections.abc import Callable, Iterator, Mapping

import pytest
import yaml
from tests.translate.test_fields_matter import BASE, everything, supported

from rhumb.model.kinds import destination_rule as dr
from rhumb.model.kinds import gateway as gw
from rhumb.model.kinds import service_entry as se
from rhumb.model.kinds import virtual_service as vs
from rhumb.model.kinds import workload_entry as we
from rhumb.model.kinds.wire import Kind
from rhumb.testing.world import resources

Spec = dict[str, object]
FAR = "far.far.svc.cluster.local"
HASH: Spec = {"httpHeaderName": "x"}
SHOP: Spec = {"host": "shop", "port": {"number": 80}}
DURATION = "7s"


def document(kind: str, spec: object, namespace: str = "default") -> str:
    """Write an object."""
    return yaml.safe_dump(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": kind,
            "metadata": {"name": "tried", "namespace": namespace},
            "spec": spec,
        }
    )


def _rule(policy: Spec) -> str:
    return document("DestinationRule", {"host": FAR, "trafficPolicy": policy})


def _balanced(found: Spec) -> str:
    return _rule({"loadBalancer": found, "outlierDetection": {"interval": "9s"}})


def _route(found: Spec) -> str:
    return document("VirtualService", {"hosts": ["shop"], "http": [found]})


def _forward(found: Spec) -> str:
    return _route({"route": [{"destination": SHOP}], **found})


def _matched(found: Spec) -> str:
    return _forward({"match": [found]})


def _retried(found: Spec) -> str:
    return _forward({"retries": {"attempts": 3, **found}})


def _tcp(found: Spec) -> str:
    route = [{"destination": {"host": "shop", "port": {"number": 90}}}]
    return document(
        "VirtualService", {"hosts": ["shop"], "tcp": [{"match": [found], "route": route}]}
    )


def _served(found: Spec) -> str:
    server = {
        "port": {"number": 8443, "name": "https", "protocol": "HTTPS"},
        "hosts": ["a.example.com"],
    }
    tls = {"mode": "MUTUAL", "serverCertificate": "/c", "privateKey": "/k", "caCertificates": "/ca"}
    return document(
        "Gateway", {"selector": {"app": "front"}, "servers": [{**server, "tls": {**tls, **found}}]}
    )


def _entry(found: Spec) -> str:
    spec: Spec = {
        "hosts": ["a.example.com"],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": 81, "name": "http", "protocol": "HTTP"}],
        "endpoints": [{"address": "10.9.9.9"}],
    }
    return document("ServiceEntry", {**spec, **found})


def _endpoint(found: Spec) -> str:
    more = {"address": "10.9.9.8"}
    return _entry({"endpoints": [more, {"address": "10.9.9.9", **found}]})


def _port(found: Spec) -> str:
    return _entry({"ports": [{"number": 81, "name": "http", "protocol": "HTTP", **found}]})


MESSAGES: tuple[tuple[type[Kind], Callable[[Spec], str], Spec, Mapping[str, object]], ...] = (
    (dr.TrafficPolicy, _rule, {"connectionPool": {"tcp": {"maxConnections": 3}}}, {
        "loadBalancer": {"simple": "RANDOM"},
        "connectionPool": {"tcp": {"maxConnections": 4}},
        "outlierDetection": {"interval": DURATION},
        "tls": {"mode": "DISABLE"},
        "portLevelSettings": [{"port": {"number": 80}, "loadBalancer": {"simple": "RANDOM"}}],
        "proxyProtocol": {"version": "V2"},
        "retryBudget": {"percent": 7},
    }),
    (dr.ConsistentHash, lambda found: _rule({"loadBalancer": {"consistentHash": found}}), HASH, {
        "httpHeaderName": "other",
        "ringHash": {"minimumRingSize": 77},
        "maglev": {"tableSize": 101},
    }),
    (dr.ConsistentHash, lambda found: _rule({"loadBalancer": {"consistentHash": found}}), {}, {
        "httpCookie": {"name": "c", "ttl": "1s"},
        "useSourceIp": True,
        "httpQueryParameterName": "q",
    }),
    (dr.HttpCookie, lambda found: _rule(
        {"loadBalancer": {"consistentHash": {"httpCookie": {"name": "c", "ttl": "1s", **found}}}}
    ), {}, {
        "name": "d", "path": "/p", "ttl": DURATION,
        "attributes": [{"name": "SameSite", "value": "Strict"}],
    }),
    (dr.LocalityLbSetting, lambda found: _balanced({"localityLbSetting": found}), {"enabled": True}, {
        "distribute": [{"from": "a/*", "to": {"x/*": 100}}],
        "failover": [{"from": "a", "to": "x"}],
        "failoverPriority": ["app"],
    }),
    (dr.Warmup, lambda found: _balanced({"simple": "ROUND_ROBIN", "warmup": found}), {"duration": "9s"}, {
        "duration": DURATION, "minimumPercent": 33, "aggression": 3,
    }),
    (dr.TcpSettings, lambda found: _rule({"connectionPool": {"tcp": found}}), {"maxConnections": 1}, {
        "maxConnections": 3, "connectTimeout": DURATION, "tcpKeepalive": {"time": DURATION},
        "maxConnectionDuration": DURATION, "idleTimeout": DURATION,
    }),
    (dr.TcpKeepalive, lambda found: _rule(
        {"connectionPool": {"tcp": {"tcpKeepalive": found}}}
    ), {"probes": 2}, {"probes": 3, "time": DURATION, "interval": DURATION}),
    (dr.HttpSettings, lambda found: _rule({"connectionPool": {"http": found}}), {"maxRetries": 9}, {
        "http1MaxPendingRequests": 3, "http2MaxRequests": 3, "maxRequestsPerConnection": 3,
        "maxRetries": 3, "idleTimeout": DURATION, "h2UpgradePolicy": "UPGRADE",
        "useClientProtocol": True,
    }),
    (dr.HttpSettings, lambda found: _rule(
        {"connectionPool": {"http": {"h2UpgradePolicy": "UPGRADE", **found}}}
    ), {}, {"maxConcurrentStreams": 3, "http2KeepAlive": {"interval": "1s", "timeout": "2s"}}),
    (dr.OutlierDetection, lambda found: _rule(
        {"outlierDetection": {"splitExternalLocalOriginErrors": True, **found}}
    ), {}, {
        "splitExternalLocalOriginErrors": False, "consecutiveLocalOriginFailures": 3,
        "consecutiveGatewayErrors": 3, "consecutive5xxErrors": 3, "interval": DURATION,
        "baseEjectionTime": DURATION, "maxEjectionPercent": 33, "minHealthPercent": 33,
        "outlierDetectionHttpErrorCodes": [503],
    }),
    (dr.ClientTls, lambda found: _rule(
        {"tls": {"mode": "MUTUAL", "clientCertificate": "/c", "privateKey": "/k", **found}}
    ), {"caCertificates": "/ca"}, {
        "mode": "DISABLE", "clientCertificate": "/d", "privateKey": "/l", "caCertificates": "/cb",
        "subjectAltNames": ["a"], "sni": "b", "caCrl": "/crl",
    }),
    (dr.ClientTls, lambda found: _rule({"tls": {"mode": "SIMPLE", **found}}), {}, {
        "insecureSkipVerify": True,
    }),
    (dr.RetryBudget, lambda found: _rule({"retryBudget": found}), {"percent": 1}, {
        "percent": 7, "minRetryConcurrency": 7,
    }),
    (dr.DestinationRule, lambda found: document(
        "DestinationRule", {"host": FAR, "subsets": [{"name": "a"}], **found}
    ), {}, {
        "host": "shop", "trafficPolicy": {"tls": {"mode": "DISABLE"}},
        "subsets": [{"name": "b"}], "workloadSelector": {"matchLabels": {"app": "nobody"}},
    }),
    (vs.HttpRoute, _forward, {}, {
        "name": "named", "match": [{"uri": {"exact": "/x"}}],
        "route": [{"destination": {"host": FAR}}],
        "rewrite": {"uri": "/y"}, "timeout": DURATION, "retries": {"attempts": 7},
        "fault": {"abort": {"httpStatus": 500, "percentage": {"value": 7}}},
        "mirror": {"host": FAR},
        "mirrors": [{"destination": {"host": FAR}}],
        "corsPolicy": {"allowOrigins": [{"exact": "https://a"}]},
        "headers": {"request": {"set": {"a": "b"}}},
    }),
    (vs.HttpRoute, _forward, {"mirror": {"host": FAR}}, {
        "mirrorPercentage": {"value": 7},
    }),
    (vs.HttpRoute, _route, {"directResponse": {"status": 201}}, {"directResponse": {"status": 202}}),
    (vs.HttpRoute, _route, {"redirect": {"uri": "/a"}}, {"redirect": {"uri": "/b"}}),
    (vs.HttpMatchRequest, _matched, {}, {
        "name": "m", "uri": {"prefix": "/p"}, "scheme": {"exact": "https"},
        "method": {"exact": "GET"}, "authority": {"exact": "a"}, "headers": {"h": {"exact": "a"}},
        "port": 81, "sourceLabels": {"app": "nobody"}, "gateways": ["front"],
        "queryParams": {"q": {"exact": "a"}}, "withoutHeaders": {"h": {"exact": "a"}},
        "sourceNamespace": "nowhere", "statPrefix": "s",
    }),
    (vs.HttpMatchRequest, _matched, {"uri": {"prefix": "/p"}}, {"ignoreUriCase": True}),
    (vs.HttpRedirect, lambda found: _route({"redirect": found}), {"uri": "/a"}, {
        "uri": "/b", "authority": "b", "port": 81, "derivePort": "FROM_REQUEST_PORT",
        "scheme": "https", "redirectCode": 302,
    }),
    (vs.HttpRedirect, lambda found: _route({"redirect": found}), {"authority": "a"}, {
        "prefixRewrite": "/p",
    }),
    (vs.HttpDirectResponse, lambda found: _route({"directResponse": found}), {"status": 201}, {
        "status": 202, "body": {"string": "x"},
    }),
    (vs.HttpRewrite, lambda found: _forward({"rewrite": found}), {"authority": "b"}, {
        "uri": "/x", "authority": "a", "uriRegexRewrite": {"match": "a", "rewrite": "b"},
    }),
    (vs.HttpRetry, _retried, {}, {
        "attempts": 7, "perTryTimeout": DURATION, "retryOn": "5xx", "retryRemoteLocalities": True,
        "retryIgnorePreviousHosts": False, "backoff": DURATION,
    }),
    (vs.CorsPolicy, lambda found: _forward({"corsPolicy": found}), {"allowMethods": ["GET"]}, {
        "allowOrigins": [{"exact": "a"}], "allowMethods": ["PUT"], "allowHeaders": ["h"],
        "exposeHeaders": ["h"], "maxAge": DURATION, "allowCredentials": True,
        "unmatchedPreflights": "IGNORE",
    }),
    (vs.FaultDelay, lambda found: _forward({"fault": {"delay": found}}), {
        "fixedDelay": "1s", "percentage": {"value": 1},
    }, {"fixedDelay": DURATION, "percentage": {"value": 7}}),
    (vs.FaultAbort, lambda found: _forward({"fault": {"abort": found}}), {
        "percentage": {"value": 1},
    }, {"httpStatus": 501, "grpcStatus": "UNAVAILABLE"}),
    (vs.FaultAbort, lambda found: _forward({"fault": {"abort": found}}), {
        "httpStatus": 501, "percentage": {"value": 1},
    }, {"percentage": {"value": 7}}),
    (vs.L4MatchAttributes, _tcp, {}, {
        "destinationSubnets": ["10.0.0.0/24"], "port": 90, "sourceLabels": {"app": "nobody"},
        "gateways": ["front"], "sourceNamespace": "nowhere",
    }),
    (vs.VirtualService, lambda found: document(
        "VirtualService", {"hosts": ["shop"], "http": [{"route": [{"destination": SHOP}]}], **found}
    ), {}, {
        "hosts": [FAR], "gateways": ["front"],
        "http": [{"route": [{"destination": {"host": FAR}}]}],
        "tcp": [{"route": [{"destination": {"host": FAR}}]}],
        "exportTo": ["nowhere"],
    }),
    (gw.ServerTls, _served, {}, {
        "httpsRedirect": None, "mode": "SIMPLE", "serverCertificate": "/d", "privateKey": "/l",
        "caCertificates": "/cb", "caCrl": "/crl", "subjectAltNames": ["a"],
        "verifyCertificateSpki": ["A" * 43 + "="], "verifyCertificateHash": ["0" * 64],
        "minProtocolVersion": "TLSV1_3", "maxProtocolVersion": "TLSV1_2",
        "cipherSuites": ["ECDHE-RSA-AES128-GCM-SHA256"], "ecdhCurves": ["P-256"],
        "insecureSkipVerify": True,
    }),
    (se.ServiceEntry, _entry, {}, {
        "hosts": ["b.example.com"], "addresses": ["10.8.8.8"],
        "ports": [{"number": 82, "name": "http", "protocol": "HTTP"}],
        "location": "MESH_EXTERNAL", "resolution": "DNS", "endpoints": [{"address": "10.7.7.7"}],
        "exportTo": ["nowhere"], "subjectAltNames": ["spiffe://a"],
    }),
    (se.ServicePort, _port, {}, {
        "number": 82, "protocol": "TCP", "targetPort": 83,
    }),
    (we.WorkloadEntry, _endpoint, {}, {
        "address": "10.7.7.7", "ports": {"http": 83}, "labels": {"security.istio.io/tlsMode": "istio"},
        "locality": "a/b/c", "weight": 7, "serviceAccount": "x",
    }),
)  # fmt: skip
ELSEWHERE: Mapping[type[Kind], Mapping[str, str]] = {
    dr.TrafficPolicy: {"tunnel": "of TCP chains, which have a test of their own"},
    dr.ClientTls: {"credentialName": "of gateways, with a Secret"},
    dr.DestinationRule: {"exportTo": "tests of snapshot"},
    vs.HttpRoute: {"delegate": "tests of routes"},
    vs.VirtualService: {"tls": "golden: outbound_tcp"},
    gw.ServerTls: {
        "credentialName": "golden: gateway_tls", "credentialNames": "golden: gateway_tls",
        "caCertCredentialName": "golden: gateway_tls", "tlsCertificates": "golden: gateway_tls",
        "httpsRedirect": "golden: gateway",
    },
    dr.LocalityLbSetting: {"enabled": "tests of locality"},
    se.ServiceEntry: {"workloadSelector": "tests of registry"},
    se.ServicePort: {"name": "of targets by name"},
    we.WorkloadEntry: {"network": "there is one network"},
}  # fmt: skip
"""Fields that need more than one object to show, or another place."""


def _cases() -> Iterator[tuple[str, str, str]]:
    for struct, write, base, samples in MESSAGES:
        plain = write(base)
        for name, value in samples.items():
            if value is not None:
                yield f"{struct.__name__}.{name}", plain, write({**base, name: value})


CASES = list(_cases())


@pytest.mark.parametrize(("name", "plain", "text"), CASES, ids=[name for name, _, _ in CASES])
def test_fields_make_a_difference(name: str, plain: str, text: str) -> None:
    assert text != plain, name
    assert everything((*BASE, *resources(text))) != everything((*BASE, *resources(plain)))


def test_every_supported_field_of_these_messages_is_tried() -> None:
    tried: dict[type[Kind], set[str]] = {}
    for struct, _, _, samples in MESSAGES:
        tried.setdefault(struct, set()).update(samples)
    for struct, names in tried.items():
        left = set(supported(struct)) - names - ELSEWHERE.get(struct, {}).keys()
        assert left == set(), struct
