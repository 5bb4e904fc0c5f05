"""MeshConfig: settings of the whole mesh (ConfigMap `istio`, key `mesh`)."""

from typing import ClassVar

import msgspec

from rhumb.base.durations import Duration
from rhumb.model.kinds.destination_rule import (
    ClientTls,
    ConnectionPool,
    LocalityLbSetting,
    OutlierDetection,
    TcpKeepalive,
    ZoneAwareLbSetting,
)
from rhumb.model.kinds.extension_provider import ExtensionProvider
from rhumb.model.kinds.proxy_config import ProxyConfig
from rhumb.model.kinds.selector import LabelSelector
from rhumb.model.kinds.virtual_service import HttpRetry
from rhumb.model.kinds.wire import Int32, Kind, Oneofs, Removed, WireEnum


class IngressControllerMode(WireEnum):
    """Which Ingress objects are served."""

    UNSPECIFIED = "UNSPECIFIED"
    OFF = "OFF"
    DEFAULT = "DEFAULT"
    STRICT = "STRICT"


class AccessLogEncoding(WireEnum):
    """Format of access logs."""

    TEXT = "TEXT"
    JSON = "JSON"


class MeshOutboundMode(WireEnum):
    """What happens to traffic for unknown hosts."""

    REGISTRY_ONLY = "REGISTRY_ONLY"
    ALLOW_ANY = "ALLOW_ANY"
    ALLOW_ANY_DYNAMIC_DNS = ("ALLOW_ANY_DYNAMIC_DNS", 3)


class MeshOutboundTrafficPolicy(Kind, frozen=True, kw_only=True):
    """Policy for unknown hosts."""

    mode: MeshOutboundMode = MeshOutboundMode.REGISTRY_ONLY
    tls: ClientTls | None = None


class InboundTrafficMode(WireEnum):
    """Where inbound traffic is sent on the workload."""

    PASSTHROUGH = "PASSTHROUGH"
    LOCALHOST = "LOCALHOST"


class InboundTrafficPolicy(Kind, frozen=True, kw_only=True):
    """Policy for inbound traffic."""

    mode: InboundTrafficMode = InboundTrafficMode.PASSTHROUGH


class ConfigSource(Kind, frozen=True, kw_only=True):
    """Another source of configuration."""

    address: str = ""
    tls_settings: ClientTls | None = None
    subscribed_resources: tuple[str, ...] = ()


class CertificateData(Kind, frozen=True, kw_only=True):
    """One more trusted root."""

    ONEOFS: ClassVar[Oneofs] = (("pem", "spiffeBundleUrl"),)

    pem: str | None = None
    spiffe_bundle_url: str | None = None
    cert_signers: tuple[str, ...] = ()
    trust_domains: tuple[str, ...] = ()


class MeshH2UpgradePolicy(WireEnum):
    """Whether HTTP/1.1 connections are upgraded to HTTP/2 by default."""

    DO_NOT_UPGRADE = "DO_NOT_UPGRADE"
    UPGRADE = "UPGRADE"


class ServiceSettingsDetail(Kind, frozen=True, kw_only=True):
    """Settings of a group of services."""

    cluster_local: bool = False


class ServiceSettings(Kind, frozen=True, kw_only=True):
    """Settings for services by host."""

    settings: ServiceSettingsDetail | None = None
    hosts: tuple[str, ...] = ()


class ServiceScope(WireEnum):
    """Whether a service is local to its cluster."""

    LOCAL = "LOCAL"
    GLOBAL = "GLOBAL"


class ServiceScopeConfigs(Kind, frozen=True, kw_only=True):
    """Scope of services by label."""

    namespace_selector: LabelSelector | None = None
    services_selector: LabelSelector | None = None
    scope: ServiceScope = ServiceScope.LOCAL


class CertificateAuthority(Kind, frozen=True, kw_only=True):
    """An external certificate authority."""

    address: str = ""
    tls_settings: ClientTls | None = None
    request_timeout: Duration | None = None
    istiod_side: bool = False


class DefaultProviders(Kind, frozen=True, kw_only=True):
    """Telemetry providers used when no Telemetry names one."""

    tracing: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    access_logging: tuple[str, ...] = ()


class PathNormalizationType(WireEnum):
    """How request paths are normalised."""

    DEFAULT = "DEFAULT"
    NONE = "NONE"
    BASE = "BASE"
    MERGE_SLASHES = "MERGE_SLASHES"
    DECODE_AND_MERGE_SLASHES = "DECODE_AND_MERGE_SLASHES"


class PathNormalization(Kind, frozen=True, kw_only=True):
    """Istio's ProxyPathNormalization."""

    normalization: PathNormalizationType = PathNormalizationType.DEFAULT


class MeshTlsProtocol(WireEnum):
    """TLS versions for mesh-wide defaults."""

    TLS_AUTO = "TLS_AUTO"
    TLSV1_2 = "TLSV1_2"
    TLSV1_3 = "TLSV1_3"


class MeshTls(Kind, frozen=True, kw_only=True):
    """Istio's MeshConfig.TLSConfig."""

    min_protocol_version: MeshTlsProtocol = MeshTlsProtocol.TLS_AUTO
    ecdh_curves: tuple[str, ...] = ()
    cipher_suites: tuple[str, ...] = ()


class DefaultTrafficPolicy(Kind, frozen=True, kw_only=True):
    """The baseline under every DestinationRule."""

    connection_pool: ConnectionPool | None = None
    outlier_detection: OutlierDetection | None = None


class Visibility(WireEnum):
    """How far a ServiceEntry may be exported."""

    VISIBILITY_UNSPECIFIED = "VISIBILITY_UNSPECIFIED"
    NONE = "NONE"
    NAMESPACE = "NAMESPACE"
    PUBLIC = "PUBLIC"


class VisibilityRule(Kind, frozen=True, kw_only=True):
    """The namespaces a visibility policy applies to."""

    namespace_selector: LabelSelector | None = None


class VisibilityPolicy(Kind, frozen=True, kw_only=True):
    """A visibility for some namespaces."""

    visibility: Visibility = Visibility.VISIBILITY_UNSPECIFIED
    matching_rules: tuple[VisibilityRule, ...] = ()


class ServiceEntryVisibility(Kind, frozen=True, kw_only=True):
    """Limits of what ServiceEntries export."""

    default_visibility: Visibility = Visibility.VISIBILITY_UNSPECIFIED
    apply_to_sidecars: bool = False
    policies: tuple[VisibilityPolicy, ...] = ()


class Certificate(Kind, frozen=True, kw_only=True):
    """Deprecated and ignored."""

    secret_name: str = ""
    dns_names: tuple[str, ...] = ()


class MeshConfig(Kind, frozen=True, kw_only=True):
    """Settings of the whole mesh (istio-api mesh/v1alpha1/config.proto); unset fields take Istio's defaults."""

    REMOVED: ClassVar[Removed] = {
        "sdsUdsPath": "remove it: secrets are always served over SDS",
        "authPolicy": "use a PeerAuthentication in the root namespace",
        "mixerCheckServer": "remove it: Mixer is gone",
        "mixerReportServer": "remove it: Mixer is gone",
        "disablePolicyChecks": "remove it: Mixer is gone",
    }

    proxy_listen_port: Int32 = 0
    """0: 15001."""
    proxy_inbound_listen_port: Int32 = 0
    """0: 15006."""
    proxy_http_port: Int32 = 0
    connect_timeout: Duration | None = None
    """None: 10 s."""
    hbone_idle_timeout: Duration | None = None
    protocol_detection_timeout: Duration | None = None
    """None: 0 s, wait for ever."""
    tcp_keepalive: TcpKeepalive | None = None
    ingress_class: str = ""
    ingress_service: str = ""
    ingress_controller_mode: IngressControllerMode = IngressControllerMode.UNSPECIFIED
    ingress_selector: str = ""
    enable_tracing: bool | None = None
    """None: true."""
    access_log_file: str = ""
    access_log_format: str = ""
    access_log_encoding: AccessLogEncoding = AccessLogEncoding.TEXT
    enable_envoy_access_log_service: bool = False
    disable_envoy_listener_log: bool = False
    default_config: ProxyConfig | None = None
    outbound_traffic_policy: MeshOutboundTrafficPolicy | None = None
    """None: ALLOW_ANY."""
    inbound_traffic_policy: InboundTrafficPolicy | None = None
    config_sources: tuple[ConfigSource, ...] = ()
    enable_auto_mtls: bool | None = None
    """None: true."""
    trust_domain: str = ""
    """Empty: cluster.local."""
    trust_domain_aliases: tuple[str, ...] = ()
    ca_certificates: tuple[CertificateData, ...] = ()
    default_service_export_to: tuple[str, ...] = ()
    """Empty: ("*",)."""
    default_virtual_service_export_to: tuple[str, ...] = ()
    default_destination_rule_export_to: tuple[str, ...] = ()
    root_namespace: str = ""
    """Empty: istio-system."""
    locality_lb_setting: LocalityLbSetting | None = None
    """None: enabled."""
    zone_aware_lb_setting: ZoneAwareLbSetting | None = None
    dns_refresh_rate: Duration | None = None
    """None: 60 s."""
    h2_upgrade_policy: MeshH2UpgradePolicy = MeshH2UpgradePolicy.DO_NOT_UPGRADE
    inbound_cluster_stat_name: str = ""
    outbound_cluster_stat_name: str = ""
    certificates: tuple[Certificate, ...] = ()
    """Deprecated and ignored."""
    service_settings: tuple[ServiceSettings, ...] = ()
    service_scope_configs: tuple[ServiceScopeConfigs, ...] = ()
    enable_prometheus_merge: bool | None = None
    """None: true."""
    verify_certificate_at_client: bool | None = None
    """Deprecated and ignored."""
    ca: CertificateAuthority | None = None
    extension_providers: tuple[ExtensionProvider, ...] = ()
    default_providers: DefaultProviders | None = None
    discovery_selectors: tuple[LabelSelector, ...] = ()
    path_normalization: PathNormalization | None = None
    default_http_retry_policy: HttpRetry | None = None
    default_inbound_http_retry_policy: HttpRetry | None = None
    mesh_mtls: MeshTls | None = msgspec.field(default=None, name="meshMTLS")
    tls_defaults: MeshTls | None = None
    default_traffic_policy: DefaultTrafficPolicy | None = None
    service_entry_visibility: ServiceEntryVisibility | None = None
