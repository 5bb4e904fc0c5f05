"""Entries of the kinds that route traffic."""

from rhumb.model.compatibility.entry import Table, message, rejected, warned
from rhumb.model.kinds.destination_rule import (
    ClientTls,
    ConnectionKeepalive,
    ConnectionPool,
    ConsistentHash,
    CookieAttribute,
    DestinationRule,
    Distribute,
    Failover,
    HttpCookie,
    HttpSettings,
    LoadBalancer,
    LocalityLbSetting,
    Maglev,
    OutlierDetection,
    PortTrafficPolicy,
    ProxyProtocol,
    RetryBudget,
    RingHash,
    Subset,
    TcpKeepalive,
    TcpSettings,
    TrafficPolicy,
    TunnelSettings,
    Warmup,
)
from rhumb.model.kinds.gateway import Gateway, Port, Server, ServerTls, TlsCertificate
from rhumb.model.kinds.peer_authentication import MutualTls, PeerAuthentication
from rhumb.model.kinds.selector import (
    LabelMatch,
    WorkloadSelector,
)
from rhumb.model.kinds.service_entry import ServiceEntry, ServicePort
from rhumb.model.kinds.virtual_service import (
    CorsPolicy,
    Delegate,
    Destination,
    FaultAbort,
    FaultDelay,
    HeaderOperations,
    Headers,
    HttpBody,
    HttpDirectResponse,
    HttpFaultInjection,
    HttpMatchRequest,
    HttpMirrorPolicy,
    HttpRedirect,
    HttpRetry,
    HttpRewrite,
    HttpRoute,
    HttpRouteDestination,
    L4MatchAttributes,
    Percent,
    PortSelector,
    RegexRewrite,
    RouteDestination,
    StringMatch,
    TcpRoute,
    TlsMatchAttributes,
    TlsRoute,
    VirtualService,
)
from rhumb.model.kinds.workload_entry import WorkloadEntry
from rhumb.model.kinds.workload_group import (
    ExecHealthCheck,
    GroupMetadata,
    GrpcHealthCheck,
    HttpHeader,
    HttpHealthCheck,
    ReadinessProbe,
    TcpHealthCheck,
    WorkloadGroup,
)

TABLE: Table = {
    VirtualService: message(
        "hosts gateways http tls tcp exportTo",
    ),
    HttpRoute: message(
        "name match route redirect directResponse delegate rewrite timeout retries fault mirror mirrors mirrorPercentage corsPolicy headers",
        mirrorPercent=warned(
            'is honoured: using deprecated setting "mirrorPercent", use "mirrorPercentage" instead',
            "write mirrorPercentage: {value: N}",
        ),
    ),
    HttpMatchRequest: message(
        "name uri scheme method authority headers port sourceLabels gateways queryParams "
        "ignoreUriCase withoutHeaders sourceNamespace statPrefix",
    ),
    StringMatch: message(
        "exact prefix regex",
    ),
    HttpRouteDestination: message(
        "destination weight headers",
    ),
    Destination: message(
        "host subset port",
    ),
    PortSelector: message(
        "number",
    ),
    Headers: message(
        "request response",
    ),
    HeaderOperations: message(
        "set add remove",
    ),
    HttpRedirect: message(
        "uri authority port derivePort scheme redirectCode prefixRewrite",
    ),
    HttpDirectResponse: message(
        "status body",
    ),
    HttpBody: message(
        "string bytes",
    ),
    Delegate: message(
        "name namespace",
    ),
    HttpRewrite: message(
        "uri authority uriRegexRewrite",
    ),
    RegexRewrite: message(
        "match rewrite",
    ),
    HttpRetry: message(
        "attempts perTryTimeout retryOn retryRemoteLocalities retryIgnorePreviousHosts backoff",
    ),
    HttpFaultInjection: message(
        "delay abort",
    ),
    FaultDelay: message(
        "fixedDelay percentage",
        percent=warned("is deprecated and honoured", "use `percentage: {value: N}`"),
        exponentialDelay=rejected(
            "is refused: exponentialDelay not supported yet, nor by Istio", "use fixedDelay"
        ),
    ),
    Percent: message(
        "value",
    ),
    FaultAbort: message(
        "httpStatus grpcStatus percentage",
        http2Error=rejected(
            "is refused: HTTP/2 abort fault injection not supported yet, nor by Istio",
            "use httpStatus or grpcStatus",
        ),
    ),
    HttpMirrorPolicy: message(
        "destination percentage",
    ),
    CorsPolicy: message(
        "allowOrigins allowMethods allowHeaders exposeHeaders maxAge allowCredentials unmatchedPreflights",
        allowOrigin=warned(
            'is deprecated and honoured; its entries are exact texts, also "*"', "use allowOrigins"
        ),
    ),
    TlsRoute: message(
        "match route",
    ),
    TlsMatchAttributes: message(
        "sniHosts destinationSubnets port sourceLabels gateways sourceNamespace",
    ),
    RouteDestination: message(
        "destination weight",
    ),
    TcpRoute: message(
        "match route",
    ),
    L4MatchAttributes: message(
        "destinationSubnets port sourceLabels gateways sourceNamespace",
        sourceSubnet=warned("has no effect, as in Istio: ignored", "match with sourceLabels"),
    ),
    DestinationRule: message(
        "host trafficPolicy subsets exportTo workloadSelector",
    ),
    TrafficPolicy: message(
        "loadBalancer connectionPool outlierDetection tls portLevelSettings tunnel "
        "proxyProtocol retryBudget",
    ),
    LoadBalancer: message(
        "consistentHash localityLbSetting warmup",
        simple=warned(
            "is honoured as LEAST_REQUEST: LEAST_CONN is deprecated",
            "write LEAST_REQUEST",
            values=("LEAST_CONN",),
        ),
        backendUtilization=warned("has no effect, as in Istio: LEAST_REQUEST is used"),
        zoneAwareLbSetting=warned(
            "keeps requests in the client's region, where its zones share them alike: "
            "as in Istio without self-discovery, proxies do not count their own kind by zone",
            "use localityLbSetting to prefer the client's zone",
        ),
        warmupDurationSecs=warned("is deprecated and honoured", "use warmup.duration"),
    ),
    ConsistentHash: message(
        "httpHeaderName httpCookie useSourceIp httpQueryParameterName ringHash maglev",
        minimumRingSize=warned(
            "is honoured: consistent hash MinimumRingSize is deprecated, "
            "use ConsistentHashLB's RingHash configuration instead",
            "use ringHash.minimumRingSize",
        ),
    ),
    HttpCookie: message(
        "name path ttl attributes",
    ),
    CookieAttribute: message(
        "name value",
    ),
    RingHash: message(
        "minimumRingSize",
    ),
    Maglev: message(
        "tableSize",
    ),
    LocalityLbSetting: message(
        "distribute failover failoverPriority enabled",
    ),
    Distribute: message(
        "from to",
    ),
    Failover: message(
        "from to",
    ),
    Warmup: message(
        "duration minimumPercent aggression",
    ),
    ConnectionPool: message(
        "tcp http",
    ),
    TcpSettings: message(
        "maxConnections connectTimeout tcpKeepalive maxConnectionDuration idleTimeout",
    ),
    TcpKeepalive: message(
        "probes time interval",
    ),
    HttpSettings: message(
        "http1MaxPendingRequests http2MaxRequests maxRequestsPerConnection maxRetries "
        "idleTimeout h2UpgradePolicy useClientProtocol maxConcurrentStreams "
        "http2KeepAlive",
    ),
    ConnectionKeepalive: message(
        "interval timeout",
    ),
    OutlierDetection: message(
        "splitExternalLocalOriginErrors consecutiveLocalOriginFailures consecutiveGatewayErrors consecutive5xxErrors interval baseEjectionTime maxEjectionPercent minHealthPercent outlierDetectionHttpErrorCodes",
        consecutiveErrors=warned(
            "is honoured as consecutive5xxErrors: outlier detection consecutive errors is deprecated, "
            "use consecutiveGatewayErrors or consecutive5xxErrors instead",
            "rename it to consecutive5xxErrors",
        ),
    ),
    ClientTls: message(
        "mode clientCertificate privateKey caCertificates credentialName subjectAltNames "
        "sni insecureSkipVerify caCrl",
    ),
    PortTrafficPolicy: message(
        "port loadBalancer connectionPool outlierDetection tls",
    ),
    TunnelSettings: message(
        "protocol targetHost targetPort",
    ),
    ProxyProtocol: message(
        "version",
    ),
    RetryBudget: message(
        "percent minRetryConcurrency",
        budgetInterval=warned("has no effect: Envoy looks at the requests that are active now"),
    ),
    Subset: message(
        "name labels trafficPolicy",
    ),
    LabelMatch: message(
        "matchLabels",
    ),
    Gateway: message(
        "servers selector",
    ),
    Server: message(
        "port bind hosts tls name",
        defaultEndpoint=warned("has no effect on a Gateway: ignored"),
    ),
    Port: message(
        "number protocol name targetPort",
    ),
    ServerTls: message(
        "httpsRedirect mode serverCertificate privateKey caCertificates caCrl "
        "credentialName credentialNames caCertCredentialName tlsCertificates "
        "subjectAltNames verifyCertificateSpki verifyCertificateHash minProtocolVersion "
        "maxProtocolVersion cipherSuites ecdhCurves insecureSkipVerify",
    ),
    TlsCertificate: message(
        "serverCertificate privateKey caCertificates",
    ),
    ServiceEntry: message(
        "hosts addresses ports location resolution endpoints workloadSelector exportTo "
        "subjectAltNames",
    ),
    ServicePort: message(
        "number protocol name targetPort",
    ),
    WorkloadEntry: message(
        "address ports labels network locality weight serviceAccount",
    ),
    WorkloadSelector: message(
        "labels",
    ),
    WorkloadGroup: message(
        "metadata template probe",
    ),
    GroupMetadata: message(
        "labels annotations",
    ),
    ReadinessProbe: message(
        "initialDelaySeconds timeoutSeconds periodSeconds successThreshold "
        "failureThreshold httpGet tcpSocket exec grpc",
    ),
    HttpHealthCheck: message(
        "path port host scheme httpHeaders",
    ),
    HttpHeader: message(
        "name value",
    ),
    TcpHealthCheck: message(
        "host port",
    ),
    ExecHealthCheck: message(
        "command",
    ),
    GrpcHealthCheck: message(
        "port service",
    ),
    PeerAuthentication: message(
        "selector mtls portLevelMtls",
    ),
    MutualTls: message(
        "mode",
    ),
}
