"""Settings to a node: who a proxy is to the control plane."""

from rhumb.agent.settings import VERSION, SidecarSettings

Json = dict[str, object]


def node(settings: SidecarSettings) -> Json:
    """Return the node of a proxy (envoy.config.core.v3.Node as JSON)."""
    place = settings.locality
    return {
        "id": settings.node_id(),
        "cluster": f"{settings.identity.canonical_name}.{settings.namespace}",
        "locality": {"region": place.region, "zone": place.zone, "sub_zone": place.subzone},
        "metadata": metadata(settings),
    }


def metadata(settings: SidecarSettings) -> Json:
    """Return the node metadata under Istio's names; booleans are strings there."""
    said: Json = {
        **settings.metadata,
        "NAME": settings.name,
        "NAMESPACE": settings.namespace,
        "LABELS": dict(settings.labels),
        "INSTANCE_IPS": ",".join(settings.addresses),
        "SERVICE_ACCOUNT": settings.service_account,
        "WORKLOAD_NAME": settings.identity.name,
        "MESH_ID": settings.mesh_id,
        "CLUSTER_ID": settings.cluster_id,
        "NETWORK": settings.network,
        "INTERCEPTION_MODE": settings.capture.mode.value,
        "DNS_CAPTURE": "true" if settings.capture.dns else "",
        "DUAL_STACK": "true" if len({":" in a for a in settings.addresses}) > 1 else "",
        "AUTO_REGISTER_GROUP": settings.auto_register_group,
        "ISTIO_VERSION": VERSION,
        "ENVOY_STATUS_PORT": str(settings.ports.ready),
        "ENVOY_PROMETHEUS_PORT": str(settings.ports.prometheus),
        "RHUMB_FILE_SDS": "true",
        "RHUMB_RESOLVER": "true" if settings.own_resolver else "",
        "RHUMB_ROLE": settings.role.value,
        "RHUMB_STATS": "true",
        "RHUMB_VHDS": "true",
    }
    return {name: value for name, value in said.items() if value not in ("", {})}
