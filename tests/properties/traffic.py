"""Random VirtualServices, DestinationRules and Gateways, of values that are ordinary and values that are not."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, TypeVar

Json = dict[str, Any]
T = TypeVar("T")

TEXTS = (
    "",
    "a",
    "/a",
    "/",
    "*",
    "a b",
    "é",
    "a.b",
    "x" * 300,
    "%41",
    "..",
    "/a?b",
    "a,b",
    '"',
    "\\",
    "{a}",
    "/**",
)
EXPRESSIONS = (
    ".*", "a+", "(a|b)", r"\d+", "(?i)a", "(?P<n>a)", r"\p{Greek}", "a{2,3}", r"\Qa\E", "(a*)*", "[[:alpha:]]",
    r"\x41", "é", r"\z", "(?s).", "[^\\D]", "*", r"\C", "a{1001}",
)  # fmt: skip
HEADERS = (
    "x-a",
    "a b",
    "é",
    "X-A",
    "host",
    ":authority",
    "content-length",
    "connection",
    "",
    ":path",
    "te",
)
VALUES = (
    "1", "", "%REQ(x)%", "%START_TIME%", "%NOBODY%", "%%", "a\tb", "%REQ()%", "%REQ(:path?x):3%", "%PATH(NQ)%",
    '%UPSTREAM_METADATA(["a","b"])%', "%CEL(request.path)%", "%PROTOCOL(x)%", "%PROTOCOL%%PROTOCOL%", "x" * 2000,
)  # fmt: skip
DURATIONS = ("1ms", "1s", "0.001s", "9000h")
SHARES = (0, 0.0001, 12.345, 100)
COUNTS = (0, 1, 10, 2**31 - 1)
BIG = (0, 1, 100, 2**32 - 1)
MODES = ("PASSTHROUGH", "SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL", "ISTIO_MUTUAL", "AUTO_PASSTHROUGH")


class Maker:
    """Draws values; the same seed draws the same."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def one(self, values: Sequence[T]) -> T:
        """Return one of them."""
        return self._random.choice(values)

    def some(self, chance: float = 0.35, **fields: Callable[[], object]) -> Json:
        """Return some of the fields."""
        return {name: make() for name, make in fields.items() if self._random.random() < chance}

    def of(self, values: Sequence[object]) -> Callable[[], object]:
        """Return what draws one of the values."""
        return lambda: self.one(values)

    # VirtualService

    def text(self) -> Json:
        """Return a StringMatch."""
        kind = self.one(("exact", "prefix", "regex", ""))
        return {kind: self.one(EXPRESSIONS if kind == "regex" else TEXTS)} if kind else {}

    def header(self) -> Json:
        """Return a condition on a header."""
        return {self.one(HEADERS): self.text()}

    def headers(self) -> Json:
        """Return changes of headers."""

        def changes() -> Json:
            pair = {self.one(HEADERS): self.one(VALUES)}
            return self.some(set=lambda: pair, add=lambda: pair, remove=lambda: [self.one(HEADERS)])

        return self.some(request=changes, response=changes)

    def destination(self) -> Json:
        """Return a destination, known or not."""
        host = self.one(("web", "other.ns", "unknown.com", "*.a", "1.2.3.4"))
        number = self.one((80, 81, 65535))
        return {
            "host": host,
            **self.some(subset=self.of(("v1", "none")), port=lambda: {"number": number}),
        }

    def match(self) -> Json:
        """Return conditions of a request."""
        return self.some(
            uri=self.text,
            headers=self.header,
            withoutHeaders=self.header,
            queryParams=lambda: {self.one(("a", "", "é", "a b")): self.text()},
            method=self.text,
            authority=self.text,
            ignoreUriCase=lambda: True,
            name=self.of(TEXTS),
            statPrefix=self.of(TEXTS),
        )

    def forward(self) -> Json:
        """Return a rule that forwards."""

        def target() -> Json:
            return {
                "destination": self.destination(),
                **self.some(weight=self.of((0, 1, 100, 2**31 - 1)), headers=self.headers),
            }

        def rewrite() -> Json:
            pattern = {"match": self.one(EXPRESSIONS), "rewrite": self.one((r"\1", r"\9", "a", ""))}
            uri, authority = self.one(TEXTS), self.one(TEXTS)
            return self.one(({"uri": uri}, {"authority": authority}, {"uriRegexRewrite": pattern}))

        def retries() -> Json:
            return {
                "attempts": self.one((1, 2**31 - 1)),
                **self.some(
                    perTryTimeout=self.of(DURATIONS),
                    retryOn=self.of(("5xx,429", "100", "reset")),
                    backoff=self.of(DURATIONS),
                    retryRemoteLocalities=lambda: True,
                ),
            }

        def fault() -> Json:
            share = {"value": self.one(SHARES)}
            delay = {"fixedDelay": self.one(DURATIONS), "percentage": share}
            kinds: tuple[Json, ...] = ({"httpStatus": 600}, {"grpcStatus": "OK"}, {})
            return {"delay": delay, "abort": {**self.one(kinds), "percentage": share}}

        return {
            "route": [target() for _ in range(self.one((1, 2, 3)))],
            **self.some(
                rewrite=rewrite,
                retries=retries,
                fault=fault,
                timeout=self.of(DURATIONS),
                mirrors=lambda: [{"destination": self.destination()}],
            ),
        }

    def rule(self) -> Json:
        """Return an HTTP rule."""

        def redirect() -> Json:
            return self.some(
                uri=self.of(TEXTS),
                authority=self.of(TEXTS),
                scheme=self.of(("http", "https")),
                port=self.of((80, 1)),
                redirectCode=self.of((301, 308, 399)),
            )

        def direct() -> Json:
            return {"status": self.one((200, 600)), "body": {"string": self.one(TEXTS)}}

        def cors() -> Json:
            return self.some(
                allowOrigins=lambda: [self.text()],
                allowMethods=lambda: ["GET", "*"],
                maxAge=self.of(("1s", "9000h")),
                unmatchedPreflights=self.of(("FORWARD", "IGNORE")),
            )

        does: Json = self.one(
            (self.forward(), {"redirect": redirect()}, {"directResponse": direct()})
        )
        return does | self.some(
            match=lambda: [self.match() for _ in range(self.one((1, 2)))],
            headers=self.headers,
            corsPolicy=cors,
            name=self.of(TEXTS),
        )

    def virtual_service(self, at: int) -> list[Json]:
        """Return a VirtualService for a host of its own, in the mesh or on the gateway."""
        spec = {"hosts": [f"h{at}.example.com"], "http": [self.rule() for _ in range(2)]}
        if self.one((True, False)):
            spec["gateways"] = ["front"]
        return [_object("VirtualService", f"v{at}", spec)]

    # DestinationRule

    def balancer(self) -> Json:
        """Return a load balancer with settings of localities."""
        keys: tuple[Json, ...] = (
            {"httpHeaderName": self.one(("x", "a b", ""))},
            {"httpCookie": {"name": "c", "path": self.one(TEXTS), "ttl": self.one(("0s", "1s"))}},
            {"useSourceIp": True},
            {"httpQueryParameterName": self.one(("q", ""))},
        )
        sizes: tuple[Json, ...] = (
            {},
            {"ringHash": {"minimumRingSize": self.one((0, 1, 2**64 - 1))}},
            {"maglev": {"tableSize": self.one((2, 65537, 5000009))}},
        )
        kinds: tuple[Json, ...] = (
            {},
            {"simple": self.one(("ROUND_ROBIN", "RANDOM", "LEAST_CONN", "PASSTHROUGH"))},
            {"consistentHash": self.one(keys) | self.one(sizes)},
        )
        localities: tuple[Json, ...] = (
            {},
            {"localityLbSetting": {"distribute": [{"from": "*", "to": {"a/*": 99, "b": 1}}]}},
            {"localityLbSetting": {"failoverPriority": ["v", "w=x"]}},
            {"zoneAwareLbSetting": {"minClusterSize": self.one((1, 2**32 - 1))}},
        )
        warmup = {"duration": self.one(DURATIONS), "aggression": self.one((0.0001, 1000))}
        return self.one(kinds) | self.one(localities) | self.some(warmup=lambda: warmup)

    def client_tls(self) -> Json:
        """Return TLS to an upstream."""
        made: Json = {"mode": self.one(("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"))}
        if made["mode"] == "MUTUAL":
            made |= {"clientCertificate": "./certs/tls.crt", "privateKey": "./certs/tls.key"}
        return made | self.some(
            subjectAltNames=lambda: [self.one(("a.b", "spiffe://a", "1.2.3.4", "a@b", "", "é"))],
            sni=self.of(("a.b", "*", "é", "x" * 255)),
            insecureSkipVerify=lambda: True,
        )

    def policy(self) -> Json:
        """Return a traffic policy."""

        def pool() -> Json:
            alive = self.some(probes=self.of(BIG), time=self.of(DURATIONS))
            tcp = self.some(
                maxConnections=self.of(COUNTS),
                idleTimeout=self.of(("0s", "1s")),
                tcpKeepalive=lambda: alive,
            )
            http = self.some(
                http2MaxRequests=self.of(COUNTS),
                maxRequestsPerConnection=self.of(COUNTS),
                maxConcurrentStreams=self.of(COUNTS),
                h2UpgradePolicy=self.of(("UPGRADE", "DO_NOT_UPGRADE")),
                http2KeepAlive=lambda: {"interval": "1ms", "timeout": "9000h"},
            )
            return {"tcp": tcp, "http": http}

        def outlier() -> Json:
            return self.some(
                consecutive5xxErrors=self.of(BIG),
                consecutiveErrors=self.of((-1, 5)),
                consecutiveGatewayErrors=self.of(BIG),
                splitExternalLocalOriginErrors=lambda: True,
                minHealthPercent=self.of((0, 100)),
                outlierDetectionHttpErrorCodes=lambda: [
                    self.one((100, 599)) for _ in range(self.one((1, 2)))
                ],
            )

        return self.some(
            loadBalancer=self.balancer,
            connectionPool=pool,
            outlierDetection=outlier,
            tls=self.client_tls,
            proxyProtocol=lambda: {"version": self.one(("V1", "V2"))},
            retryBudget=lambda: {
                "percent": self.one((0, 100)),
                "minRetryConcurrency": self.one(BIG),
            },
        )

    def destination_rule(self, at: int) -> list[Json]:
        """Return a service and its DestinationRule."""
        host = f"s{at}.example.com"
        ports = [("http", 80, "HTTP"), ("tcp", 70, "TCP"), ("tls", 443, "TLS")]
        entry = {
            "hosts": [host],
            "addresses": [f"10.2.{at // 200}.{at % 200 + 1}"],
            "resolution": self.one(("DNS", "STATIC", "NONE", "DNS_ROUND_ROBIN")),
            "ports": [{"name": n, "number": p, "protocol": q} for n, p, q in ports],
        }
        subset = {"name": "v1", "labels": {"a": "b"}, "trafficPolicy": self.policy()}
        ported = {"port": {"number": self.one((80, 70))}, "tls": self.client_tls()}
        spec = {"host": host, "trafficPolicy": {**self.policy(), "portLevelSettings": [ported]}}
        spec |= self.some(subsets=lambda: [subset])
        return [
            _object("ServiceEntry", f"s{at}", entry),
            _object("DestinationRule", f"d{at}", spec),
        ]

    # Gateway

    def server_tls(self) -> Json:
        """Return the TLS of a server."""
        made: Json = {"mode": self.one(MODES)}
        if made["mode"] in ("SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL"):
            files = {
                name: f"./certs/{name}"
                for name in ("serverCertificate", "privateKey", "caCertificates")
            }
            made |= self.one(({"credentialName": "c"}, {"credentialNames": ["c", "é"]}, files))
        versions = ("TLS_AUTO", "TLSV1_0", "TLSV1_2", "TLSV1_3")
        suites = (
            "AES128-SHA",
            "NOBODY",
            "-ALL",
            "[AES128-SHA|AES256-SHA]",
            "TLS_AES_128_GCM_SHA256",
            "",
        )
        return made | self.some(
            subjectAltNames=lambda: [self.one(("a.b", "", "é"))],
            verifyCertificateSpki=lambda: [self.one(("A" * 43 + "=", "x", ""))],
            verifyCertificateHash=lambda: [self.one(("ab" * 32, "x"))],
            minProtocolVersion=self.of(versions),
            maxProtocolVersion=self.of(versions),
            cipherSuites=lambda: [self.one(suites)],
            ecdhCurves=lambda: [self.one(("P-256", "P-224", "", "X25519"))],
            insecureSkipVerify=lambda: True,
        )

    def gateway(self, at: int) -> list[Json]:
        """Return a Gateway and what is behind it."""
        servers = []
        for number in range(3):
            protocol = self.one(("HTTP", "HTTPS", "TLS", "TCP", "GRPC-WEB"))
            port = {
                "number": self.one((80, 443, 9000 + at)),
                "name": f"p{number}",
                "protocol": protocol,
            }
            server: Json = {
                "port": port,
                "hosts": [self.one((f"g{at}.example.com", "*", "./x.example.com"))],
            }
            if protocol in ("HTTPS", "TLS"):
                server["tls"] = self.server_tls()
            servers.append(
                server | self.some(bind=self.of(("10.0.0.1", "::1")), name=self.of(TEXTS))
            )
        route = [{"destination": {"host": "web"}}]
        names = [self.one(("*", "a.example.com"))]
        behind: Mapping[str, object] = {
            "hosts": ["*"],
            "gateways": [f"g{at}"],
            "http": [{"route": route}],
            "tcp": [{"route": route}],
            "tls": [{"match": [{"sniHosts": names}], "route": route}],
        }
        spec = {"selector": {"istio": "front"}, "servers": servers}
        return [_object("Gateway", f"g{at}", spec), _object("VirtualService", f"b{at}", behind)]


def _object(kind: str, name: str, spec: object) -> Json:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }
