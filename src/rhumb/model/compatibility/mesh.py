"""Entries of what configures the mesh and its proxies: MeshConfig, ProxyConfig, Sidecar."""

from rhumb.model.compatibility.entry import Entry, Message, Table, message, warned
from rhumb.model.kinds.extension_provider import Empty
from rhumb.model.kinds.mesh_config import (
    CertificateData,
    DefaultTrafficPolicy,
    InboundTrafficPolicy,
    MeshConfig,
    MeshOutboundTrafficPolicy,
    MeshTls,
    PathNormalization,
)
from rhumb.model.kinds.proxy_config import (
    ConnectionSettings,
    GatewayTopology,
    HeaderOptIn,
    HeaderSwitch,
    ProxyConfig,
    ProxyHeaders,
    ProxyStatsMatcher,
    ServerHeader,
    SetClientCertDetails,
)
from rhumb.model.kinds.selector import LabelSelector, LabelSelectorRequirement
from rhumb.model.kinds.sidecar import (
    EgressListener,
    IngressListener,
    OutboundTrafficPolicy,
    Sidecar,
    SidecarPort,
)


def _each(entry: Entry, names: str) -> Message:
    return dict.fromkeys(names.split(), entry)


_NO_INGRESS = warned(
    "has no effect: Kubernetes Ingress objects are not served", "use Gateway and VirtualService"
)
_ONE_CLUSTER = warned("has no effect: a mesh is one cluster")
_NO_TELEMETRY = warned("has no effect yet: nothing refers to a provider")
_BY_AGENT = warned(
    "has no effect: the agent of each machine decides it", "use the options of `rhumb agent`"
)
_BOOTSTRAP = warned("has no effect: Envoy is started without it")
_NO_TRACES = warned("has no effect yet: proxies report no spans")
_GONE = warned("has no effect, as in Istio: it is deprecated", "remove it")

_MESH_CONFIG = (
    message(
        "proxyListenPort proxyInboundListenPort proxyHttpPort connectTimeout "
        "protocolDetectionTimeout tcpKeepalive accessLogFile accessLogFormat accessLogEncoding "
        "disableEnvoyListenerLog defaultConfig outboundTrafficPolicy inboundTrafficPolicy "
        "enableAutoMtls trustDomain trustDomainAliases caCertificates defaultServiceExportTo "
        "defaultVirtualServiceExportTo defaultDestinationRuleExportTo rootNamespace "
        "localityLbSetting dnsRefreshRate h2UpgradePolicy pathNormalization "
        "defaultHttpRetryPolicy defaultInboundHttpRetryPolicy defaultTrafficPolicy meshMTLS "
        "tlsDefaults inboundClusterStatName outboundClusterStatName discoverySelectors",
        hboneIdleTimeout=warned("has no effect: tunnels of HBONE are not served"),
        enableTracing=warned("has no effect yet: proxies report no spans", values=("true",)),
        enableEnvoyAccessLogService=warned(
            "has no effect: access logs go to accessLogFile alone", "use accessLogFile"
        ),
        configSources=warned(
            "has no effect: configuration comes from the paths that the control plane was given",
            "use `rhumb serve --config PATH`",
        ),
        zoneAwareLbSetting=warned(
            "keeps requests in the client's region, where its zones share them alike: "
            "as in Istio without self-discovery, proxies do not count their own kind by zone",
            "use localityLbSetting to prefer the client's zone",
        ),
        enablePrometheusMerge=warned(
            "has no effect: the agent always joins the application's metrics with Envoy's",
            values=("false",),
        ),
        certificates=_GONE,
        verifyCertificateAtClient=warned(
            "has no effect, as in Istio: certificates are always verified", "remove it"
        ),
        ca=warned("has no effect: certificates are signed by the mesh's own authority"),
        serviceEntryVisibility=warned("has no effect: exportTo alone decides"),
    )
    | _each(_NO_INGRESS, "ingressClass ingressService ingressControllerMode ingressSelector")
    | _each(_ONE_CLUSTER, "serviceSettings serviceScopeConfigs")
    | _each(_NO_TELEMETRY, "extensionProviders defaultProviders")
)

_PROXY_CONFIG = (
    message(
        "gatewayTopology concurrency proxyMetadata proxyHeaders connectionSettings "
        "runtimeValues proxyStatsMatcher terminationDrainDuration",
        image=warned("has no effect: proxies are the installed Envoy, not images"),
    )
    | _each(
        _BY_AGENT,
        "configPath binaryPath drainDuration discoveryAddress proxyAdminPort "
        "interceptionMode statusPort readinessProbe "
        "holdApplicationUntilProxyStarts caCertificatesPem controlPlaneAuthPolicy meshId "
        "proxyBootstrapTemplatePath customConfigFile",
    )
    | _each(
        _BOOTSTRAP,
        "serviceCluster tracingServiceName statsdUdpAddress statNameLength "
        "envoyAccessLogService envoyMetricsService extraStatTags "
        "privateKeyProvider fileFlushInterval "
        "fileFlushMinSizeKb statsCompression",
    )
    | _each(_NO_TRACES, "tracing zipkinAddress")
    | _each(_GONE, "discoveryRefreshDelay envoyMetricsServiceAddress availabilityZone sds")
)

TABLE: Table = {
    MeshConfig: _MESH_CONFIG,
    MeshOutboundTrafficPolicy: message("mode tls"),
    InboundTrafficPolicy: message("mode"),
    CertificateData: message(
        "pem",
        spiffeBundleUrl=warned("has no effect: bundles are not fetched", "write the roots as pem"),
        certSigners=warned("has no effect: the root is trusted for every signer"),
        trustDomains=warned("has no effect: the root is trusted for every trust domain"),
    ),
    LabelSelector: message("matchLabels matchExpressions"),
    LabelSelectorRequirement: message("key operator values"),
    MeshTls: message("minProtocolVersion ecdhCurves cipherSuites"),
    DefaultTrafficPolicy: message("connectionPool outlierDetection"),
    PathNormalization: message("normalization"),
    ProxyConfig: _PROXY_CONFIG,
    GatewayTopology: message("numTrustedProxies forwardClientCertDetails proxyProtocol"),
    ProxyStatsMatcher: message("inclusionPrefixes inclusionSuffixes inclusionRegexps"),
    ProxyHeaders: message(
        "forwardedClientCert setCurrentClientCertDetails requestId server attemptCount "
        "envoyDebugHeaders preserveHttp1HeaderCase xForwardedHost xForwardedPort",
        metadataExchangeHeaders=warned("has no effect: peers are known by their certificates"),
    ),
    SetClientCertDetails: message("subject cert chain dns uri"),
    HeaderSwitch: message("disabled"),
    HeaderOptIn: message("enabled"),
    ServerHeader: message("disabled value"),
    ConnectionSettings: message(
        "profile listenerPerConnectionBufferLimitBytes httpIdleTimeout httpMaxConnectionDuration "
        "httpDrainTimeout httpRequestTimeout httpRequestHeadersTimeout httpStreamIdleTimeout "
        "httpMaxStreamDuration httpMaxConcurrentStreams http2InitialStreamWindowSize "
        "http2InitialConnectionWindowSize httpHeadersWithUnderscoresAction httpMergeSlashes "
        "httpPathWithEscapedSlashesAction",
        clusterPerConnectionBufferLimitBytes=warned("has no effect, as in Istio"),
        listenerConnectionLimit=warned("has no effect, as in Istio"),
        globalDownstreamConnectionLimit=warned(
            "has no effect: proxies have no limit", "use an EnvoyFilter on BOOTSTRAP"
        ),
    ),
    Empty: {},
    Sidecar: message("workloadSelector ingress egress inboundConnectionPool outboundTrafficPolicy"),
    IngressListener: message("port bind captureMode defaultEndpoint tls connectionPool"),
    EgressListener: message("port bind captureMode hosts"),
    SidecarPort: message("number protocol name targetPort"),
    OutboundTrafficPolicy: message("mode egressProxy"),
}
