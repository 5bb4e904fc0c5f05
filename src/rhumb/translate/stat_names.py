"""Names of clusters in statistics: MeshConfig's inboundClusterStatName and outboundClusterStatName."""

from rhumb.model.service import Port, Registry, Service


def stat_name(
    pattern: str, service: Service | None, port: Port, *, subset: str, target: int
) -> str:
    """Return a pattern with its variables replaced, "" (the cluster's own name) without one.

    A service of Kubernetes has short names, any other is called by its host everywhere.
    """
    if not pattern or service is None:
        return ""
    local = service.registry is Registry.KUBERNETES
    host = service.hostname
    for variable, value in (
        ("%SERVICE%", f"{service.name}.{service.namespace}" if local else host),
        ("%SERVICE_NAME%", service.name if local else host),
        ("%SERVICE_FQDN%", host),
        ("%SUBSET_NAME%", subset),
        ("%TARGET_PORT%", str(target)),
        ("%SERVICE_PORT%", str(port.number)),
        ("%SERVICE_PORT_NAME%", port.name),
    ):
        pattern = pattern.replace(variable, value)
    return pattern
