"""MeshConfig resolved: Istio's defaults where nothing is said."""

from rhumb.model.kinds.mesh_config import (
    AccessLogEncoding,
    InboundTrafficMode,
    MeshConfig,
    MeshH2UpgradePolicy,
    MeshOutboundMode,
)
from rhumb.model.kinds.table import MESH
from rhumb.model.resource import ResourceSet
from rhumb.snapshot.snapshot import Mesh


def mesh(resources: ResourceSet, home: str, domain: str) -> Mesh:
    """Return the settings of the MeshConfig in the control plane's namespace, else Istio's defaults.

    A MeshConfig of any other namespace means nothing: whoever may write there does not rule the mesh.
    """
    found = [r for r in resources.of(MESH, "MeshConfig") if r.meta.namespace == home]
    config = found[0].spec if found else MeshConfig()
    assert isinstance(config, MeshConfig)
    return resolve(config, home, domain)


def resolve(config: MeshConfig, home: str, domain: str) -> Mesh:
    """Fill in the defaults of one MeshConfig."""
    default = Mesh(domain=domain, root_namespace=home)
    outbound, inbound = config.outbound_traffic_policy, config.inbound_traffic_policy
    headers = config.default_config.proxy_headers if config.default_config else None
    detection = config.protocol_detection_timeout
    return Mesh(
        domain=domain,
        trust_domain=config.trust_domain or default.trust_domain,
        trust_domain_aliases=config.trust_domain_aliases,
        root_namespace=config.root_namespace or default.root_namespace,
        outbound_allow_any=outbound is None or outbound.mode is not MeshOutboundMode.REGISTRY_ONLY,
        outbound_dynamic_dns=(
            outbound is not None and outbound.mode is MeshOutboundMode.ALLOW_ANY_DYNAMIC_DNS
        ),
        inbound_localhost=inbound is not None and inbound.mode is InboundTrafficMode.LOCALHOST,
        auto_mtls=config.enable_auto_mtls is not False,
        connect_timeout_ms=(
            config.connect_timeout.ms if config.connect_timeout else default.connect_timeout_ms
        ),
        protocol_detection_timeout_ms=detection.ms if detection else 0,
        proxy_listen_port=config.proxy_listen_port or default.proxy_listen_port,
        proxy_inbound_listen_port=(
            config.proxy_inbound_listen_port or default.proxy_inbound_listen_port
        ),
        proxy_http_port=config.proxy_http_port,
        h2_upgrade=config.h2_upgrade_policy is MeshH2UpgradePolicy.UPGRADE,
        preserves_header_case=headers is not None and bool(headers.preserve_http1_header_case),
        access_log_file=config.access_log_file,
        access_log_format=config.access_log_format,
        access_log_json=config.access_log_encoding is AccessLogEncoding.JSON,
        default_export_to=config.default_service_export_to or default.default_export_to,
        virtual_service_export_to=(
            config.default_virtual_service_export_to or default.virtual_service_export_to
        ),
        destination_rule_export_to=(
            config.default_destination_rule_export_to or default.destination_rule_export_to
        ),
        config=config,
    )
